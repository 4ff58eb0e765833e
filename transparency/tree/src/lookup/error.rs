//! Why an answer is not believed.

use qpq_core::Timestamp;

use crate::{
    note::NoteError,
    policy::{Level, PolicyRefusal},
    succession::SuccessionError,
};

/// Why an answer is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The log is of another domain than the label.
    #[error("the log is not that of the user's domain")]
    Origin,
    /// The pinned key did not sign, or a signature is bad.
    #[error("the checkpoint is not signed by the log's pinned key: {0}")]
    LogSignature(#[source] NoteError),
    /// The log is smaller than it was.
    #[error(
        "the log had {pinned} entries and says now that it has {shown}: it was put back, or shows another history"
    )]
    Shrunk {
        /// What was pinned.
        pinned: u64,
        /// What is shown.
        shown: u64,
    },
    /// The log is another one than before.
    #[error("the log does not continue what it showed before: it has two histories")]
    Inconsistent,
    /// The CONFIG is missing, older than the pinned one, or not what the log says is newest.
    #[error("the log's CONFIG is missing or not the newest")]
    ConfigVersion,
    /// The CONFIG's value can't be read.
    #[error("the log's CONFIG can't be read")]
    ConfigUnreadable,
    /// The CONFIG doesn't name the key that signed.
    #[error("the log's CONFIG does not name the key that signs the log")]
    ConfigKey,
    /// The VRF key changed, with which every label would have another place.
    #[error("the log's VRF key changed")]
    VrfKey,
    /// Fewer witnesses than before stand for the log.
    #[error("the log was `{}` and is `{}` now", reached.word(), shown.word())]
    LevelLowered {
        /// The level that was reached.
        reached: Level,
        /// The level now.
        shown: Level,
    },
    /// Too few witnesses signed, or one of them badly.
    #[error("the witnesses' signatures are not enough: {0}")]
    Witnesses(#[source] PolicyRefusal),
    /// The newest needed signature is too old.
    #[error("the newest signature that counts is of {0}: the log stands still, or an old view is shown")]
    Frozen(Timestamp),
    /// A clock is ahead.
    #[error("the newest signature that counts is of {0}, which is still to come")]
    Ahead(Timestamp),
    /// The VRF proof doesn't hold.
    #[error("the answer is about another label: the VRF proof does not hold")]
    Vrf,
    /// The claim is not the log's, or of another tree.
    #[error("the log's word on the newest version is missing, of another tree, or not its own")]
    Claim,
    /// Versions that are shown, or known, can't be of one chain.
    #[error("the log shows two histories of the label")]
    TwoHistories,
    /// The claim names another version than the one that is shown.
    #[error("the log says that another version is the newest")]
    NotLatest,
    /// An entry is about another label.
    #[error("an entry is about another label")]
    Label,
    /// An entry is not in the tree.
    #[error("an entry is not in the log: its inclusion proof does not hold")]
    NotIncluded,
    /// A value is not the one that was committed to.
    #[error("a value is not what its entry commits to")]
    Commitment,
    /// An entry's kind is not that of its value, or no kind of an account.
    #[error("an entry's kind is not that of its value")]
    Kind,
    /// A value is missing or can't be read.
    #[error("a value is missing or can't be read")]
    ValueUnreadable,
    /// A version below the one that is known, or the same one with another content.
    #[error("version {known} was known and version {shown} is shown")]
    Rollback {
        /// What was known.
        known: u32,
        /// What is shown.
        shown: u32,
    },
    /// Signatures don't hold or don't go together.
    #[error("a version is not signed as it should be: {0}")]
    Signatures(#[from] SuccessionError),
    /// The versions in between that changed the key are missing, too many, or out of order.
    #[error("the versions that changed the identity key are missing or out of order")]
    Links,
    /// A reset was not announced for a day.
    #[error("a reset was not announced for a day where witnesses could see it")]
    ResetNotAnnounced,
}
