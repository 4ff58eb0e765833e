//! Bugs that a test can switch on, to show that the property tests would see them.
//!
//! Outside this crate's own tests [`active`] is a constant `false`.

/// A mistake somebody could make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The sender marks one row more as kept than the peer stored.
    AckOneTooMany,
    /// The receiver applies a batch again that it has already.
    NoDedup,
    /// The sender forgets its queue at start.
    TruncatedAtStart,
    /// Contact from the peer doesn't clear the backoff.
    ContactIgnored,
    /// A gap is applied as if nothing was missing.
    GapIgnored,
}

#[cfg(not(test))]
pub(crate) const fn active(_: Bug) -> bool {
    false
}

#[cfg(test)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
pub(crate) fn active(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Runs `test` with `bug` in the code and tells whether the test failed.
#[cfg(test)]
pub(crate) fn is_caught(bug: Bug, test: impl FnOnce() -> Result<(), String>) -> bool {
    PLANTED.set(Some(bug));
    let outcome = test();
    PLANTED.set(None);
    outcome.is_err()
}
