//! What a receiver answers to a batch, and about single rows of it.

use qpq_core::{Digest, ErrorCode, Millis, Seq};

/// The receiver's answer about one stream of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamAnswer {
    /// The rows are durable over there: just now, or since an earlier call whose answer was lost.
    Applied {
        /// The last row applied; may lie beyond the batch when the batch was an old one.
        through: Seq,
        /// The chain after that row.
        chain: Digest,
        /// Rows that keep their place in the stream though nobody gets them; all others were stored.
        refusals: Vec<Refusal>,
    },
    /// Rows before the batch are missing over there: this is the next one wanted.
    ExpectSeq(Seq),
    /// Both sides hold different rows, or the receiver knows a later life of our database: nothing was applied.
    ChainDiffers {
        /// The last signed header of the stream that the receiver holds ([`crate::SignedHeader::to_bytes`]).
        header: Vec<u8>,
    },
    /// Nothing of this stream was stored; it may be sent again after this time.
    NotNow {
        /// How long to wait.
        retry_after: Millis,
    },
}

/// A row that was applied but refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// Which row.
    pub seq: Seq,
    /// Why.
    pub ack: RowAck,
}

/// What became of a row that was not stored for its recipients. None of these holds the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowAck {
    /// The recipient's queue is full: the sender may try again, as a new row, after this time.
    MailboxFull {
        /// When it is worth trying.
        retry_after: Millis,
    },
    /// No such recipient.
    UnknownMailbox,
    /// The receiving domain's policy refuses it.
    Policy,
    /// The payload can't be read.
    Malformed,
    /// The hub refuses it, with the code that the sender gets.
    NotAllowed(ErrorCode),
}

impl RowAck {
    /// The code and waiting time of the `Failure` on the wire.
    pub const fn to_failure(self) -> (ErrorCode, Millis) {
        match self {
            Self::MailboxFull { retry_after } => (ErrorCode::MailboxFull, retry_after),
            Self::UnknownMailbox => (ErrorCode::NotFound, Millis(0)),
            Self::Policy => (ErrorCode::PolicyRefused, Millis(0)),
            Self::Malformed => (ErrorCode::Malformed, Millis(0)),
            Self::NotAllowed(code) => (code, Millis(0)),
        }
    }

    /// The acknowledgement of such a failure.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other code, of this version or a later one, is the hub's"
    )]
    pub const fn from_failure(code: ErrorCode, retry_after: Millis) -> Self {
        match code {
            ErrorCode::MailboxFull => Self::MailboxFull { retry_after },
            ErrorCode::NotFound => Self::UnknownMailbox,
            ErrorCode::PolicyRefused => Self::Policy,
            ErrorCode::Malformed => Self::Malformed,
            other => Self::NotAllowed(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_one_acknowledgement() {
        for code in ErrorCode::ALL {
            let ack = RowAck::from_failure(*code, Millis(7));
            assert_eq!(ack.to_failure().0, *code);
            let (code, retry_after) = ack.to_failure();
            assert_eq!(RowAck::from_failure(code, retry_after), ack);
        }
    }
}
