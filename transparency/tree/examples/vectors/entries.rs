//! Entries of every kind, and the commitments in them.

use qpq_core::{Digest, Timestamp};
use qpq_transparency_tree::{
    commitment::{Opening, commit},
    entry::{Entry, Kind},
    label::LabelId,
};
use serde_json::{Value, json};

use super::{hex, unread, with};

fn entry(kind: Kind, label_id: LabelId, version: u32) -> Entry {
    let hash = |there: bool, what: &[u8]| if there { Digest::of(&[what]) } else { Digest::ZERO };
    Entry {
        kind,
        label_id,
        version,
        time: Timestamp::from_millis(1_800_000_000_123),
        prev: hash(version != 0, b"the entry before"),
        commitment: hash(kind != Kind::Pad, b"what is committed to"),
    }
}

pub(crate) fn entries() -> Value {
    let user = LabelId::from_bytes([0x5a; 32]);
    let sound = [
        ("a first binding", entry(Kind::Bind, user, 0)),
        ("a later binding", entry(Kind::Bind, user, 1)),
        ("a revocation with the highest version", entry(Kind::Revoke, user, u32::MAX)),
        ("the end of an account", entry(Kind::Close, user, 3)),
        ("a log's first CONFIG", entry(Kind::Config, LabelId::CONFIG, 0)),
        ("the root of a map", entry(Kind::MapRoot, LabelId::NONE, 0)),
        ("padding", entry(Kind::Pad, LabelId::NONE, 0)),
    ];
    let sound: Vec<Value> = sound.iter().map(|(name, entry)| described(name, entry)).collect();
    json!({ "entries": sound, "unread": unread_entries(user) })
}

fn described(name: &str, entry: &Entry) -> Value {
    json!({
        "name": name,
        "kind": entry.kind.to_string(),
        "label_id": entry.label_id.to_string(),
        "version": entry.version,
        "time": entry.time.as_millis(),
        "prev": entry.prev.to_string(),
        "commitment": entry.commitment.to_string(),
        "bytes": hex(&entry.to_bytes()),
        "leaf_hash": entry.leaf_hash().to_string(),
    })
}

fn unread_entries(user: LabelId) -> Vec<Value> {
    let good = entry(Kind::Bind, user, 1).to_bytes();
    let (longer, shorter) = ([&good[..], &[0]].concat(), good.split_last().unwrap().1);
    let wrong = |name, entry: Entry, error| unread(name, &entry.to_bytes(), error);
    vec![
        unread("no bytes", &[], "Length"),
        unread("a byte short", shorter, "Length"),
        unread("a byte long", &longer, "Length"),
        unread("a later format", &with(&good, 0, &[2]), "Format"),
        unread("no such kind", &with(&good, 1, &[7]), "Kind"),
        wrong(
            "a later version after nothing",
            Entry { prev: Digest::ZERO, ..entry(Kind::Bind, user, 1) },
            "Prev",
        ),
        wrong("a first version after another", Entry { version: 0, ..entry(Kind::Bind, user, 1) }, "Prev"),
        wrong("a binding in the place of the CONFIG", entry(Kind::Bind, LabelId::CONFIG, 0), "Label"),
        wrong("a binding without a label", entry(Kind::Bind, LabelId::NONE, 0), "Label"),
        wrong("a CONFIG in a user's place", entry(Kind::Config, user, 0), "Label"),
        wrong("padding in a user's place", entry(Kind::Pad, user, 0), "Label"),
        wrong("the second version of a map's root", entry(Kind::MapRoot, LabelId::NONE, 1), "Version"),
        wrong(
            "padding that hides something",
            Entry { commitment: Digest::of(&[b"hidden"]), ..entry(Kind::Pad, LabelId::NONE, 0) },
            "Padding",
        ),
    ]
}

pub(crate) fn commitments() -> Value {
    let counting = Opening::from_slice(&(0..16).collect::<Vec<u8>>()).unwrap();
    let zeros = Opening::from_bytes([0; 16]);
    let long = vec![0xab; 64];
    let case = |name: &str, opening: Opening, label: &[u8], version: u32, value: &[u8]| {
        json!({
            "name": name,
            "opening": hex(opening.as_bytes()),
            "label": hex(label),
            "version": version,
            "value": hex(value),
            "commitment": commit(&opening, label, version, value).to_string(),
        })
    };
    let (alice, juergen) = (b"u/alice@alpha.example", "u/j\u{fc}rgen@alpha.example".as_bytes());
    json!({ "commitments": [
        case("a user's value", counting, alice, 7, b"value"),
        case("a label beyond ASCII", counting, juergen, 0, b"value"),
        case("the empty value of a CONFIG", zeros, LabelId::CONFIG.as_bytes(), 0, b""),
        case("a long value of the highest version", zeros, alice, u32::MAX, &long),
    ] })
}
