//! A log that is made in memory and tells the truth: what the tests bend into lies, and what the published vectors are of.
//!
//! Only for tests and for the example that writes the vectors. Everything in it follows from constants.

use std::collections::BTreeMap;

use ed25519_dalek::{Signer, SigningKey};
use qpq_core::{AccountId, DeviceId, Digest, IdentityKey, Millis, SignatureKey, Timestamp};
use qpq_transparency_tree::{
    KeyName, LogSigner, SignedCheckpoint, TreeHead, WitnessSigner,
    claim::LatestClaim,
    commitment::{Opening, commit},
    config::{Config, DomainKey, KeyUse},
    entry::{Entry, Kind},
    growth::RightEdge,
    label::{Label, LabelId},
    lookup::{
        Asker, Evidence, KnownLabel, LookupAnswer, LookupError, PinnedLog, Proven, Question, ResetEvidence,
        Verified, View, verify,
    },
    proofs::ProofPlan,
    value::{AccountValue, LoggedDevice, Reason, SignedValue, Standing, Status, signed_bytes},
    vrf::VrfSecret,
};

/// When the log begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Opening and value, until they are erased.
pub(crate) type Contents = Option<(Opening, Vec<u8>)>;

/// The log of `alpha.test`.
pub(crate) struct SampleLog {
    pub(crate) origin: KeyName,
    pub(crate) signer: LogSigner,
    pub(crate) vrf: VrfSecret,
    pub(crate) witnesses: Vec<WitnessSigner>,
    pub(crate) now: Timestamp,
    pub(crate) entries: Vec<(Entry, Contents)>,
    tiles: BTreeMap<(u8, u64), Vec<Digest>>,
    edge: RightEdge,
}

fn public(n: u8) -> [u8; 32] {
    SigningKey::from_bytes(&[n; 32]).verifying_key().to_bytes()
}

pub(crate) fn witness(n: u8) -> WitnessSigner {
    let name = format!("w{n}.test/kt-witness/v1").parse().unwrap();
    WitnessSigner::new(name, SigningKey::from_bytes(&[100 + n; 32]))
}

impl SampleLog {
    /// A log with so many witnesses, and its first CONFIG.
    pub(crate) fn new(witnesses: u8) -> Self {
        let origin = KeyName::of_log(&"alpha.test".parse().unwrap());
        let mut log = Self {
            signer: LogSigner::new(origin.clone(), SigningKey::from_bytes(&[1; 32])),
            origin,
            vrf: VrfSecret::from_seed(&[2; 32]),
            witnesses: (1..=witnesses).map(witness).collect(),
            now: START,
            entries: Vec::new(),
            tiles: BTreeMap::new(),
            edge: RightEdge::empty(),
        };
        log.configure(&log.config());
        log
    }

    pub(crate) fn config(&self) -> Config {
        let key = |key_use, public| DomainKey { key_use, public, not_before: START, not_after: None };
        let keys = vec![
            key(KeyUse::Log, public(1)),
            key(KeyUse::Vrf, *self.vrf.public().as_bytes()),
            key(KeyUse::Federation, public(3)),
        ];
        Config::new(keys, self.witnesses.iter().map(|one| one.verifier().clone()).collect()).unwrap()
    }

    pub(crate) fn configure(&mut self, config: &Config) {
        let bytes = config.to_bytes();
        self.push(Kind::Config, LabelId::CONFIG, LabelId::CONFIG.as_bytes(), bytes);
    }

    pub(crate) fn label_id(&self, label: &Label) -> LabelId {
        LabelId::of(&self.vrf.prove(label.as_bytes()).unwrap().0)
    }

    pub(crate) fn later(&mut self, span: Millis) {
        self.now = self.now.after(span);
    }

    /// Appends an entry as it comes, whether or not it may stand there.
    pub(crate) fn push(&mut self, kind: Kind, label_id: LabelId, label: &[u8], value: Vec<u8>) -> Entry {
        let before = self.latest_of(label_id);
        let version = before.map_or(0, |index| self.entries[index].0.version + 1);
        let prev = before.map_or(Digest::ZERO, |index| self.entries[index].0.leaf_hash());
        let opening = Opening::from_bytes(Digest::of(&[&self.entries.len().to_be_bytes()]).first_half());
        let commitment = commit(&opening, label, version, &value);
        let entry = Entry { kind, label_id, version, time: self.now, prev, commitment };
        self.append(entry, Some((opening, value)));
        entry
    }

    pub(crate) fn append(&mut self, entry: Entry, contents: Contents) {
        for (tile, hashes) in self.edge.append(&[entry.leaf_hash()]).unwrap() {
            self.tiles.insert((tile.level(), tile.index()), hashes);
        }
        self.entries.push((entry, contents));
    }

