//! Keys that sign notes: the verifier's half and its text form, the signer's half (C2SP signed-note, "Signatures").

use std::{fmt, str::FromStr};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use qpq_core::{Digest, Timestamp};

use crate::{
    name::KeyName,
    note::NoteSignature,
    text::{base64, from_base64},
};

/// What a key's signatures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Ed25519 over the note's text: a log's own signature (signature type 0x01).
    Ed25519,
    /// Ed25519 over a time and the note's text: a witness's `cosignature/v1` (signature type 0x04).
    CosignatureV1,
}

impl Algorithm {
    /// The signature type's byte.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::CosignatureV1 => 4,
        }
    }

    /// The algorithm of a signature type's byte.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Ed25519),
            4 => Some(Self::CosignatureV1),
            _ => None,
        }
    }
}

/// The public half of a key that signs notes: name, algorithm, 32 bytes.
///
/// Its text form is a *vkey*: `<name>+<key id in hex>+<base64 of algorithm ‖ public key>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: KeyName,
    algorithm: Algorithm,
    public: [u8; 32],
}

/// Why a text is no vkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not three fields between `+`.
    #[error("a verifier key is written `name+hex id+base64`")]
    Form,
    /// It is for an algorithm that isn't spoken here.
    #[error("the key's signature type {0} isn't spoken here: 1 (Ed25519) and 4 (cosignature/v1) are")]
    Algorithm(u8),
    /// The id is not that of this name and key.
    #[error("the key's id does not belong to its name and bytes")]
    Id,
    /// The 32 bytes are no public key, or one under which anything verifies.
    #[error("the key's bytes are no Ed25519 public key")]
    Point,
}

impl VerifierKey {
    /// A key from its parts; `None` if the bytes are no point of the curve or one of small order.
    pub fn new(name: KeyName, algorithm: Algorithm, public: [u8; 32]) -> Option<Self> {
        let sound = VerifyingKey::from_bytes(&public).is_ok_and(|key| !key.is_weak());
        sound.then_some(Self { name, algorithm, public })
    }

    /// Who signs.
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// How.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public key's bytes.
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The first four bytes of SHA-256(name ‖ 0x0A ‖ algorithm ‖ public key).
    pub fn id(&self) -> u32 {
        let name = self.name.as_str().as_bytes();
        let digest = Digest::of(&[name, b"\n", &[self.algorithm.number()], &self.public]);
        let (id, _) = digest.as_bytes().split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
        u32::from_be_bytes(*id)
    }

    /// Whether a signature of a note says that it is by this key.
    pub fn claims(&self, signature: &NoteSignature) -> bool {
        signature.id() == self.id() && *signature.name() == self.name
    }

    /// Checks a signature that [claims](Self::claims) to be by this key over a note's text.
    pub fn verify(&self, text: &str, signature: &NoteSignature) -> Option<Verified> {
        let (signed, bytes, at_secs) = match self.algorithm {
            Algorithm::Ed25519 => (text.to_owned(), signature.bytes(), None),
            Algorithm::CosignatureV1 => {
                let (time, rest) = signature.bytes().split_first_chunk::<8>()?;
                let seconds = u64::from_be_bytes(*time);
                let sound = (seconds >> 63 == 0).then_some(seconds)?;
                (cosigned(seconds, text), rest, Some(sound))
            }
        };
        self.verify_bytes(signed.as_bytes(), bytes.try_into().ok()?).then_some(Verified { at_secs })
    }

    /// Whether an Ed25519 signature over bytes is this key's; strict (RFC 8032, no small-order keys).
    pub(crate) fn verify_bytes(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        let key = VerifyingKey::from_bytes(&self.public);
        key.is_ok_and(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok())
    }
}

/// A signature that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// When a witness saw the checkpoint, in seconds since the epoch; a log's own signature has no time.
    pub at_secs: Option<u64>,
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, rest) = text.split_once('+').ok_or(KeyError::Form)?;
        // The base64 may have `+` of its own.
        let (id, key) = rest.split_once('+').ok_or(KeyError::Form)?;
        let name: KeyName = name.parse().map_err(|_| KeyError::Form)?;
        let bytes = from_base64(key).ok_or(KeyError::Form)?;
        let (number, public) = bytes.split_first().ok_or(KeyError::Form)?;
        let algorithm = Algorithm::from_number(*number).ok_or(KeyError::Algorithm(*number))?;
        let public = public.try_into().map_err(|_| KeyError::Form)?;
        let key = Self::new(name, algorithm, public).ok_or(KeyError::Point)?;
        if id == format!("{:08x}", key.id()) { Ok(key) } else { Err(KeyError::Id) }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[self.algorithm.number()], self.public.as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, self.id(), base64(&bytes))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key that signs a log's checkpoints.
