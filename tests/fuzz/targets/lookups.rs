//! What is told and asked of a log in Cap'n Proto, by users, their homes and peers: what is read is written and read again the
//! same. The first byte says which message.
#![no_main]

use capnp::{
    message::{Builder, HeapAllocator, Reader, ReaderOptions},
    serialize::{self, OwnedSegments},
};
use libfuzzer_sys::fuzz_target;
use qpq_core::{AccountId, Digest};
use qpq_fuzz::{
    seeds,
    vectors::{bytes, text},
};
use qpq_transparency_tree::{
    SignedCheckpoint,
    claim::{LatestClaim, SignedClaim},
    commitment::Opening,
    entry::Entry,
    label::LabelId,
    lookup::{Evidence, LookupAnswer, Proven, ResetEvidence, View},
    value::SignedValue,
    vrf::VrfProof,
};
use qpq_transparency_wire::{
    LogPlace, LoggedVersion, ToldLookup, read_lookup, read_place, read_version, read_views, write_lookup,
    write_place, write_version, write_views,
};

type Message = Builder<HeapAllocator>;

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    understood(bytes);
});

fn understood(bytes: &[u8]) -> bool {
    let Some((which, bytes)) = bytes.split_first() else { return false };
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(1 << 20)).nesting_limit(32);
    let Ok(message) = serialize::read_message(bytes, options) else { return false };
    read(*which, &message).unwrap_or(false)
}

fn read(which: u8, message: &Reader<OwnedSegments>) -> capnp::Result<bool> {
    Ok(match which % 4 {
        0 => {
            let Ok(told) = read_lookup(message.get_root()?) else { return Ok(false) };
            let again = lookup(&told);
            assert_eq!(read_lookup(again.get_root_as_reader()?).expect("what was written"), told);
            true
        }
        1 => {
            let Ok(place) = read_place(message.get_root()?) else { return Ok(false) };
            let again = placed(&place);
            assert_eq!(read_place(again.get_root_as_reader()?).expect("what was written"), place);
            true
        }
        2 => {
            let Ok(version) = read_version(message.get_root()?) else { return Ok(false) };
            let again = logged(&version);
            assert_eq!(read_version(again.get_root_as_reader()?).expect("what was written"), version);
            true
        }
        _ => {
            let Ok(views) = read_views(message.get_root()?) else { return Ok(false) };
            let mut again = Message::new_default();
            write_views(&views, again.initn_root(u32::try_from(views.len()).expect("a few")));
            assert_eq!(read_views(again.get_root_as_reader()?).expect("what was written"), views);
            true
        }
    })
}

fn lookup(told: &ToldLookup) -> Message {
    let mut message = Message::new_default();
    write_lookup(told, message.init_root());
    message
}

fn placed(place: &LogPlace) -> Message {
    let mut message = Message::new_default();
    write_place(place, message.init_root());
    message
}

fn logged(version: &LoggedVersion) -> Message {
    let mut message = Message::new_default();
    write_version(version, message.init_root());
    message
}

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let first = first_look();
    let latest = first.answer.latest.clone().expect("an account that is there");
    let (opening, value) = latest.contents.clone().expect("a value");
    let place = LogPlace {
        origin: first.log_key.name().clone(),
        label_id: LabelId::from_bytes([3; 32]),
        version: 1,
        prev: latest.leaf_hash(),
        account: AccountId::from_bytes([5; 16]),
        value: Some(SignedValue::from_bytes(&value).expect("a value")),
    };
    let version =
        LoggedVersion { index: latest.index, entry: latest.entry, contents: Some((opening, value)) };
    let mut views = Message::new_default();
    let view = View { size: 2, config: Some(0), version: None };
    let asked = [("alice@alpha.test", view), ("bob@beta.test", View::default())];
    let asked = asked.map(|(address, view)| (address.parse().expect("an address"), view));
    write_views(&asked.into_iter().collect(), views.initn_root(2));
    let seeds = vec![
        ("first", seed(0, &lookup(&first))),
        ("whole", seed(0, &lookup(&whole(first)))),
        ("place", seed(1, &placed(&place))),
        ("version", seed(2, &logged(&version))),
        ("views", seed(3, &views)),
    ];
    for (name, bytes) in &seeds {
        assert!(understood(bytes), "`{name}` is read");
    }
    seeds
}

fn seed(which: u8, message: &Message) -> Vec<u8> {
    [vec![which], serialize::write_message_to_words(message)].concat()
}

/// The first of the published lookups.
fn first_look() -> ToldLookup {
    let log_key = text("lookups.json", "/lookups/0/pinned/key");
    let place = |field: &str| format!("/lookups/0/answer/{field}");
    let text = |field: &str| text("lookups.json", &place(field));
    let bytes = |field: &str| bytes("lookups.json", &place(field));
    let proven = |of: &str, index: u64| Proven {
        entry: Entry::from_bytes(&bytes(&format!("{of}/entry"))).expect("an entry"),
        index,
        inclusion: vec![Digest::from_slice(&bytes(&format!("{of}/inclusion/0"))).expect("a hash")],
        contents: Opening::from_slice(&bytes(&format!("{of}/opening")))
            .map(|opening| (opening, bytes(&format!("{of}/value")))),
    };
    let claim = SignedClaim {
        claim: LatestClaim::from_bytes(&bytes("claim/bytes")).expect("a claim"),
        signature: bytes("claim/signature").try_into().expect("64 bytes"),
    };
    let answer = LookupAnswer {
        evidence: Evidence {
            checkpoint: SignedCheckpoint::parse(text("checkpoint").as_bytes()).expect("a checkpoint"),
            consistency: Vec::new(),
            claim,
            config: Some(proven("config", 0)),
        },
        vrf_proof: VrfProof::from_slice(&bytes("vrf_proof")).expect("80 bytes"),
        latest: Some(proven("latest", 1)),
        base: None,
        links: Vec::new(),
        resets: Vec::new(),
    };
    ToldLookup { log_key: log_key.parse().expect("a key"), answer }
}

/// The same with every part that an answer can have, whether or not it is true.
fn whole(mut told: ToldLookup) -> ToldLookup {
    let answer = &mut told.answer;
    let latest = answer.latest.clone().expect("an account that is there");
    answer.evidence.consistency.clone_from(&latest.inclusion);
    answer.base = Some(Proven { contents: None, ..latest.clone() });
    answer.links = vec![latest.clone()];
    answer.resets = vec![ResetEvidence {
        seen: answer.evidence.checkpoint.clone(),
        seen_inclusion: latest.inclusion.clone(),
        consistency: latest.inclusion.clone(),
        config: None,
        pending: latest,
    }];
    told
}
