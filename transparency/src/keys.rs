//! The keys of a domain's log, and the one with which it witnesses the logs of others.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use ed25519_dalek::SigningKey;
use qpq_core::{Domain, Secret};
use qpq_transparency_tree::{
    KeyName, LogSigner, WitnessSigner,
    config::KeyUse,
    label::{Label, LabelId},
    vrf::{VrfProof, VrfSecret},
};

/// The secret halves, 32 bytes each, as they lie on the disk.
#[derive(Debug)]
pub struct LogSeeds {
    /// Signs checkpoints and claims.
    pub log: Secret<[u8; 32]>,
    /// Gives labels their places. Never changes: another one would give every label another place.
    pub vrf: Secret<[u8; 32]>,
}

/// The keys, ready to sign.
pub struct LogKeys {
    log: LogSigner,
    vrf: VrfSecret,
    /// Where labels that were asked for lately are: proving it takes a third of a millisecond, and it never changes.
    places: Mutex<BTreeMap<Vec<u8>, (LabelId, VrfProof)>>,
}

/// How many labels' places are remembered at once.
const PLACES: usize = 4_096;

impl LogKeys {
    /// The keys of a domain's log.
    pub fn new(domain: &Domain, seeds: &LogSeeds) -> Self {
        let log = LogSigner::new(KeyName::of_log(domain), SigningKey::from_bytes(seeds.log.expose()));
        Self { log, vrf: VrfSecret::from_seed(seeds.vrf.expose()), places: Mutex::default() }
    }

    /// Signs the log.
    pub const fn log(&self) -> &LogSigner {
        &self.log
    }

    /// The log's name.
    pub const fn origin(&self) -> &KeyName {
        self.log.verifier().name()
    }

    /// Where a label's entries are, with the proof of it. `None` for one label in 2^256, which has no place.
    pub fn place(&self, label: &Label) -> Option<(LabelId, VrfProof)> {
        let places = || self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = places().get(label.as_bytes()) {
            return Some(*known);
        }
        let (output, proof) = self.vrf.prove(label.as_bytes())?;
        let place = (LabelId::of(&output), proof);
        let mut places = places();
        if places.len() >= PLACES {
            places.clear();
        }
        places.insert(label.as_bytes().to_vec(), place);
        Some(place)
    }

    /// The public halves, with what they are for.
    pub fn public(&self) -> [(KeyUse, [u8; 32]); 2] {
        [(KeyUse::Log, *self.log.verifier().public()), (KeyUse::Vrf, *self.vrf.public().as_bytes())]
    }
}

/// The key that cosigns the logs of others, ready to sign. It is in no backup: what a witness said must not be forgotten, so
/// a server whose database went back makes a new one.
#[derive(Debug)]
pub struct WitnessKey(WitnessSigner);

impl WitnessKey {
    /// A domain's key, from its secret half as it lies on the disk.
    pub fn new(domain: &Domain, seed: &Secret<[u8; 32]>) -> Self {
        Self(WitnessSigner::new(KeyName::of_witness(domain), SigningKey::from_bytes(seed.expose())))
    }

    /// Signs.
    pub const fn signer(&self) -> &WitnessSigner {
        &self.0
    }

    /// The public half, with what it is for.
    pub const fn public(&self) -> (KeyUse, [u8; 32]) {
        (KeyUse::Witness, *self.0.verifier().public())
    }
}

impl std::fmt::Debug for LogKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LogKeys").field(self.log.verifier()).finish()
    }
}
