//! A proof as a file: JSON that holds all a stranger needs, and what each proof of it is worth.

use data_encoding::{BASE64, HEXLOWER};
use qpq_core::{Digest, Domain, MessageId, Pin};
use serde::{Deserialize, Serialize};

use crate::{
    statement::{ProofError, SignedStatement, Statement},
    tree::{Message, Place},
};

/// No proof file is longer.
pub const FILE_BYTES: usize = 1024 * 1024;

/// All proofs of one message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofFile {
    /// Names the format.
    pub format: FormatName,
    /// The message's id.
    pub message: String,
    /// SHA-256 of its ciphertext, in hexadecimal.
    pub ciphertext_sha256: String,
    /// What each domain signed.
    pub proofs: Vec<FileProof>,
}

/// The one format that there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FormatName {
    /// The first.
    #[default]
    #[serde(rename = "qpq/proof/v1")]
    First,
}

/// What one domain signed about the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileProof {
    /// Where the message went.
    pub recipient: String,
    /// The signed bytes, base64; the byte table is at [`Statement::to_bytes`].
    pub statement: String,
    /// The signature, base64.
    pub signature: String,
    /// The number of the message's leaf.
    pub index: u32,
    /// The hashes beside its way to the root in hexadecimal, the lowest first.
    pub path: Vec<String>,
    /// The pin of the signing domain's CA, as who vouches for the key knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// The domain that knows the key as the signing domain's own; not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouched_by: Option<String>,
}

/// Why bytes are no proof file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is too long.
    #[error("a proof file has at most {FILE_BYTES} bytes")]
    TooLarge,
    /// It is no JSON of this format.
    #[error("it is no proof file of format `qpq/proof/v1`: {0}")]
    Format(#[from] serde_json::Error),
    /// A field can't be read.
    #[error("`{field}` of the proof file can't be read")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// It proves nothing because there is nothing in it.
    #[error("the file holds no proof")]
    Empty,
}

/// One proof of a file, looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What the statement says, if it can be read at all.
    pub statement: Option<Statement>,
    /// Where the message went.
    pub recipient: Domain,
    /// The pin of the signing domain's CA.
    pub pin: Option<Pin>,
    /// Who vouches for the key.
    pub vouched_by: Option<Domain>,
    /// Whether signature and tree hold.
    pub outcome: Result<(), ProofError>,
}

impl FileProof {
    /// A proof that holds, for a file.
    pub fn of(
        signed: &SignedStatement,
        place: &Place,
        recipient: &Domain,
        (pin, vouched_by): (Option<Pin>, Option<Domain>),
    ) -> Self {
        Self {
            recipient: recipient.to_string(),
            statement: BASE64.encode(&signed.statement().to_bytes()),
            signature: BASE64.encode(signed.signature()),
            index: place.index,
            path: place.path.iter().map(ToString::to_string).collect(),
            pin: pin.map(|pin| pin.to_string()),
            vouched_by: vouched_by.map(|domain| domain.to_string()),
        }
    }

    fn judge(&self, id: MessageId, ciphertext: Digest) -> Result<Judged, FileError> {
        let recipient: Domain = self.recipient.parse().map_err(|_| unreadable("recipient"))?;
        let bytes = BASE64.decode(self.statement.as_bytes()).map_err(|_| unreadable("statement"))?;
        let signature = BASE64.decode(self.signature.as_bytes()).ok();
        let signature: [u8; 64] =
            signature.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| unreadable("signature"))?;
        let path: Option<Vec<Digest>> = self.path.iter().map(|hex| digest(hex)).collect();
        let place = Place { index: self.index, path: path.ok_or_else(|| unreadable("path"))? };
        let pin = self.pin.as_deref().map(str::parse).transpose().map_err(|_| unreadable("pin"))?;
        let vouched_by =
            self.vouched_by.as_deref().map(str::parse).transpose().map_err(|_| unreadable("vouchedBy"))?;
        let message = Message { id, ciphertext, recipient: recipient.clone() };
        let outcome =
            SignedStatement::from_parts(&bytes, signature).and_then(|signed| signed.covers(&message, &place));
        Ok(Judged { statement: Statement::from_bytes(&bytes).ok(), recipient, pin, vouched_by, outcome })
    }
}

impl ProofFile {
    /// A file for one message.
    pub fn new(message: MessageId, ciphertext: Digest, proofs: Vec<FileProof>) -> Self {
        Self {
            format: FormatName::First,
            message: message.to_string(),
            ciphertext_sha256: ciphertext.to_string(),
            proofs,
        }
    }

