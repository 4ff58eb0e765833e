//! The values of accounts and of the domain, by their bytes alone.

use ed25519_dalek::SigningKey;
use qpq_core::{Digest, Timestamp};
use qpq_transparency_tree::{
    TreeHead, WitnessSigner,
    config::{AuditHead, Config, DomainKey, KeyUse, PredecessorLog},
    value::{LoggedDevice, Reason, SignedValue, Status},
};
use serde_json::{Value, json};

use super::{
    head, hex,
    sample::{Person, START, SampleLog, device},
    unread, versions, with,
};

/// Where the byte of the status is: behind format, account id and identity key.
const STATUS: usize = 49;
/// Where the devices begin: behind status, reason and their number.
const DEVICES: usize = STATUS + 3;
/// The bytes of a device.
const DEVICE: usize = 52;

pub(crate) const fn status_word(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Revoked => "revoked",
        Status::Closed => "closed",
    }
}

fn described_device(device: &LoggedDevice) -> Value {
    json!({
        "device": hex(device.device.as_bytes()),
        "signature_key": device.signature_key.to_string(),
        "added_in": device.added_in,
    })
}

/// What a value says, and which keys signed it.
pub(crate) fn described(signed: &SignedValue) -> Value {
    let value = &signed.value;
    json!({
        "bytes": hex(&signed.to_bytes()),
        "account": hex(value.account().as_bytes()),
        "identity": value.identity().to_string(),
        "status": status_word(value.status()),
        "reason": value.reason().word(),
        "devices": value.devices().iter().map(described_device).collect::<Vec<_>>(),
        "by_previous": signed.by_previous.is_some(),
        "by_self": signed.by_self.is_some(),
    })
}

pub(crate) fn values() -> Value {
    let sixteen = Person { devices: (1..=16).map(|n| device(n, 0)).collect(), ..Person::new("alice", 7) };
    let sixteen = sixteen.says(&SampleLog::new(0), Reason::Registration, None);
    let largest = json!({
        "name": "the most devices",
        "bytes": hex(&sixteen.to_bytes()),
        "devices": sixteen.value.devices().len(),
    });
    let (two, revoked) = (versions::of_the_life(3), versions::of_the_life(7));
    json!({ "values": [largest], "unread": unread_values(&two, &revoked, &sixteen.to_bytes()) })
}

/// Bent from an unsigned value of two devices, and from one of no devices with both signatures.
fn unread_values(two: &[u8], revoked: &[u8], sixteen: &[u8]) -> Vec<Value> {
    let device = |n: usize| &two[DEVICES + n * DEVICE..DEVICES + (n + 1) * DEVICE];
    let (one, other) = (device(0), device(1));
    let ghost = [revoked.split_at(DEVICES - 1).0, &[1], one, &[0]].concat();
    let many = [sixteen.split_at(DEVICES - 1).0, &[17], sixteen.split_at(DEVICES).1.split_at(16 * DEVICE).0];
    let seventeen = [&many.concat()[..], &[0xff; DEVICE], &[0]].concat();
    vec![
        unread("no bytes", &[], "Truncated"),
        unread("a later format", &with(two, 0, &[2]), "Invalid"),
        unread("no such status", &with(two, STATUS, &[4]), "Invalid"),
        unread("no such reason", &with(two, STATUS + 1, &[9]), "Invalid"),
        unread("active, because the key was revoked", &with(revoked, STATUS, &[1]), "Invalid"),
        unread("a device of a revoked account", &ghost, "Invalid"),
        unread("a device twice", &with(two, DEVICES, &[one, one].concat()), "Invalid"),
        unread("the devices in another order", &with(two, DEVICES, &[other, one].concat()), "Invalid"),
        unread("seventeen devices", &seventeen, "Invalid"),
        unread("a third signature", &with(two, two.len() - 1, &[4]), "Invalid"),
        unread("a signature is missing", revoked.split_at(revoked.len() - 64).0, "Truncated"),
        unread("a signature that isn't announced", &with(revoked, DEVICES, &[1]), "Trailing"),
        unread("a byte short", two.split_last().unwrap().1, "Truncated"),
        unread("a byte long", &[two, &[0]].concat(), "Trailing"),
    ]
}

