//! The public state as stored chunks: OpenMLS' values, cut into 4 KiB, so that a commit rewrites what it changed.

use std::collections::BTreeMap;

use qpq_core::Digest;

use crate::values::Values;

/// How much of a value one chunk holds.
const CHUNK: usize = 4096;

/// A piece of one value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chunk {
    /// The value's key.
    pub key: Vec<u8>,
    /// Which piece of it, from 0.
    pub number: u32,
    /// Its bytes; `None` in a change: the chunk is gone.
    pub bytes: Option<Vec<u8>>,
}

/// What the store has, by the hash of each chunk: enough to tell what changed.
#[derive(Debug, Default)]
pub(crate) struct StoredChunks(BTreeMap<(Vec<u8>, u32), Digest>);

impl StoredChunks {
    /// Compares with what OpenMLS wrote; returns what the store must change and remembers it.
    pub(crate) fn update(&mut self, storage: &Values) -> Vec<Chunk> {
        let now = cut(storage);
        let mut changes = Vec::new();
        for ((key, number), bytes) in &now {
            if self.0.get(&(key.clone(), *number)) != Some(&Digest::of(&[bytes])) {
                changes.push(Chunk { key: key.clone(), number: *number, bytes: Some(bytes.clone()) });
            }
        }
        for (key, number) in self.0.keys().filter(|place| !now.contains_key(*place)) {
            changes.push(Chunk { key: key.clone(), number: *number, bytes: None });
        }
        self.0 = now.into_iter().map(|(place, bytes)| (place, Digest::of(&[&bytes]))).collect();
        changes
    }
}

/// Puts stored chunks together for OpenMLS; `None` if a value has a hole.
pub(crate) fn assemble(chunks: Vec<Chunk>) -> Option<(Values, StoredChunks)> {
    let mut pieces = BTreeMap::new();
    for chunk in chunks {
        pieces.insert((chunk.key, chunk.number), chunk.bytes?);
    }
    let stored =
        StoredChunks(pieces.iter().map(|(place, bytes)| (place.clone(), Digest::of(&[bytes]))).collect());
    let mut values: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut next = 0;
    for ((key, number), bytes) in pieces {
        if number == 0 {
            next = 0;
        }
        if number != next {
            return None;
        }
        next = number.checked_add(1)?;
        values.entry(key).or_default().extend_from_slice(&bytes);
    }
    Some((Values::from_map(values), stored))
}

fn cut(storage: &Values) -> BTreeMap<(Vec<u8>, u32), Vec<u8>> {
    let mut chunks = BTreeMap::new();
    for (key, value) in storage.to_map() {
        // An empty value keeps one empty chunk, or loading could not tell it from a missing one.
        let pieces: Box<dyn Iterator<Item = &[u8]>> = if value.is_empty() {
            Box::new(std::iter::once(value.as_slice()))
        } else {
            Box::new(value.chunks(CHUNK))
        };
        for (number, piece) in (0_u32..).zip(pieces) {
            chunks.insert((key.clone(), number), piece.to_vec());
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn storage(values: &BTreeMap<Vec<u8>, Vec<u8>>) -> Values {
        Values::from_map(values.clone())
    }

    fn apply(store: &mut BTreeMap<(Vec<u8>, u32), Vec<u8>>, changes: Vec<Chunk>) {
        for Chunk { key, number, bytes } in changes {
            match bytes {
                Some(bytes) => drop(store.insert((key, number), bytes)),
                None => assert!(store.remove(&(key, number)).is_some()),
            }
        }
    }

    proptest! {
        #[test]
        fn changes_lead_to_what_was_written(
            versions in prop::collection::vec(
                prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..3), (0_usize..3 * CHUNK, any::<u8>()), 0..4),
                1..4,
            ),
        ) {
            let (mut stored, mut store) = (StoredChunks::default(), BTreeMap::new());
            for version in versions {
                let values = version.into_iter().map(|(key, (length, fill))| (key, vec![fill; length])).collect();
                apply(&mut store, stored.update(&storage(&values)));
                prop_assert!(stored.update(&storage(&values)).is_empty());
                let chunks = store.iter()
                    .map(|((key, number), bytes)| Chunk { key: key.clone(), number: *number, bytes: Some(bytes.clone()) })
                    .collect();
                let (loaded, _) = assemble(chunks).unwrap();
                prop_assert_eq!(loaded.to_map(), values);
            }
        }
    }

    #[test]
    fn a_hole_is_noticed() {
        let chunk = |number| Chunk { key: vec![1], number, bytes: Some(vec![0]) };
        assert!(assemble(vec![chunk(0), chunk(2)]).is_none());
        assert!(assemble(vec![chunk(1)]).is_none());
        assert!(assemble(vec![chunk(0), chunk(1)]).is_some());
    }
}
