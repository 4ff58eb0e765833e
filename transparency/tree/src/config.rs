//! What a domain says about itself in its log: its keys with their times, and who witnesses it.
//!
//! A CONFIG entry is public: its label id is 32 × 0xFF, and anybody may have its value. Entry 0 of every log is one, and the
//! older ones stay, so a signature is judged by the key that was valid when it was made.
//!
//! # Bytes
//! Big-endian, no padding; one value has one encoding. A *name* is its length (u16) and its bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format: 1 |
//! | 1 | format of the log's entries: 1 |
//! | 1 | *k*: number of keys, 2 to 32 |
//! | *k* × 50 | use (see [`KeyUse`]), algorithm (1 Ed25519, 2 ECVRF-EDWARDS25519-SHA512-TAI), public key (32), valid from and until (u64 ms each; until is exclusive, 2⁶⁴−1 for no end); in the order of the numbers, each once |
//! | 1 | *w*: number of witnesses, at most 15 |
//! | *w* × (name, 32) | the witness's name and public key (cosignature/v1), ascending by name, each name once |
//! | 1 | what follows: bit 0 successor, bit 1 predecessor, bit 2 audit head; other bits 0 |
//! | name | successor: the origin of the log that continues this one |
//! | name, 8, 32 | predecessor: the origin of the log that this one continues, with the size and root that were last cosigned |
//! | 8, 32 | number and hash of the newest row of the domain's audit chain |

use qpq_core::{
    Digest, Timestamp,
    codec::{CodecError, Reader},
};

use crate::{
    checkpoint::TreeHead,
    key::{Algorithm, VerifierKey},
    name::{KeyName, NAME_BYTES},
    vrf::VrfPublic,
};

/// The most keys of a CONFIG.
pub const CONFIG_KEYS: usize = 32;
/// The most witnesses of a log: a note has room for so many signatures, and one is the log's own.
pub const CONFIG_WITNESSES: usize = 15;
/// The most bytes of a CONFIG's value.
pub const CONFIG_BYTES: usize = 16_000;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyUse {
    /// Signs checkpoints and claims (1).
    Log,
    /// Turns labels into label ids (2); one per origin, for ever.
    Vrf,
    /// Signs relay batches, peering statements and delivery proofs (3).
    Federation,
    /// Speaks for the hub as an external sender of MLS groups (4).
    MlsHub,
    /// Signs reports (5).
    Report,
    /// Cosigns the logs of others (6).
    Witness,
}

impl KeyUse {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Log, Self::Vrf, Self::Federation, Self::MlsHub, Self::Report, Self::Witness];

    /// The number in the bytes.
    pub const fn number(self) -> u8 {
        match self {
            Self::Log => 1,
            Self::Vrf => 2,
            Self::Federation => 3,
            Self::MlsHub => 4,
            Self::Report => 5,
            Self::Witness => 6,
        }
    }

    /// The use of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|key_use| key_use.number() == number)
    }

    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Vrf => "vrf",
            Self::Federation => "federation",
            Self::MlsHub => "mls-hub",
            Self::Report => "report",
            Self::Witness => "witness",
        }
    }

    const fn algorithm(self) -> u8 {
        match self {
            Self::Vrf => 2,
            Self::Log | Self::Federation | Self::MlsHub | Self::Report | Self::Witness => 1,
        }
    }
}

/// A key of the domain with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainKey {
    /// What it is for; that also says its algorithm.
    pub key_use: KeyUse,
    /// The public key.
    pub public: [u8; 32],
    /// From when it counts.
    pub not_before: Timestamp,
    /// Until when, exclusive; `None` for no end.
    pub not_after: Option<Timestamp>,
}

impl DomainKey {
    /// Whether it counts at this time.
    pub fn is_valid_at(&self, time: Timestamp) -> bool {
        self.not_before <= time && self.not_after.is_none_or(|end| time < end)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.key_use.number(), self.key_use.algorithm()]);
        out.extend_from_slice(&self.public);
        out.extend_from_slice(&self.not_before.as_millis().to_be_bytes());
        let end = self.not_after.map_or(u64::MAX, Timestamp::as_millis);
        out.extend_from_slice(&end.to_be_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let key_use = KeyUse::from_number(reader.u8()?).ok_or(CodecError::Invalid("the use of a key"))?;
        if reader.u8()? != key_use.algorithm() {
            return Err(CodecError::Invalid("the algorithm of a key"));
        }
        let public = reader.array()?;
        let not_before = Timestamp::from_millis(reader.u64()?);
        let end = reader.u64()?;
        let not_after = (end != u64::MAX).then(|| Timestamp::from_millis(end));
        Ok(Self { key_use, public, not_before, not_after })
    }
}

