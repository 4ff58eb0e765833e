//! Bugs that a test can switch on, to show that the property tests and the simulation would see them.
//!
//! Outside this crate's own tests, and without the feature `planted` that only `cargo xtask sim --planted` asks for,
//! [`active`] is a constant `false`.
#![cfg_attr(
    not(feature = "planted"),
    expect(unreachable_pub, reason = "public only where the simulation plants bugs")
)]

/// A mistake somebody could make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The sender marks one row more as kept than the peer stored.
    AckOneTooMany,
    /// The receiver applies a batch again that it has already.
    NoDedup,
    /// The sender forgets its queue at start.
    TruncatedAtStart,
    /// Contact from the peer doesn't clear the backoff.
    ContactIgnored,
    /// A batch is judged as if its origin had never begun a new life.
    OriginsLifeIgnored,
    /// A gap is applied as if nothing was missing.
    GapIgnored,
    /// Evidence of a later life of ours is not looked at.
    IncarnationIgnored,
    /// What a peer has lost is not sent again.
    LossIgnored,
}

#[cfg(not(any(test, feature = "planted")))]
pub(crate) const fn active(_: Bug) -> bool {
    false
}

#[cfg(any(test, feature = "planted"))]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

#[cfg(any(test, feature = "planted"))]
pub(crate) fn active(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Plants a bug in all that this thread runs from now on, or takes it out again.
#[cfg(any(test, feature = "planted"))]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Runs `test` with `bug` in the code and tells whether the test failed.
#[cfg(test)]
pub(crate) fn is_caught(bug: Bug, test: impl FnOnce() -> Result<(), String>) -> bool {
    plant(Some(bug));
    let outcome = test();
    plant(None);
    outcome.is_err()
}