    /// Its text.
    pub fn to_text(&self) -> Result<String, FileError> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// Reads a file's bytes; what its proofs are worth says [`ProofFile::judge`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FileError> {
        if bytes.len() > FILE_BYTES {
            return Err(FileError::TooLarge);
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The message and the hash of its ciphertext, and each proof with what it is worth.
    pub fn judge(&self) -> Result<(MessageId, Digest, Vec<Judged>), FileError> {
        let id: MessageId = self.message.parse().map_err(|_| unreadable("message"))?;
        let ciphertext = digest(&self.ciphertext_sha256).ok_or_else(|| unreadable("ciphertextSha256"))?;
        if self.proofs.is_empty() {
            return Err(FileError::Empty);
        }
        let judged: Result<Vec<Judged>, FileError> =
            self.proofs.iter().map(|proof| proof.judge(id, ciphertext)).collect();
        Ok((id, ciphertext, judged?))
    }
}

const fn unreadable(field: &'static str) -> FileError {
    FileError::Field { field }
}

fn digest(hex: &str) -> Option<Digest> {
    HEXLOWER.decode(hex.as_bytes()).ok().and_then(|bytes| Digest::from_slice(&bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::statement::{
        Role,
        tests::{message, signer, terms},
    };

    fn file() -> ProofFile {
        let messages: Vec<Message> = (0..5).map(message).collect();
        let (signed, places) = SignedStatement::sign(&signer(), terms(Role::Stored), &messages).unwrap();
        let alpha: Domain = "alpha.test".parse().unwrap();
        let pin = Pin::from_digest(Digest::ZERO);
        let proof = FileProof::of(&signed, &places[2], &messages[2].recipient, (Some(pin), Some(alpha)));
        ProofFile::new(messages[2].id, messages[2].ciphertext, vec![proof])
    }

    #[test]
    fn a_file_proves_what_it_says() {
        let text = file().to_text().unwrap();
        let (id, ciphertext, judged) = ProofFile::from_bytes(text.as_bytes()).unwrap().judge().unwrap();
        assert_eq!((id, ciphertext), (message(2).id, message(2).ciphertext));
        assert_eq!(judged.len(), 1);
        assert_eq!(judged[0].outcome, Ok(()));
        assert_eq!(judged[0].statement.as_ref().unwrap().terms, terms(Role::Stored));
        assert_eq!(judged[0].vouched_by.as_ref().unwrap().as_str(), "alpha.test");
    }

    #[test]
    fn another_message_or_ciphertext_is_not_proven() {
        let other_message = ProofFile { message: message(1).id.to_string(), ..file() };
        let other_text = ProofFile { ciphertext_sha256: Digest::ZERO.to_string(), ..file() };
        for changed in [other_message, other_text] {
            let (_, _, judged) = changed.judge().unwrap();
            assert_eq!(judged[0].outcome, Err(ProofError::NotCovered));
        }
        let mut forged = file();
        forged.proofs[0].signature = BASE64.encode(&[1; 64]);
        assert_eq!(forged.judge().unwrap().2[0].outcome, Err(ProofError::Signature));
    }

    #[test]
    fn what_is_no_proof_file_says_why() {
        let nothing = ProofFile { proofs: Vec::new(), ..file() };
        assert!(matches!(nothing.judge(), Err(FileError::Empty)));
        assert!(matches!(ProofFile::from_bytes(b"{}"), Err(FileError::Format(_))));
        assert!(matches!(ProofFile::from_bytes(&vec![b' '; FILE_BYTES + 1]), Err(FileError::TooLarge)));
        let other_format = file().to_text().unwrap().replace("qpq/proof/v1", "qpq/proof/v9");
        assert!(matches!(ProofFile::from_bytes(other_format.as_bytes()), Err(FileError::Format(_))));
        let mut broken = file();
        broken.proofs[0].path = vec!["xyz".to_owned()];
        assert!(matches!(broken.judge(), Err(FileError::Field { field: "path" })));
    }

    proptest! {
        #[test]
        fn a_changed_byte_never_proves_another_thing(at: prop::sample::Index, value in 32_u8..127) {
            let text = file().to_text().unwrap();
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = value;
            let Ok((id, ciphertext, judged)) =
                ProofFile::from_bytes(&bytes).and_then(|file| file.judge()) else { return Ok(()) };
            if judged[0].outcome.is_ok() {
                prop_assert_eq!((id, ciphertext), (message(2).id, message(2).ciphertext));
                let statement = judged[0].statement.as_ref().unwrap();
                prop_assert_eq!(&statement.terms, &terms(Role::Stored));
            }
        }
    }
}