/// The newest row of a domain's audit chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AuditHead {
    /// Its number.
    pub number: u64,
    /// Its hash, which covers all rows before.
    pub hash: Digest,
}

/// The log that one continues.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PredecessorLog {
    /// Its origin.
    pub origin: KeyName,
    /// What was last cosigned of it.
    pub head: TreeHead,
}

/// What a domain says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    keys: Vec<DomainKey>,
    witnesses: Vec<VerifierKey>,
    /// The log that continues this one.
    pub successor: Option<KeyName>,
    /// The log that this one continues.
    pub predecessor: Option<PredecessorLog>,
    /// The head of the audit chain when this was said.
    pub audit: Option<AuditHead>,
}

/// Why parts make no CONFIG.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Too many keys.
    #[error("a CONFIG has at most {CONFIG_KEYS} keys")]
    TooManyKeys,
    /// No log key, or not exactly one VRF key.
    #[error("a CONFIG names at least one log key and exactly one VRF key")]
    NeededKeys,
    /// A key's bytes are no key.
    #[error("a key's bytes are no public key")]
    Point,
    /// Too many witnesses.
    #[error("a CONFIG has at most {CONFIG_WITNESSES} witnesses")]
    TooManyWitnesses,
    /// A name or a key twice, or a key that is no witness's.
    #[error("a witness is named twice, or is none")]
    Witnesses,
}

impl Config {
    /// A CONFIG without successor, predecessor and audit head; keys and witnesses in any order.
    pub fn new(mut keys: Vec<DomainKey>, mut witnesses: Vec<VerifierKey>) -> Result<Self, ConfigError> {
        keys.sort_unstable();
        keys.dedup();
        if keys.len() > CONFIG_KEYS {
            return Err(ConfigError::TooManyKeys);
        }
        let count = |wanted: KeyUse| keys.iter().filter(|key| key.key_use == wanted).count();
        if count(KeyUse::Log) == 0 || count(KeyUse::Vrf) != 1 {
            return Err(ConfigError::NeededKeys);
        }
        if keys.iter().any(|key| VrfPublic::from_bytes(key.public).is_none()) {
            return Err(ConfigError::Point);
        }
        if witnesses.len() > CONFIG_WITNESSES {
            return Err(ConfigError::TooManyWitnesses);
        }
        witnesses.sort_unstable();
        let foreign = witnesses.iter().any(|key| key.algorithm() != Algorithm::CosignatureV1);
        // One witness under two names would count twice.
        let twice = witnesses.iter().enumerate().any(|(index, key)| {
            let others = witnesses.iter().take(index);
            others.into_iter().any(|other| other.name() == key.name() || other.public() == key.public())
        });
        if foreign || twice {
            return Err(ConfigError::Witnesses);
        }
        Ok(Self { keys, witnesses, successor: None, predecessor: None, audit: None })
    }

    /// The keys, by use.
    pub fn keys(&self) -> &[DomainKey] {
        &self.keys
    }

    /// Who witnesses, ascending by name.
    pub fn witnesses(&self) -> &[VerifierKey] {
        &self.witnesses
    }

    /// The VRF key.
    pub fn vrf(&self) -> Option<VrfPublic> {
        let key = self.keys.iter().find(|key| key.key_use == KeyUse::Vrf)?;
        VrfPublic::from_bytes(key.public)
    }

    /// Whether a key of this use counts at a time.
    pub fn has_key(&self, key_use: KeyUse, public: &[u8; 32], time: Timestamp) -> bool {
        self.keys.iter().any(|key| key.key_use == key_use && key.public == *public && key.is_valid_at(time))
    }

