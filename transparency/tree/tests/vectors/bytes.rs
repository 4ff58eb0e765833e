//! What has bytes of its own: entries, values, CONFIGs, claims, commitments, the VRF.

use qpq_core::{Digest, IdentityKey};
use qpq_transparency_tree::{
    TreeHead,
    claim::{LatestClaim, SignedClaim},
    commitment::{Opening, commit},
    config::{AuditHead, Config, DomainKey, PredecessorLog},
    entry::Entry,
    label::{Label, LabelId},
    succession::{Predecessor, judge},
    value::{AccountValue, LoggedDevice, Reason, SignedValue, Status, signed_bytes},
    vrf::{VrfProof, VrfPublic, VrfSecret},
};
use serde_json::Value;

use crate::read::{
    array, bytes, digest, each, field, head, list, number, parsed, parts, refused, text, there, time, yes,
};

#[test]
fn entries_are_read_and_hashed() {
    let [entries, unread] = parts("entries.json", ["entries", "unread"]);
    for vector in each(&entries) {
        let entry = Entry::from_bytes(&bytes(vector, "bytes")).unwrap();
        assert_eq!(entry.to_bytes()[..], bytes(vector, "bytes"));
        assert_eq!(entry.leaf_hash(), digest(vector, "leaf_hash"));
        assert_eq!(entry.kind.to_string(), text(vector, "kind"));
        assert_eq!(*entry.label_id.as_bytes(), array(vector, "label_id"));
        assert_eq!((entry.version, entry.time), (number(vector, "version"), time(vector, "time")));
        assert_eq!((entry.prev, entry.commitment), (digest(vector, "prev"), digest(vector, "commitment")));
    }
    for vector in each(&unread) {
        refused(vector, Entry::from_bytes(&bytes(vector, "bytes")));
    }
}

#[test]
fn commitments_are_made_again() {
    let [commitments] = parts("commitments.json", ["commitments"]);
    for vector in each(&commitments) {
        let opening = Opening::from_bytes(array(vector, "opening"));
        let version = number(vector, "version");
        let made = commit(&opening, &bytes(vector, "label"), version, &bytes(vector, "value"));
        assert_eq!(made, digest(vector, "commitment"));
    }
}

#[test]
fn labels_have_one_spelling() {
    let [labels, unread] = parts("labels.json", ["labels", "unread"]);
    for vector in each(&labels) {
        let label: Label = parsed(vector, "label");
        assert_eq!(label, Label::of(&parsed(vector, "address")));
        assert_eq!(label.as_bytes(), bytes(vector, "bytes"));
    }
    for vector in each(&unread) {
        refused(vector, text(vector, "text").parse::<Label>());
    }
}

#[test]
fn the_vrf_proves_and_verifies() {
    let [proofs, wrong, wrong_keys] = parts("vrf.json", ["proofs", "refused", "refused_keys"]);
    for vector in each(&proofs) {
        let (alpha, public) =
            (bytes(vector, "alpha"), VrfPublic::from_bytes(array(vector, "public")).unwrap());
        let secret = VrfSecret::from_seed(&array(vector, "seed"));
        assert_eq!(secret.public(), public);
        let (output, proof) = secret.prove(&alpha).unwrap();
        assert_eq!(proof.as_bytes()[..], bytes(vector, "proof"));
        assert_eq!(output.as_bytes()[..], bytes(vector, "output"));
        assert_eq!(*LabelId::of(&output).as_bytes(), array(vector, "label_id"));
        assert_eq!(public.verify(&alpha, &proof), Some(output));
    }
    for vector in each(&wrong) {
        let public = VrfPublic::from_bytes(array(vector, "public")).unwrap();
        let proof = VrfProof::from_slice(&bytes(vector, "proof"));
        let output = proof.and_then(|proof| public.verify(&bytes(vector, "alpha"), &proof));
        assert_eq!(output, None, "{}", text(vector, "name"));
    }
    for vector in each(&wrong_keys) {
        assert_eq!(VrfPublic::from_bytes(array(vector, "public")), None, "{}", text(vector, "name"));
    }
}

#[test]
fn claims_are_the_word_of_their_log() {
    let [claims, wrong, unread] = parts("claims.json", ["claims", "refused", "unread"]);
    for vector in each(&claims) {
        let claim = LatestClaim {
            origin: parsed(vector, "origin"),
            label_id: LabelId::from_bytes(array(vector, "label_id")),
            latest: there(vector, "latest", named),
            config: named(vector, "config"),
            head: TreeHead { size: number(vector, "size"), root: digest(vector, "root") },
            time: time(vector, "time"),
        };
        assert_eq!(claim.to_bytes(), bytes(vector, "bytes"));
        let signed = signed_claim(vector);
        assert_eq!(signed.claim, claim);
        assert!(signed.holds(&parsed(vector, "key")));
    }
    for vector in each(&wrong) {
        assert!(!signed_claim(vector).holds(&parsed(vector, "key")), "{}", text(vector, "name"));
    }
    for vector in each(&unread) {
        refused(vector, LatestClaim::from_bytes(&bytes(vector, "bytes")));
    }
}

fn named(vector: &Value, name: &str) -> (u32, Digest) {
    let named = field(vector, name);
    (number(named, "version"), digest(named, "leaf"))
}

pub(crate) fn signed_claim(vector: &Value) -> SignedClaim {
    let claim = LatestClaim::from_bytes(&bytes(vector, "bytes")).unwrap();
    SignedClaim { claim, signature: array(vector, "signature") }
}

