//! Bugs that the simulation plants, to show that it finds them.
//!
//! Without the feature `planted`, which only `cargo xtask sim --planted` asks for, [`active`] is a constant `false`.
#![cfg_attr(
    not(feature = "planted"),
    expect(unreachable_pub, reason = "used only where the simulation plants bugs")
)]

/// A mistake somebody could make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A write is answered before it is durable.
    AnswerBeforeCommit,
    /// Whether a peer's batch is new is decided before the transaction that stores it.
    DedupOutside,
}

#[cfg(not(feature = "planted"))]
pub(crate) const fn active(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

#[cfg(feature = "planted")]
pub(crate) fn active(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Plants a bug in all that this thread runs from now on, or takes it out again.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}
