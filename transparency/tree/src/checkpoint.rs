//! Checkpoints: what a log says it is, at one size (C2SP tlog-checkpoint).

use std::fmt;

use qpq_core::{Digest, Timestamp};

use crate::{
    key::{LogSigner, VerifierKey, WitnessSigner},
    name::KeyName,
    note::{NoteError, NoteSignature, SignedNote},
    text::{base64, hash_from_base64, number},
};

/// The head of a tree: how many leaves, and the root over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeHead {
    /// How many leaves; below 2⁶³.
    pub size: u64,
    /// The Merkle tree hash over them (RFC 6962, section 2.1).
    pub root: Digest,
}

/// What a log signs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// Which log.
    pub origin: KeyName,
    /// Its head.
    pub head: TreeHead,
    /// Further lines, each not empty; ours have none.
    pub extensions: Vec<String>,
}

/// Why a note is no checkpoint, or not one to believe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is no note, or its signatures don't hold.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The first line can't be an origin.
    #[error("the checkpoint's origin can't be the name of a log")]
    Origin,
    /// The second line is no size.
    #[error("the checkpoint's size is no plain number below 2⁶³")]
    Size,
    /// The third line is no hash.
    #[error("the checkpoint's root is no hash in base64")]
    Root,
    /// A further line is empty.
    #[error("the checkpoint has an empty line")]
    Extension,
}

impl Checkpoint {
    /// The checkpoint of a head, without further lines.
    pub const fn new(origin: KeyName, head: TreeHead) -> Self {
        Self { origin, head, extensions: Vec::new() }
    }

    /// Reads a note's text.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let origin = lines.next().and_then(|line| line.parse().ok()).ok_or(CheckpointError::Origin)?;
        let size = lines.next().and_then(number).ok_or(CheckpointError::Size)?;
        let root = lines.next().and_then(hash_from_base64).ok_or(CheckpointError::Root)?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(CheckpointError::Extension);
        }
        Ok(Self { origin, head: TreeHead { size, root }, extensions })
    }

    /// The note's text: origin, size, root, further lines, each ended by a line feed.
    pub fn to_text(&self) -> String {
        let TreeHead { size, root } = self.head;
        let mut text = format!("{}\n{size}\n{}\n", self.origin, base64(root.as_bytes()));
        for line in &self.extensions {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// A note whose text is a checkpoint; whose signatures hold is still to be seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignedCheckpoint {
    note: SignedNote,
    checkpoint: Checkpoint,
}

impl SignedCheckpoint {
    /// Signs a log's checkpoint.
    pub fn sign(signer: &LogSigner, head: TreeHead) -> Self {
        let checkpoint = Checkpoint::new(signer.verifier().name().clone(), head);
        let text = checkpoint.to_text();
        let signature = signer.sign(&text);
        Self { note: SignedNote::new(text, signature), checkpoint }
    }

    /// Reads a note that should be one.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = SignedNote::parse(bytes)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { note, checkpoint })
    }

    /// What it says.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The log's head as it says.
    pub const fn head(&self) -> TreeHead {
        self.checkpoint.head
    }

    /// The note around it.
    pub const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Whether it is of the log that the key is named after, and that key signed it.
    pub fn signed_by(&self, log: &VerifierKey) -> Result<(), NoteError> {
        if self.checkpoint.origin != *log.name() {
            return Err(NoteError::Unsigned);
        }
        self.note.opened_by(std::slice::from_ref(log)).map(|_| ())
    }

    /// The same with one signature only, the first by this log's key that holds; `None` if there is none, or another that says it
    /// is by that key and is not.
    #[must_use]
    pub fn only_by(self, log: &VerifierKey) -> Option<Self> {
        self.signed_by(log).ok()?;
        let signature = self.note.signatures().iter().find(|signature| log.claims(signature))?.clone();
        Some(Self { note: SignedNote::new(self.note.text().to_owned(), signature), ..self })
    }

    /// A witness's signature for it.
    pub fn cosign(&self, witness: &WitnessSigner, now: Timestamp) -> NoteSignature {
        witness.cosign(self.note.text(), now)
    }

    /// The same with one more signature.
    #[must_use]
    pub fn with(self, signature: NoteSignature) -> Self {
        Self { note: self.note.with(signature), checkpoint: self.checkpoint }
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.note, f)
    }
}