#[test]
fn configs_are_read() {
    let [configs, unread] = parts("configs.json", ["configs", "unread"]);
    for vector in each(&configs) {
        let config = Config::from_bytes(&bytes(vector, "bytes")).unwrap();
        assert_eq!(config.to_bytes(), bytes(vector, "bytes"));
        let witnesses: Vec<String> = config.witnesses().iter().map(ToString::to_string).collect();
        assert_eq!(witnesses, list(vector, "witnesses"));
        assert!(config.keys().iter().zip(list(vector, "keys")).all(|(key, said)| is_key(key, said)));
        assert_eq!(config.keys().len(), list(vector, "keys").len());
        assert_eq!(config.successor, there(vector, "successor", parsed));
        assert_eq!(config.predecessor, there(vector, "predecessor", predecessor));
        assert_eq!(config.audit, there(vector, "audit", audit));
        assert!(config.vrf().is_some());
    }
    for vector in each(&unread) {
        refused(vector, Config::from_bytes(&bytes(vector, "bytes")));
    }
}

fn is_key(key: &DomainKey, said: &Value) -> bool {
    let times = (time(said, "not_before"), there(said, "not_after", time));
    let same_times = (key.not_before, key.not_after) == times;
    key.key_use.word() == text(said, "use") && key.public == array(said, "public") && same_times
}

fn predecessor(vector: &Value, name: &str) -> PredecessorLog {
    let log = field(vector, name);
    PredecessorLog { origin: parsed(log, "origin"), head: head(log, "head") }
}

fn audit(vector: &Value, name: &str) -> AuditHead {
    let audit = field(vector, name);
    AuditHead { number: number(audit, "number"), hash: digest(audit, "hash") }
}

#[test]
fn values_are_read() {
    let [values, unread] = parts("values.json", ["values", "unread"]);
    for vector in each(&values) {
        let signed = SignedValue::from_bytes(&bytes(vector, "bytes")).unwrap();
        assert_eq!(signed.to_bytes(), bytes(vector, "bytes"));
        assert_eq!(signed.value.devices().len(), number::<usize>(vector, "devices"));
    }
    for vector in each(&unread) {
        refused(vector, SignedValue::from_bytes(&bytes(vector, "bytes")));
    }
}

/// Reads a value, and compares what it says.
fn read_value(vector: &Value) -> SignedValue {
    let signed = SignedValue::from_bytes(&bytes(vector, "bytes")).unwrap();
    assert_eq!(signed.to_bytes(), bytes(vector, "bytes"));
    let value = &signed.value;
    assert_eq!(*value.account().as_bytes(), array(vector, "account"));
    assert_eq!(*value.identity().as_bytes(), array(vector, "identity"));
    assert_eq!((value.status(), value.reason().word()), (status(vector, "status"), text(vector, "reason")));
    let same = |(device, said): (&LoggedDevice, &Value)| {
        *device.device.as_bytes() == array(said, "device")
            && *device.signature_key.as_bytes() == array(said, "signature_key")
            && device.added_in == number::<u32>(said, "added_in")
    };
    assert!(value.devices().iter().zip(list(vector, "devices")).all(same));
    assert_eq!(value.devices().len(), list(vector, "devices").len());
    assert_eq!(signed.by_previous.is_some(), yes(vector, "by_previous"));
    assert_eq!(signed.by_self.is_some(), yes(vector, "by_self"));
    signed
}

pub(crate) fn status(vector: &Value, name: &str) -> Status {
    match text(vector, name) {
        "active" => Status::Active,
        "revoked" => Status::Revoked,
        "closed" => Status::Closed,
        other => panic!("{other}"),
    }
}

#[test]
fn versions_follow_each_other() {
    let [origin, label, versions, wrong] = parts("versions.json", ["origin", "label", "versions", "refused"]);
    let origin = origin.as_str().unwrap().parse().unwrap();
    let label: Label = label.as_str().unwrap().parse().unwrap();
    assert_eq!(label.address().domain().as_str(), "alpha.test");
    let mut life: Vec<Predecessor> = Vec::new();
    for vector in each(&versions) {
        let entry = Entry::from_bytes(&bytes(vector, "entry")).unwrap();
        let signed = read_value(field(vector, "value"));
        let message = signed_bytes(&entry.standing(&origin), &signed.value);
        let is_signed = signed.by_previous.is_some() || signed.by_self.is_some();
        assert_eq!(is_signed.then(|| message.clone()), there(vector, "signed", bytes));
        let before = life.last().and_then(|before| before.value.as_ref()).map(AccountValue::identity);
        let holds = |signature: &Option<[u8; 64]>, key: Option<IdentityKey>| {
            signature.is_none_or(|signature| key.unwrap().verifies(&message, &signature))
        };
        assert!(holds(&signed.by_previous, before) && holds(&signed.by_self, Some(signed.value.identity())));
        assert_eq!(judge(&origin, life.last(), &entry, &signed), Ok(()));
        life.push(Predecessor {
            version: entry.version,
            leaf: entry.leaf_hash(),
            time: entry.time,
            seen_by: None,
            value: Some(signed.value),
        });
    }
    let values = life.iter().filter_map(|version| version.value.as_ref());
    let lived: Vec<Reason> = values.map(AccountValue::reason).collect();
    assert!(Reason::ALL.iter().all(|reason| lived.contains(reason)), "a life of every reason");
    for vector in each(&wrong) {
        let after = there(vector, "after", number::<usize>).map(|after| &life[after]);
        let entry = Entry::from_bytes(&bytes(vector, "entry")).unwrap();
        let signed = SignedValue::from_bytes(&bytes(vector, "value")).unwrap();
        refused(vector, judge(&origin, after, &entry, &signed));
    }
}