    /// The bytes that the entry commits to (the module's table).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![1, 1];
        out.push(u8::try_from(self.keys.len()).unwrap_or(u8::MAX));
        self.keys.iter().for_each(|key| key.put(&mut out));
        out.push(u8::try_from(self.witnesses.len()).unwrap_or(u8::MAX));
        for witness in &self.witnesses {
            put_name(&mut out, witness.name());
            out.extend_from_slice(witness.public());
        }
        let has = |there: bool, bit: u8| if there { 1 << bit } else { 0 };
        let Self { successor, predecessor, audit, .. } = self;
        out.push(has(successor.is_some(), 0) | has(predecessor.is_some(), 1) | has(audit.is_some(), 2));
        if let Some(origin) = successor {
            put_name(&mut out, origin);
        }
        if let Some(PredecessorLog { origin, head }) = predecessor {
            put_name(&mut out, origin);
            put_numbered(&mut out, head.size, &head.root);
        }
        if let Some(AuditHead { number, hash }) = audit {
            put_numbered(&mut out, *number, hash);
        }
        out
    }

    /// Reads such bytes; what is read encodes to the same bytes again.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.len() > CONFIG_BYTES {
            return Err(CodecError::TooLarge("the CONFIG"));
        }
        let mut reader = Reader::new(bytes);
        if reader.array()? != [1, 1] {
            return Err(CodecError::Invalid("the CONFIG's format"));
        }
        let mut keys = Vec::new();
        for _ in 0..reader.u8()? {
            keys.push(DomainKey::read(&mut reader)?);
        }
        let mut witnesses = Vec::new();
        for _ in 0..reader.u8()? {
            let name = read_name(&mut reader)?;
            let key = VerifierKey::new(name, Algorithm::CosignatureV1, reader.array()?);
            witnesses.push(key.ok_or(CodecError::Invalid("a witness's key"))?);
        }
        let mut config = Self::new(keys, witnesses).map_err(|_| CodecError::Invalid("the CONFIG"))?;
        let follows = reader.u8()?;
        if follows > 7 {
            return Err(CodecError::Invalid("the CONFIG's last part"));
        }
        if follows & 1 != 0 {
            config.successor = Some(read_name(&mut reader)?);
        }
        if follows & 2 != 0 {
            let origin = read_name(&mut reader)?;
            let (size, root) = (reader.u64()?, Digest::from_bytes(reader.array()?));
            config.predecessor = Some(PredecessorLog { origin, head: TreeHead { size, root } });
        }
        if follows & 4 != 0 {
            let (number, hash) = (reader.u64()?, Digest::from_bytes(reader.array()?));
            config.audit = Some(AuditHead { number, hash });
        }
        reader.finish()?;
        // Another order, a repeat, or a time that can't be held would be another encoding of the same.
        if config.to_bytes() == bytes { Ok(config) } else { Err(CodecError::Invalid("the CONFIG's order")) }
    }
}

fn put_name(out: &mut Vec<u8>, name: &KeyName) {
    let name = name.as_str().as_bytes();
    out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(name);
}

fn put_numbered(out: &mut Vec<u8>, number: u64, hash: &Digest) {
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(hash.as_bytes());
}

