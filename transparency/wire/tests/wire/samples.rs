//! Messages to begin with, and what is read of them.

use std::sync::LazyLock;

use capnp::message::{Builder, HeapAllocator};
use qpq_core::{AccountId, Digest};
use qpq_transparency_tree::{label::LabelId, lookup::View, value::SignedValue};
use qpq_transparency_wire::{
    LogPlace, LoggedVersion, ToldLookup, Views, WireError, read_lookup, read_place, read_version, read_views,
    write_lookup, write_place, write_version, write_views,
};

use crate::vectors::told_as;

pub(crate) type Message = Builder<HeapAllocator>;

/// An answer in which every part is there.
pub(crate) static FULL: LazyLock<ToldLookup> = LazyLock::new(|| {
    let mut told = told_as("a reset between two looks is shown as one");
    let first = told_as("a first look, three witnesses").answer;
    let pending = told_as("a reset is announced: nothing changes yet").answer;
    told.answer.evidence.config = first.evidence.config;
    told.answer.base = pending.base;
    told
});

/// An answer with little in it.
pub(crate) static SHORT: LazyLock<ToldLookup> = LazyLock::new(|| told_as("a second look at the same"));

pub(crate) fn lookup(told: &ToldLookup) -> Message {
    let mut message = Message::new_default();
    write_lookup(told, message.init_root());
    message
}

pub(crate) fn told(message: &Message) -> Result<ToldLookup, WireError> {
    read_lookup(message.get_root_as_reader()?)
}

/// Where the next version stands of an account that has one, or none yet.
pub(crate) fn place(version: u32) -> LogPlace {
    let answer = &FULL.answer;
    let value = answer.latest.as_ref().and_then(|latest| latest.contents.as_ref()).unwrap();
    LogPlace {
        origin: answer.evidence.claim.claim.origin.clone(),
        label_id: LabelId::from_bytes([3; 32]),
        version,
        prev: if version == 0 { Digest::ZERO } else { Digest::from_bytes([4; 32]) },
        account: AccountId::from_bytes([5; 16]),
        value: (version > 0).then(|| SignedValue::from_bytes(&value.1).unwrap()),
    }
}

pub(crate) fn placed(place: &LogPlace) -> Message {
    let mut message = Message::new_default();
    write_place(place, message.init_root());
    message
}

pub(crate) fn place_of(message: &Message) -> Result<LogPlace, WireError> {
    read_place(message.get_root_as_reader()?)
}

/// The newest version in [`FULL`].
pub(crate) fn version() -> LoggedVersion {
    let latest = FULL.answer.latest.clone().unwrap();
    LoggedVersion { index: latest.index, entry: latest.entry, contents: latest.contents }
}

pub(crate) fn logged(version: &LoggedVersion) -> Message {
    let mut message = Message::new_default();
    write_version(version, message.init_root());
    message
}

pub(crate) fn version_of(message: &Message) -> Result<LoggedVersion, WireError> {
    read_version(message.get_root_as_reader()?)
}

/// Of so many users.
pub(crate) fn views(users: usize) -> Views {
    let address = |n: usize| format!("user{n}@alpha.test").parse().unwrap();
    (0..users).map(|n| (address(n), View { size: 7, config: Some(0), version: None })).collect()
}

pub(crate) fn viewed(views: &Views) -> Message {
    let mut message = Message::new_default();
    write_views(views, message.initn_root(u32::try_from(views.len()).unwrap()));
    message
}

pub(crate) fn views_of(message: &Message) -> Result<Views, WireError> {
    read_views(message.get_root_as_reader()?)
}