pub struct LogSigner {
    key: VerifierKey,
    secret: SigningKey,
}

/// A key that cosigns the checkpoints of others' logs.
pub struct WitnessSigner {
    key: VerifierKey,
    secret: SigningKey,
}

macro_rules! signers {
    ($($name:ident: $algorithm:ident),*) => {$(
        impl $name {
            /// The signer of this name.
            pub fn new(name: KeyName, secret: SigningKey) -> Self {
                let public = secret.verifying_key().to_bytes();
                Self { key: VerifierKey { name, algorithm: Algorithm::$algorithm, public }, secret }
            }

            /// The half that others need.
            pub const fn verifier(&self) -> &VerifierKey {
                &self.key
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.key).finish()
            }
        }
    )*};
}

signers!(LogSigner: Ed25519, WitnessSigner: CosignatureV1);

impl LogSigner {
    /// Signs a note's text.
    pub fn sign(&self, text: &str) -> NoteSignature {
        let signature = self.secret.sign(text.as_bytes()).to_bytes();
        NoteSignature::new(&self.key, &signature)
    }

    /// Signs bytes that are no note, under a label that no note begins with.
    pub(crate) fn sign_labelled(&self, bytes: &[u8]) -> [u8; 64] {
        self.secret.sign(bytes).to_bytes()
    }
}

impl WitnessSigner {
    /// Cosigns a checkpoint's text as seen at `now` (C2SP tlog-cosignature, "Ed25519 signed message").
    pub fn cosign(&self, text: &str, now: Timestamp) -> NoteSignature {
        let seconds = now.as_millis() / 1_000;
        let signature = self.secret.sign(cosigned(seconds, text).as_bytes()).to_bytes();
        NoteSignature::new(&self.key, &[seconds.to_be_bytes().as_slice(), &signature].concat())
    }
}

fn cosigned(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> KeyName {
        text.parse().unwrap()
    }

    /// From C2SP signed-note: the example note's key is not given there, but Go's test of the same format has this pair.
    #[test]
    fn the_vkey_of_go() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: VerifierKey = text.parse().unwrap();
        assert_eq!((key.id(), key.algorithm()), (0xc74f_20a3, Algorithm::Ed25519));
        assert_eq!(key.to_string(), text);
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
        let line = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
        let signature: NoteSignature = line.parse().unwrap();
        assert!(key.claims(&signature));
        assert_eq!(key.verify(note, &signature), Some(Verified { at_secs: None }));
        assert_eq!(key.verify(&note.replace("don't", "do"), &signature), None);
    }

    #[test]
    fn a_key_that_was_tampered_with_is_refused() {
        let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let cases = [
            ("PeterNeumann", KeyError::Form),
            ("PeterNeumann+c74f20a3", KeyError::Form),
            (&text.replace("c74f", "c74e"), KeyError::Id),
            (&text.replace("c74f", "C74F"), KeyError::Id),
            (&text.replace("Peter", "Petra"), KeyError::Id),
            (&text.replace("ARpc", "Ahpc"), KeyError::Algorithm(2)),
            (&text.replace("10TW", "10TW="), KeyError::Form),
        ];
        for (text, error) in &cases {
            assert_eq!(text.parse::<VerifierKey>(), Err(*error), "{text}");
        }
        let weak = [&[1], [0; 32].as_slice()].concat();
        let weak = format!("x+00000000+{}", base64(&weak));
        assert_eq!(weak.parse::<VerifierKey>(), Err(KeyError::Point));
    }

    #[test]
    fn a_cosignature_holds_for_its_time_and_text_only() {
        let signer = WitnessSigner::new(name("beta.test/kt-witness/v1"), SigningKey::from_bytes(&[4; 32]));
        let now = Timestamp::from_millis(1_800_000_000_999);
        let signature = signer.cosign("text\n", now);
        let verified = signer.verifier().verify("text\n", &signature);
        assert_eq!(verified, Some(Verified { at_secs: Some(1_800_000_000) }));
        assert_eq!(signer.verifier().verify("test\n", &signature), None);
        let mut later = signature.bytes().to_vec();
        later[7] ^= 1;
        let later = NoteSignature::new(signer.verifier(), &later);
        assert_eq!(signer.verifier().verify("text\n", &later), None);
        let log = LogSigner::new(name("beta.test/kt-witness/v1"), SigningKey::from_bytes(&[4; 32]));
        assert!(!log.verifier().claims(&signature), "the same key in another role has another id");
    }
}