    pub(crate) fn latest_of(&self, label_id: LabelId) -> Option<usize> {
        self.entries.iter().rposition(|(entry, _)| entry.label_id == label_id)
    }

    /// Where a version of a label is.
    pub(crate) fn place_of(&self, label_id: LabelId, version: u32) -> usize {
        let is_it = |(entry, _): &(Entry, _)| entry.label_id == label_id && entry.version == version;
        self.entries.iter().position(is_it).unwrap()
    }

    /// Logs a person's next version.
    pub(crate) fn log(&mut self, person: &Person, signed: &SignedValue) -> Entry {
        let (label, value) = (&person.label, signed.to_bytes());
        self.push(signed.value.status().kind(), self.label_id(label), label.as_bytes(), value)
    }

    pub(crate) fn standing(&self, label_id: LabelId) -> (u32, Digest) {
        match self.latest_of(label_id) {
            None => (0, Digest::ZERO),
            Some(index) => (self.entries[index].0.version + 1, self.entries[index].0.leaf_hash()),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(crate) fn head(&self, size: u64) -> TreeHead {
        let root = ProofPlan::root(size).unwrap().answer(&self.tiles).unwrap()[0];
        TreeHead { size, root }
    }

    /// A checkpoint of the present time, signed by the log and all its witnesses.
    pub(crate) fn checkpoint(&self, size: u64) -> SignedCheckpoint {
        let signed = SignedCheckpoint::sign(&self.signer, self.head(size));
        self.witnesses.iter().fold(signed, |signed, witness| {
            let signature = signed.cosign(witness, self.now);
            signed.with(signature)
        })
    }

    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Vec<Digest> {
        ProofPlan::inclusion(index, size).unwrap().answer(&self.tiles).unwrap()
    }

    pub(crate) fn consistency(&self, old: u64, new: u64) -> Vec<Digest> {
        ProofPlan::consistency(old, new).unwrap().answer(&self.tiles).unwrap()
    }

    pub(crate) fn proven(&self, index: usize) -> Proven {
        let (entry, contents) = self.entries[index].clone();
        let index = u64::try_from(index).unwrap();
        Proven { entry, index, inclusion: self.inclusion(index, self.size()), contents }
    }

    fn reason(&self, index: usize) -> Option<Reason> {
        let (_, contents) = self.entries[index].clone();
        Some(SignedValue::from_bytes(&contents?.1).ok()?.value.reason())
    }

    /// That a reset was announced; the checkpoint that had it is made at the announcement's time.
    pub(crate) fn announcement(&self, reset: usize) -> ResetEvidence {
        let entry = self.entries[reset].0;
        self.announced_by(self.place_of(entry.label_id, entry.version - 1))
    }

    /// The same for an announcement at a place.
    pub(crate) fn announced_by(&self, pending: usize) -> ResetEvidence {
        let (index, size) = (u64::try_from(pending).unwrap(), u64::try_from(pending).unwrap() + 1);
        let then = self.entries[pending].0.time;
        let signed = SignedCheckpoint::sign(&self.signer, self.head(size));
        let seen = self.witnesses.iter().fold(signed, |signed, witness| {
            let signature = signed.cosign(witness, then);
            signed.with(signature)
        });
        ResetEvidence {
            pending: self.proven(pending),
            seen,
            seen_inclusion: self.inclusion(index, size),
            consistency: self.consistency(size, self.size()),
            config: None,
        }
    }

    /// The truth about a label.
    pub(crate) fn answer(&self, label: &Label, view: View) -> LookupAnswer {
        let (output, vrf_proof) = self.vrf.prove(label.as_bytes()).unwrap();
        let label_id = LabelId::of(&output);
        let of_label =
            |(index, (entry, _)): (usize, &(Entry, _))| (entry.label_id == label_id).then_some(index);
        let versions: Vec<usize> = self.entries.iter().enumerate().filter_map(of_label).collect();
        let latest = versions.last().copied();
        let announces = |index: usize| self.reason(index) == Some(Reason::ResetPending);
        let base = latest.filter(|index| announces(*index)).map(|_| versions[versions.len() - 2]);
        let carrier = base.or(latest);
        let changes = |index: &&usize| matches!(self.reason(**index), Some(Reason::Rotation | Reason::Reset));
        let newer =
            |index: &&usize| view.version.is_some_and(|known| self.entries[**index].0.version > known);
        let links: Vec<usize> = versions
            .iter()
            .filter(newer)
            .filter(changes)
            .filter(|index| Some(**index) < carrier)
            .copied()
            .collect();
        let resets = links.iter().copied().chain(carrier);
        let resets = resets.filter(|index| self.reason(*index) == Some(Reason::Reset));
        LookupAnswer {
            evidence: self.evidence(label_id, latest, view),
            vrf_proof,
            latest: latest.map(|index| self.proven(index)),
            base: base.map(|index| self.proven(index)),
            resets: resets.map(|index| self.announcement(index)).collect(),
            links: links.into_iter().map(|index| self.proven(index)).collect(),
        }
    }

    /// A version and its leaf, as claims name it.
    pub(crate) fn named(&self, index: usize) -> (u32, Digest) {
        let (entry, _) = &self.entries[index];
        (entry.version, entry.leaf_hash())
    }

    fn evidence(&self, label_id: LabelId, latest: Option<usize>, view: View) -> Evidence {
        let (size, config) = (self.size(), self.latest_of(LabelId::CONFIG).unwrap());
        let config_version = self.entries[config].0.version;
        let claim = LatestClaim {
            origin: self.origin.clone(),
            label_id,
            latest: latest.map(|index| self.named(index)),
            config: self.named(config),
            head: self.head(size),
            time: self.now,
        };
        Evidence {
            checkpoint: self.checkpoint(size),
            consistency: self.consistency(view.size.min(size), size),
            claim: claim.sign(&self.signer),
            config: (view.config != Some(config_version)).then(|| self.proven(config)),
        }
    }
}

/// Somebody with an account and its keys.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) label: Label,
    pub(crate) identity: SigningKey,
    pub(crate) account: AccountId,
    pub(crate) devices: Vec<LoggedDevice>,
}

impl Person {
    pub(crate) fn new(name: &str, key: u8) -> Self {
        Self {
            label: Label::of(&format!("{name}@alpha.test").parse().unwrap()),
            identity: SigningKey::from_bytes(&[key; 32]),
            account: AccountId::from_bytes([key; 16]),
            devices: vec![device(key, 0)],
        }
    }