fn read_name(reader: &mut Reader<'_>) -> Result<KeyName, CodecError> {
    let length = usize::from(reader.u16()?);
    if length > NAME_BYTES {
        return Err(CodecError::TooLarge("a name"));
    }
    let name = std::str::from_utf8(reader.take(length)?).ok().and_then(|name| name.parse().ok());
    name.ok_or(CodecError::Invalid("a name"))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    use super::*;
    use crate::{LogSigner, WitnessSigner};

    fn key(key_use: KeyUse, n: u8) -> DomainKey {
        let public = SigningKey::from_bytes(&[n; 32]).verifying_key().to_bytes();
        DomainKey { key_use, public, not_before: Timestamp::from_millis(u64::from(n)), not_after: None }
    }

    fn witness(n: u8) -> VerifierKey {
        let name = format!("w{n}.test/kt-witness/v1").parse().unwrap();
        WitnessSigner::new(name, SigningKey::from_bytes(&[n; 32])).verifier().clone()
    }

    fn config() -> Config {
        let keys = vec![key(KeyUse::Vrf, 2), key(KeyUse::Log, 1), key(KeyUse::Federation, 3)];
        Config::new(keys, vec![witness(6), witness(5)]).unwrap()
    }

    #[test]
    fn all_parts_round_trip() {
        let full = Config {
            successor: Some("alpha.test/kt/v2".parse().unwrap()),
            predecessor: Some(PredecessorLog {
                origin: "alpha.test/kt/v0".parse().unwrap(),
                head: TreeHead { size: 9, root: Digest::of(&[b"r"]) },
            }),
            audit: Some(AuditHead { number: 4, hash: Digest::of(&[b"a"]) }),
            ..config()
        };
        for config in [config(), full] {
            assert_eq!(Config::from_bytes(&config.to_bytes()), Ok(config));
        }
    }

    #[test]
    fn keys_have_a_use_and_a_time() {
        let until = Timestamp::from_millis(50);
        let old = DomainKey { not_after: Some(until), ..key(KeyUse::Federation, 9) };
        let config = Config::new([config().keys(), &[old]].concat(), vec![]).unwrap();
        let has = |key_use, at| config.has_key(key_use, &old.public, Timestamp::from_millis(at));
        assert!(has(KeyUse::Federation, 9) && has(KeyUse::Federation, 49));
        assert!(!has(KeyUse::Federation, 8) && !has(KeyUse::Federation, 50) && !has(KeyUse::Log, 20));
        assert_eq!(config.vrf().map(|vrf| *vrf.as_bytes()), Some(key(KeyUse::Vrf, 2).public));
    }

    #[test]
    fn what_makes_no_config_says_why() {
        let new =
            |keys: &[DomainKey], witnesses: &[VerifierKey]| Config::new(keys.to_vec(), witnesses.to_vec());
        let (log, vrf) = (key(KeyUse::Log, 1), key(KeyUse::Vrf, 2));
        assert_eq!(new(&[vrf], &[]), Err(ConfigError::NeededKeys));
        assert_eq!(new(&[log], &[]), Err(ConfigError::NeededKeys));
        assert_eq!(new(&[log, vrf, key(KeyUse::Vrf, 3)], &[]), Err(ConfigError::NeededKeys));
        let weak = DomainKey { public: [0; 32], ..log };
        assert_eq!(new(&[log, vrf, weak], &[]), Err(ConfigError::Point));
        assert_eq!(new(&[log, vrf], &[witness(4), witness(4)]), Err(ConfigError::Witnesses));
        let other_name: KeyName = "other.test/kt-witness/v1".parse().unwrap();
        let same_key = VerifierKey::new(other_name, Algorithm::CosignatureV1, *witness(4).public()).unwrap();
        assert_eq!(new(&[log, vrf], &[witness(4), same_key]), Err(ConfigError::Witnesses));
        let no_witness = LogSigner::new("a.test/kt/v1".parse().unwrap(), SigningKey::from_bytes(&[1; 32]));
        assert_eq!(new(&[log, vrf], &[no_witness.verifier().clone()]), Err(ConfigError::Witnesses));
        let many: Vec<VerifierKey> = (1..=16).map(witness).collect();
        assert_eq!(new(&[log, vrf], &many), Err(ConfigError::TooManyWitnesses));
        let many: Vec<DomainKey> = (3..=33).map(|n| key(KeyUse::Report, n)).chain([log, vrf]).collect();
        assert_eq!(new(&many, &[]), Err(ConfigError::TooManyKeys));
    }

    #[test]
    fn one_config_has_one_encoding() {
        let mut bytes = config().to_bytes();
        bytes[3..103].rotate_left(50);
        assert_eq!(Config::from_bytes(&bytes), Err(CodecError::Invalid("the CONFIG's order")));
        let long = vec![1; CONFIG_BYTES + 1];
        assert_eq!(Config::from_bytes(&long), Err(CodecError::TooLarge("the CONFIG")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(at in 0..200_usize, byte: u8, cut in 0..300_usize) {
            let mut bytes = config().to_bytes();
            bytes.truncate(cut);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            if let Ok(config) = Config::from_bytes(&bytes) {
                prop_assert_eq!(config.to_bytes(), bytes);
            }
        }
    }
}
