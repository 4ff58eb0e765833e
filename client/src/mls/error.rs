//! What can go wrong in the engine beyond the outcomes that callers expect.

/// A fault of the engine, of its stored state, or of the caller; expected outcomes are values instead.
#[derive(Debug, thiserror::Error)]
pub enum MlsError {
    /// Bytes are not the MLS message that they should be.
    #[error("these bytes are not {what}")]
    Malformed {
        /// What they should have been.
        what: &'static str,
    },
    /// The stored state of a group can't be read.
    #[error("the stored MLS state of this group is damaged: {what}")]
    Damaged {
        /// What is wrong with it.
        what: String,
    },
    /// A commit is pending already; a group has at most one.
    #[error("a commit of this device is pending in the group: wait for it or discard it first")]
    PendingCommit,
    /// This device is not a member any more.
    #[error("this device was removed from the group")]
    Removed,
    /// The content is longer than a message may be.
    #[error("the message is too long: {length} bytes, at most {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The most.
        limit: usize,
    },
    /// OpenMLS refused an operation that should have worked.
    #[error("could not {what}: {reason}")]
    Engine {
        /// The operation.
        what: &'static str,
        /// What OpenMLS says.
        reason: String,
    },
}

impl MlsError {
    /// Wraps an error of OpenMLS, whose types are generic over the storage and carry no source worth keeping.
    pub(super) fn engine<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Engine { what, reason: error.to_string() }
    }
}
