//! Bytes that were changed on their way are read or refused, and what is read is written again as it is.

use capnp::{
    message::{Reader, ReaderOptions},
    serialize::{self, OwnedSegments},
};
use proptest::{prelude::*, sample::Index};
use qpq_transparency_wire::{read_lookup, read_place, read_version, read_views};

use crate::samples::{
    FULL, Message, SHORT, logged, lookup, place, place_of, placed, told, version, version_of, viewed, views,
    views_of,
};

/// Changes of single bytes, half of them at the beginning, where the pointers are; and how much is left.
#[derive(Clone, Debug)]
struct Damage {
    changes: Vec<(bool, Index, u8)>,
    cut: Option<Index>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let change = (any::<bool>(), any::<Index>(), any::<u8>());
    let cut = prop::option::weighted(0.1, any::<Index>());
    (prop::collection::vec(change, 1..6), cut).prop_map(|(changes, cut)| Damage { changes, cut })
}

impl Damage {
    fn of(&self, message: &Message) -> Option<Reader<OwnedSegments>> {
        let mut bytes = serialize::write_message_to_words(message);
        for (early, at, byte) in &self.changes {
            let range = if *early { bytes.len().min(160) } else { bytes.len() };
            bytes[at.index(range)] = *byte;
        }
        bytes.truncate(self.cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        let mut options = ReaderOptions::new();
        options.traversal_limit_in_words(Some(1 << 18)).nesting_limit(16);
        serialize::read_message(bytes.as_slice(), options).ok()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn damaged_answers_are_read_or_refused(damage in damage(), full: bool) {
        let Some(message) = damage.of(&lookup(if full { &FULL } else { &SHORT })) else { return Ok(()) };
        let Ok(answer) = message.get_root() else { return Ok(()) };
        if let Ok(answer) = read_lookup(answer) {
            prop_assert_eq!(told(&lookup(&answer)).unwrap(), answer);
        }
    }

    #[test]
    fn damaged_places_and_versions_are_read_or_refused(damage in damage()) {
        let message = damage.of(&placed(&place(1)));
        if let Some(Ok(place)) = message.as_ref().and_then(|message| message.get_root().ok()).map(read_place) {
            prop_assert_eq!(place_of(&placed(&place)).unwrap(), place);
        }
        let message = damage.of(&logged(&version()));
        if let Some(Ok(version)) = message.as_ref().and_then(|message| message.get_root().ok()).map(read_version) {
            prop_assert_eq!(version_of(&logged(&version)).unwrap(), version);
        }
    }

    #[test]
    fn damaged_views_are_read_or_refused(damage in damage()) {
        let message = damage.of(&viewed(&views(4)));
        if let Some(Ok(views)) = message.as_ref().and_then(|message| message.get_root().ok()).map(read_views) {
            prop_assert_eq!(views_of(&viewed(&views)).unwrap(), views);
        }
    }
}
