//! Evidence that a log has two histories: two checkpoints that it signed and that can't both be true. It verifies itself, so it
//! matters to nobody who brought it.
//!
//! # Text
//! ```text
//! qpq/kt/split-view/v1
//! first <bytes of the first note>
//! prefix <root of the second tree's first leaves, as many as the first tree has, base64>
//! <hash of the consistency proof, base64>   0 to 64 lines
//!
//! <the first note><the second note>
//! ```
//! One piece of evidence has one text.

use std::fmt;

use qpq_core::Digest;

use crate::{
    checkpoint::{CheckpointError, SignedCheckpoint},
    consistency::{is_consistent, older_root},
    inclusion::LONGEST_PATH,
    key::VerifierKey,
    note::{NOTE_BYTES, NoteError},
    text::{base64, hash_from_base64, number},
};

const HEADER: &str = "qpq/kt/split-view/v1";

/// The most bytes of such a text: two notes, and a proof of 45 bytes a line.
pub const EVIDENCE_BYTES: usize = NOTE_BYTES.saturating_mul(2).saturating_add(4_096);

/// Two checkpoints of one log, and the proof that the tree of the second doesn't begin with the tree of the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitView {
    /// The checkpoint of the smaller tree, or of one as large.
    pub first: SignedCheckpoint,
    /// The other one.
    pub second: SignedCheckpoint,
    /// The root over as many leaves of the second tree as the first tree has.
    pub prefix_root: Digest,
    /// The consistency proof from there to the second tree; nothing for trees of one size.
    pub proof: Vec<Digest>,
}

/// Why it is no evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// One of the checkpoints is another log's, or the log's key didn't sign it.
    #[error("the log's key did not sign both checkpoints: {0}")]
    Unsigned(#[from] NoteError),
    /// The first tree is larger than the second.
    #[error("the first checkpoint is over {first} entries, the second over {second} only")]
    Order {
        /// The size of the first.
        first: u64,
        /// The size of the second.
        second: u64,
    },
    /// The proof doesn't show that the second tree begins as it is said to.
    #[error("the proof does not show how the second tree begins")]
    Unproven,
    /// Both can be true.
    #[error("the second tree begins with the first one: both checkpoints can be true")]
    OneHistory,
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceTextError {
    /// It is over the limit, or no text.
    #[error("the evidence is no text of at most {EVIDENCE_BYTES} bytes")]
    NotText,
    /// The first line is another one.
    #[error("the evidence does not begin with `{HEADER}`")]
    Header,
    /// The length of the first note is missing or wrong.
    #[error("the line with the first note's length is missing or wrong")]
    First,
    /// The root over the second tree's first leaves is missing or wrong.
    #[error("the line with the prefix's root is missing or wrong")]
    Prefix,
    /// A line is no hash, or there are too many.
    #[error("a line of the proof is no hash, or there are more than {LONGEST_PATH}")]
    Proof,
    /// A note is no checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl SplitView {
    /// Whether it shows that this log has two histories.
    pub fn judge(&self, log: &VerifierKey) -> Result<(), EvidenceError> {
        self.first.signed_by(log)?;
        self.second.signed_by(log)?;
        let (first, second) = (self.first.head(), self.second.head());
        if first.size > second.size {
            return Err(EvidenceError::Order { first: first.size, second: second.size });
        }
        if !is_consistent(first.size, &self.prefix_root, second.size, &second.root, &self.proof) {
            return Err(EvidenceError::Unproven);
        }
        // Any tree begins with the empty one, whatever its root is said to be: that would be shown by no proof at all.
        if first.size == 0 && self.prefix_root != crate::root(&[]) {
            return Err(EvidenceError::Unproven);
        }
        if self.prefix_root == first.root { Err(EvidenceError::OneHistory) } else { Ok(()) }
    }

    /// Evidence from two checkpoints of a log, in any order, and what it answers to "how does the larger tree continue the
    /// smaller one"; `None` if that shows nothing.
    ///
    /// Two roots for one size need no answer. Where the smaller size is a power of two, the answer leaves out how the larger tree
    /// begins, which whoever asks is taken to know: then the root over that beginning must come from elsewhere
    /// ([`SplitView::with_prefix`]; it is a node of the larger tree, which its tiles and its other consistency proofs have).
    pub fn find(
        log: &VerifierKey,
        one: &SignedCheckpoint,
        other: &SignedCheckpoint,
        answer: &[Digest],
    ) -> Option<Self> {
        let (first, second) = in_order(one, other);
        let (old, new) = (first.head(), second.head());
        if old.size == new.size {
            return Self::with_prefix(log, one, other, new.root, &[]);
        }
        let prefix_root = older_root(old.size, new.size, &new.root, answer)?;
        Self::with_prefix(log, one, other, prefix_root, answer)
    }

    /// The same with the root over the larger tree's first leaves, as many as the smaller tree has.
    pub fn with_prefix(
        log: &VerifierKey,
        one: &SignedCheckpoint,
        other: &SignedCheckpoint,
        prefix_root: Digest,
        proof: &[Digest],
    ) -> Option<Self> {
        let (first, second) = in_order(one, other);
        let (first, second, proof) = (first.clone(), second.clone(), proof.to_vec());
        let found = Self { first, second, prefix_root, proof };
        found.judge(log).is_ok().then_some(found)
    }

    /// Reads a text.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceTextError> {
        let fits = bytes.len() <= EVIDENCE_BYTES;
        let text =
            fits.then(|| std::str::from_utf8(bytes).ok()).flatten().ok_or(EvidenceTextError::NotText)?;
        let rest = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n'));
        let (line, rest) = rest.ok_or(EvidenceTextError::Header)?.split_once('\n').unwrap_or_default();
        let length = line.strip_prefix("first ").and_then(number).and_then(|length| length.try_into().ok());
        let length: usize = length.ok_or(EvidenceTextError::First)?;
        let (line, mut rest) = rest.split_once('\n').ok_or(EvidenceTextError::Prefix)?;
        let prefix_root = line.strip_prefix("prefix ").and_then(hash_from_base64);
        let prefix_root = prefix_root.ok_or(EvidenceTextError::Prefix)?;
        let mut proof = Vec::new();
        loop {
            let (line, behind) = rest.split_once('\n').ok_or(EvidenceTextError::Proof)?;
            rest = behind;
            if line.is_empty() {
                break;
            }
            if proof.len() == LONGEST_PATH {
                return Err(EvidenceTextError::Proof);
            }
            proof.push(hash_from_base64(line).ok_or(EvidenceTextError::Proof)?);
        }
        let (first, second) = rest.split_at_checked(length).ok_or(EvidenceTextError::First)?;
        let first = SignedCheckpoint::parse(first.as_bytes())?;
        let second = SignedCheckpoint::parse(second.as_bytes())?;
        Ok(Self { first, second, prefix_root, proof })
    }
}

fn in_order<'a>(
    one: &'a SignedCheckpoint,
    other: &'a SignedCheckpoint,
) -> (&'a SignedCheckpoint, &'a SignedCheckpoint) {
    if one.head().size <= other.head().size { (one, other) } else { (other, one) }
}

impl fmt::Display for SplitView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.first.to_string();
        writeln!(f, "{HEADER}\nfirst {}", first.len())?;
        writeln!(f, "prefix {}", base64(self.prefix_root.as_bytes()))?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", base64(hash.as_bytes())))?;
        write!(f, "\n{first}{}", self.second)
    }
}

#[cfg(test)]
mod tests;