fn full() -> Config {
    let seen = TreeHead { size: 9, root: Digest::of(&[b"the log before"]) };
    let plain = SampleLog::new(2).config();
    let public = SigningKey::from_bytes(&[66; 32]).verifying_key().to_bytes();
    let not_before = Timestamp::from_millis(1_700_000_000_000);
    let old = DomainKey { key_use: KeyUse::Log, public, not_before, not_after: Some(START) };
    let keys = [plain.keys(), &[old]].concat();
    let mut config = Config::new(keys, plain.witnesses().to_vec()).unwrap();
    config.successor = Some("alpha.test/kt/v2".parse().unwrap());
    config.predecessor = Some(PredecessorLog { origin: "alpha.test/kt/v0".parse().unwrap(), head: seen });
    config.audit = Some(AuditHead { number: 12, hash: Digest::of(&[b"the audit chain"]) });
    config
}

pub(crate) fn configs() -> Value {
    let configs = vec![
        described_config("no witnesses", &SampleLog::new(0).config()),
        described_config("all parts, and a log key that ended", &full()),
    ];
    json!({ "configs": configs, "unread": unread_configs() })
}

fn described_config(name: &str, config: &Config) -> Value {
    let key = |key: &DomainKey| {
        json!({
            "use": key.key_use.word(),
            "public": hex(&key.public),
            "not_before": key.not_before.as_millis(),
            "not_after": key.not_after.map(Timestamp::as_millis),
        })
    };
    let Config { successor, predecessor, audit, .. } = config;
    json!({
        "name": name,
        "bytes": hex(&config.to_bytes()),
        "keys": config.keys().iter().map(key).collect::<Vec<_>>(),
        "witnesses": config.witnesses().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "successor": successor.as_ref().map(ToString::to_string),
        "predecessor": predecessor.as_ref().map(|log| json!({ "origin": log.origin.as_str(), "head": head(log.head) })),
        "audit": audit.map(|audit| json!({ "number": audit.number, "hash": audit.hash.to_string() })),
    })
}

/// The smallest CONFIG with two witnesses, whose names have a letter each.
fn small() -> Vec<u8> {
    let keys = SampleLog::new(0).config().keys().to_vec();
    let keys = keys.into_iter().filter(|key| key.key_use != KeyUse::Federation).collect();
    let witness = |name: &str, n: u8| {
        WitnessSigner::new(name.parse().unwrap(), SigningKey::from_bytes(&[n; 32])).verifier().clone()
    };
    Config::new(keys, vec![witness("a", 101), witness("b", 102)]).unwrap().to_bytes()
}

fn unread_configs() -> Vec<Value> {
    let good = small();
    // Two keys stand behind three bytes, the witnesses behind those and the byte of their number.
    let (log, vrf) = (&good[3..53], &good[53..103]);
    let (one, other) = (&good[104..139], &good[139..174]);
    vec![
        unread("a later format", &with(&good, 0, &[2]), "Invalid"),
        unread("entries of a later format", &with(&good, 1, &[2]), "Invalid"),
        unread("no such use of a key", &with(&good, 3, &[7]), "Invalid"),
        unread("an algorithm that isn't the use's", &with(&good, 4, &[2]), "Invalid"),
        unread("two VRF keys", &with(&good, 3, &[vrf, vrf].concat()), "Invalid"),
        unread("a key that is no point", &with(&good, 5, &[2; 32]), "Invalid"),
        unread("the keys in another order", &with(&good, 3, &[vrf, log].concat()), "Invalid"),
        unread("a name that is too long", &with(&good, 104, &[1, 45]), "TooLarge"),
        unread("a name with a space", &with(&good, 106, b" "), "Invalid"),
        unread("a witness twice", &with(&good, 104, &[one, one].concat()), "Invalid"),
        unread("the witnesses in another order", &with(&good, 104, &[other, one].concat()), "Invalid"),
        unread("an unknown last part", &with(&good, good.len() - 1, &[8]), "Invalid"),
        unread("a last part that is missing", &with(&good, good.len() - 1, &[1]), "Truncated"),
        unread("a byte long", &[&good[..], &[0]].concat(), "Trailing"),
    ]
}
