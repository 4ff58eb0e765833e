//! The steps of the verification by name, so that the tests can take each of them out and show which lie passes then.

/// One check. Outside of tests none can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Origin,
    LogSignature,
    Size,
    Consistency,
    ConfigLabel,
    ConfigIncluded,
    ConfigVersion,
    ConfigCommitment,
    ConfigKey,
    VrfKey,
    Level,
    Witnesses,
    Frozen,
    Ahead,
    Vrf,
    ClaimSignature,
    ClaimTree,
    ClaimLabel,
    Latest,
    OneChain,
    Label,
    Included,
    Commitment,
    Kind,
    Rollback,
    Absent,
    Signatures,
    FirstVersion,
    Announcement,
    LinkReason,
    Status,
    KeyReason,
    ResetAnnounced,
    ResetSeen,
    ResetSeenIncluded,
    ResetSeenConsistent,
    ResetDelay,
}

/// Whether a check is passed.
#[cfg(not(test))]
pub(crate) const fn passes(_: Step, sound: bool) -> bool {
    sound
}

/// The same; a test may leave one step out.
#[cfg(test)]
pub(crate) fn passes(step: Step, sound: bool) -> bool {
    sound || LEFT_OUT.get() == Some(step)
}

#[cfg(test)]
thread_local! {
    static LEFT_OUT: std::cell::Cell<Option<Step>> = const { std::cell::Cell::new(None) };
}

/// Runs something with one step left out.
#[cfg(test)]
pub(crate) fn without<T>(step: Step, run: impl FnOnce() -> T) -> T {
    LEFT_OUT.set(Some(step));
    let result = run();
    LEFT_OUT.set(None);
    result
}

#[cfg(test)]
impl Step {
    pub(crate) const ALL: [Self; 37] = [
        Self::Origin,
        Self::LogSignature,
        Self::Size,
        Self::Consistency,
        Self::ConfigLabel,
        Self::ConfigIncluded,
        Self::ConfigVersion,
        Self::ConfigCommitment,
        Self::ConfigKey,
        Self::VrfKey,
        Self::Level,
        Self::Witnesses,
        Self::Frozen,
        Self::Ahead,
        Self::Vrf,
        Self::ClaimSignature,
        Self::ClaimTree,
        Self::ClaimLabel,
        Self::Latest,
        Self::OneChain,
        Self::Label,
        Self::Included,
        Self::Commitment,
        Self::Kind,
        Self::Rollback,
        Self::Absent,
        Self::Signatures,
        Self::FirstVersion,
        Self::Announcement,
        Self::LinkReason,
        Self::Status,
        Self::KeyReason,
        Self::ResetAnnounced,
        Self::ResetSeen,
        Self::ResetSeenIncluded,
        Self::ResetSeenConsistent,
        Self::ResetDelay,
    ];
}