    /// The next version with this person's keys, signed by the key before (if one is given) and by their own.
    pub(crate) fn says(&self, log: &SampleLog, reason: Reason, previous: Option<&SigningKey>) -> SignedValue {
        self.says_at(log, log.label_id(&self.label), reason, previous)
    }

    /// The same for any place in the log.
    pub(crate) fn says_at(
        &self,
        log: &SampleLog,
        label_id: LabelId,
        reason: Reason,
        previous: Option<&SigningKey>,
    ) -> SignedValue {
        let status = reason.status().unwrap_or(Status::Active);
        let devices = if status == Status::Active { self.devices.clone() } else { vec![] };
        let identity = IdentityKey::from_bytes(self.identity.verifying_key().to_bytes());
        let value = AccountValue::new(self.account, identity, status, reason, devices).unwrap();
        let (version, prev) = log.standing(label_id);
        let message = signed_bytes(&Standing { origin: &log.origin, label_id, version, prev }, &value);
        let unsigned = matches!(reason, Reason::ResetPending | Reason::Closure);
        SignedValue {
            value,
            by_previous: previous.map(|key| key.sign(&message).to_bytes()),
            by_self: (!unsigned).then(|| self.identity.sign(&message).to_bytes()),
        }
    }

    /// Says and logs.
    pub(crate) fn logs(&self, log: &mut SampleLog, reason: Reason, previous: Option<&SigningKey>) -> Entry {
        let signed = self.says(log, reason, previous);
        log.log(self, &signed)
    }

    pub(crate) fn registers(&self, log: &mut SampleLog) -> Entry {
        self.logs(log, Reason::Registration, None)
    }
}

/// Somebody who looks keys up, and what they keep between two lookups.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) log: PinnedLog,
    pub(crate) known: Option<KnownLabel>,
    pub(crate) asker: Asker,
}

impl Client {
    pub(crate) fn new(log: &SampleLog) -> Self {
        let log = PinnedLog::first_seen(log.signer.verifier().clone());
        Self { log, known: None, asker: Asker::Foreign }
    }

    pub(crate) fn view(&self) -> View {
        View::of(Some(&self.log), self.known.as_ref())
    }

    pub(crate) fn judges(
        &self,
        person: &Person,
        answer: &LookupAnswer,
        now: Timestamp,
    ) -> Result<Verified, LookupError> {
        let question = Question { label: &person.label, asker: self.asker, known: self.known.as_ref() };
        verify(&self.log, &question, answer, now)
    }

    /// Asks an honest log and keeps what it learns.
    pub(crate) fn asks(&mut self, log: &SampleLog, person: &Person) -> Verified {
        let answer = log.answer(&person.label, self.view());
        let verified = self.judges(person, &answer, log.now).unwrap();
        (self.log, self.known) = (verified.log.clone(), verified.label);
        verified
    }
}

pub(crate) fn device(n: u8, added_in: u32) -> LoggedDevice {
    LoggedDevice {
        device: DeviceId::from_bytes([n; 16]),
        signature_key: SignatureKey::from_bytes(public(200 + n % 50)),
        added_in,
    }
}
