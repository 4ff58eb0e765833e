//! Bugs that tests plant, to show that the conformance suite can fail. Outside tests nothing can be planted.

/// A bug.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// `commit` answers and keeps nothing.
    CommitForgotten,
    /// A dropped transaction is kept.
    DropCommits,
    /// Submits are not remembered.
    SubmitsForgotten,
    /// Every commit wins.
    EpochIgnored,
    /// Acknowledgements reach one position further than they say.
    OneTooMany,
    /// A one-time link of an admin can be used again.
    LinksRepeat,
    /// A recovery code can be used again.
    CodesRepeat,
    /// A TOTP code can be used again.
    StepsRepeat,
    /// Another identity key leaves the certificates by the one before.
    CertificatesStay,
    /// The checkpoint that was kept last is the one that counts.
    SeenReplaced,
    /// Only what the newest entry of a label commits to is erased.
    FormerVersionsStay,
    /// The key of a witnessed log is replaced.
    PinsReplaced,
    /// Smaller checkpoints take the place of larger ones.
    WitnessesGoBack,
}

/// What is planted in a store: nothing, except in tests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Planted {
    #[cfg(test)]
    bug: Option<Bug>,
}

macro_rules! questions {
    ($($question:ident = $bug:ident;)*) => {
        $(
            #[cfg(test)]
            pub(super) fn $question(self) -> bool {
                self.bug == Some(Bug::$bug)
            }

            #[cfg(not(test))]
            pub(super) const fn $question(self) -> bool {
                false
            }
        )*
    };
}

impl Planted {
    #[cfg(test)]
    pub(super) const fn with(bug: Bug) -> Self {
        Self { bug: Some(bug) }
    }

    questions! {
        commit_forgotten = CommitForgotten;
        submits_forgotten = SubmitsForgotten;
        epoch_ignored = EpochIgnored;
        one_too_many = OneTooMany;
        links_repeat = LinksRepeat;
        codes_repeat = CodesRepeat;
        steps_repeat = StepsRepeat;
        certificates_stay = CertificatesStay;
        seen_replaced = SeenReplaced;
        former_versions_stay = FormerVersionsStay;
        pins_replaced = PinsReplaced;
        witnesses_go_back = WitnessesGoBack;
    }

    #[cfg(test)]
    pub(super) fn drop_commits(self) -> bool {
        self.bug == Some(Bug::DropCommits)
    }
}
