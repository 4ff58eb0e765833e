//! What of a group's state changed: the provider's values cut into chunks, compared with what is stored.
//!
//! OpenMLS writes whole values, and the secrets of 100 members with five past epochs are 2.4 MB of JSON, of which
//! one message changes some hundred bytes. The text has no fixed widths, so a change shifts what follows: chunks
//! are therefore matched by content, not by offset, and numbered with gaps so that a stretch which grew finds room
//! between its neighbours. Whatever the matching misses costs bytes, never correctness: the chunks in order of
//! their numbers always concatenate to the value.

use std::collections::{BTreeMap, HashMap};

/// The length that a value is cut into; three fit on a page of the database.
const CHUNK: usize = 1_024;
/// The longest that a chunk may grow before its value is cut anew.
const LONGEST: usize = 4 * CHUNK;
/// The distance of the numbers of a value that was just cut.
const GAP: u32 = 8;
/// How many bytes of a chunk are compared first.
const HEAD: usize = 32;
/// How many chunks ahead a match is looked for behind a change.
const LOOK_AHEAD: usize = 12;

/// One chunk of one value of a group's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRow {
    /// OpenMLS' storage key.
    pub key: Vec<u8>,
    /// The chunk's place; a value is the concatenation of its chunks in this order.
    pub n: u32,
    /// Its new bytes; `None`: the chunk is gone.
    pub bytes: Option<Vec<u8>>,
}

/// One whole value as it was stored: its chunks in order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredValue {
    /// OpenMLS' storage key.
    pub key: Vec<u8>,
    /// (number, bytes), ascending.
    pub chunks: Vec<(u32, Vec<u8>)>,
}

/// What must be written so that the stored state is the state in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// Chunks to write or delete.
    pub rows: Vec<ChunkRow>,
}

impl StateChanges {
    /// Whether there is nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of payload to write.
    pub fn bytes(&self) -> usize {
        self.rows.iter().filter_map(|row| row.bytes.as_ref()).map(Vec::len).sum()
    }
}

type Chunks = Vec<(u32, Vec<u8>)>;

/// What is stored of a group.
#[derive(Debug, Default)]
pub(super) struct Stored {
    values: BTreeMap<Vec<u8>, Chunks>,
}

impl Stored {
    pub(super) fn new(values: Vec<StoredValue>) -> Self {
        Self { values: values.into_iter().map(|value| (value.key, value.chunks)).collect() }
    }

    /// The values as OpenMLS wants them.
    pub(super) fn to_values(&self) -> HashMap<Vec<u8>, Vec<u8>> {
        self.values.iter().map(|(key, chunks)| (key.clone(), concat(chunks))).collect()
    }

    /// Makes this the state of `now` and returns what must be written for that.
    pub(super) fn advance(&mut self, now: &HashMap<Vec<u8>, Vec<u8>>) -> StateChanges {
        let mut rows = Vec::new();
        self.values.retain(|key, chunks| {
            let kept = now.contains_key(key);
            if !kept {
                rows.extend(chunks.iter().map(|(n, _)| ChunkRow { key: key.clone(), n: *n, bytes: None }));
            }
            kept
        });
        let mut keys: Vec<_> = now.iter().collect();
        keys.sort_unstable();
        for (key, value) in keys {
            let before = self.values.get(key).map_or(&[] as &[_], Vec::as_slice);
            let after = match matched(before, value) {
                Matched::Same => continue,
                Matched::Chunks(chunks) => chunks,
                Matched::No => cut(value),
            };
            changed_rows(key, before, &after, &mut rows);
            self.values.insert(key.clone(), after);
        }
        StateChanges { rows }
    }
}

fn concat(chunks: &[(u32, Vec<u8>)]) -> Vec<u8> {
    chunks.iter().flat_map(|(_, bytes)| bytes).copied().collect()
}

/// A value cut afresh; an empty one still has a chunk, so that it is stored.
fn cut(value: &[u8]) -> Chunks {
    if value.is_empty() {
        return vec![(0, Vec::new())];
    }
    (0..).step_by(usize::try_from(GAP).unwrap_or(1)).zip(value.chunks(CHUNK).map(<[u8]>::to_vec)).collect()
}

enum Matched {
    Same,
    Chunks(Chunks),
    /// Too different: cut it anew.
    No,
}

/// Finds the old chunks again in the new value, and fits what lies between them into the numbers between them.
fn matched(old: &[(u32, Vec<u8>)], value: &[u8]) -> Matched {
    let mut chunks = Chunks::with_capacity(old.len());
    let (mut at, mut rest, mut changed) = (0, value, false);
    while let Some((n, bytes)) = old.get(at) {
        if let Some(behind) = rest.strip_prefix(bytes.as_slice()) {
            chunks.push((*n, bytes.clone()));
            (rest, at) = (behind, at + 1);
            continue;
        }
        changed = true;
        let (next, length) = resume(old, at, rest);
        let Some((stretch, behind)) = rest.split_at_checked(length) else { return Matched::No };
        // What replaces a chunk takes its number; what was put before one, the numbers behind the last one.
        let first = if next == at { chunks.last().map_or(0, |(n, _)| n.saturating_add(1)) } else { *n };
        let room = old.get(next).map_or(u32::MAX, |(end, _)| end.saturating_sub(first));
        if !place(&mut chunks, first, room, stretch) {
            return Matched::No;
        }
        (rest, at) = (behind, next);
    }
    if !rest.is_empty() {
        changed = true;
        let first = old.last().map_or(0, |(n, _)| n.saturating_add(GAP));
        if !place(&mut chunks, first, u32::MAX, rest) {
            return Matched::No;
        }
    }
    if chunks.is_empty() {
        return Matched::No;
    }
    if changed { Matched::Chunks(chunks) } else { Matched::Same }
}

/// Where the old chunks go on in `rest`: the first chunk found again, and how many bytes lie before it.
fn resume(old: &[(u32, Vec<u8>)], at: usize, rest: &[u8]) -> (usize, usize) {
    let mut window = 4 * CHUNK;
    let ahead = old.iter().enumerate().skip(at).take(LOOK_AHEAD);
    for (next, (_, bytes)) in ahead {
        window = window.saturating_add(bytes.len());
        // The chunk at hand moved behind something new, or a later one is unchanged. Short ones match by chance.
        if bytes.len() >= CHUNK / 8 {
            let look = rest.get(..window.min(rest.len())).unwrap_or(rest);
            if let Some(length) = find(look, bytes) {
                return (next, length);
            }
        }
    }
    // A long stretch is gone (the oldest epoch's secrets): any later chunk may go on within the next bytes.
    let heads: HashMap<&[u8], usize> = old
        .iter()
        .enumerate()
        .skip(at)
        .rev()
        .filter_map(|(next, (_, bytes))| Some((bytes.get(..HEAD)?, next)))
        .collect();
    for (length, head) in rest.windows(HEAD).take(window).enumerate() {
        let next = heads.get(head).copied();
        let goes_on = |next: &usize| {
            old.get(*next).zip(rest.get(length..)).is_some_and(|((_, bytes), rest)| rest.starts_with(bytes))
        };
        if let Some(next) = next.filter(goes_on) {
            return (next, length);
        }
    }
    (old.len(), rest.len())
}

/// The place of `needle` in `hay`; its first bytes are tried first, which is what makes it fast.
fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let head = needle.get(..HEAD)?;
    hay.windows(needle.len()).position(|window| window.starts_with(head) && window == needle)
}

/// Puts a stretch into the numbers from `first` on, of which there are `room`; false if it does not fit.
fn place(chunks: &mut Chunks, first: u32, room: u32, stretch: &[u8]) -> bool {
    if stretch.is_empty() {
        return true;
    }
    let slots = usize::try_from(room).unwrap_or(usize::MAX);
    if slots == 0 {
        return false;
    }
    let size = stretch.len().div_ceil(slots).max(CHUNK);
    if size > LONGEST {
        return false;
    }
    // At the end of a value the numbers keep their distance.
    let step = if room == u32::MAX { GAP } else { 1 };
    let mut n = Some(first);
    for piece in stretch.chunks(size) {
        let Some(number) = n else { return false };
        chunks.push((number, piece.to_vec()));
        n = number.checked_add(step);
    }
    true
}

/// The rows that differ between two versions of a value.
fn changed_rows(key: &[u8], before: &[(u32, Vec<u8>)], after: &[(u32, Vec<u8>)], rows: &mut Vec<ChunkRow>) {
    let old: BTreeMap<u32, &Vec<u8>> = before.iter().map(|(n, bytes)| (*n, bytes)).collect();
    let new: BTreeMap<u32, &Vec<u8>> = after.iter().map(|(n, bytes)| (*n, bytes)).collect();
    for n in old.keys().filter(|n| !new.contains_key(n)) {
        rows.push(ChunkRow { key: key.to_vec(), n: *n, bytes: None });
    }
    for (n, bytes) in new {
        if old.get(&n).is_none_or(|old| *old != bytes) {
            rows.push(ChunkRow { key: key.to_vec(), n, bytes: Some(bytes.clone()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A store that only knows rows.
    #[derive(Default)]
    struct Rows(BTreeMap<(Vec<u8>, u32), Vec<u8>>);

    impl Rows {
        fn write(&mut self, changes: &StateChanges) {
            for row in &changes.rows {
                match &row.bytes {
                    Some(bytes) => self.0.insert((row.key.clone(), row.n), bytes.clone()),
                    None => self.0.remove(&(row.key.clone(), row.n)),
                };
            }
        }

        fn load(&self) -> Stored {
            let mut values: BTreeMap<Vec<u8>, Chunks> = BTreeMap::new();
            for ((key, n), bytes) in &self.0 {
                values.entry(key.clone()).or_default().push((*n, bytes.clone()));
            }
            Stored { values }
        }
    }

    /// Text like the engine's: numbers of one to three digits.
    fn text(seed: u64, bytes: usize) -> Vec<u8> {
        let mut entropy = qpq_core::SeededEntropy::new(seed);
        let mut raw = vec![0; bytes];
        qpq_core::Entropy::fill(&mut entropy, &mut raw);
        format!("{raw:?}").into_bytes()
    }

    #[derive(Clone, Debug)]
    enum Edit {
        Splice { at: usize, cut: usize, put: usize, seed: u64 },
        Append { put: usize, seed: u64 },
        Empty,
        Remove,
    }

    fn edits() -> impl Strategy<Value = Vec<Edit>> {
        let splice = (any::<usize>(), 0_usize..6_000, 0_usize..6_000, any::<u64>())
            .prop_map(|(at, cut, put, seed)| Edit::Splice { at, cut, put, seed });
        let append = (0_usize..4_000, any::<u64>()).prop_map(|(put, seed)| Edit::Append { put, seed });
        let edit = prop_oneof![8 => splice, 2 => append, 1 => Just(Edit::Empty), 1 => Just(Edit::Remove)];
        prop::collection::vec(edit, 1..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_rows_are_always_the_values(length in 0_usize..20_000, edits in edits()) {
            let mut now = HashMap::from([(b"k".to_vec(), text(1, length)), (b"other".to_vec(), text(2, 900))]);
            let (mut stored, mut rows) = (Stored::default(), Rows::default());
            rows.write(&stored.advance(&now));
            for edit in edits {
                let value = now.remove(b"k".as_slice()).unwrap_or_default();
                match edit {
                    Edit::Splice { at, cut, put, seed } => {
                        let at = at % (value.len() + 1);
                        let end = (at + cut).min(value.len());
                        now.insert(b"k".to_vec(), [&value[..at], &text(seed, put / 4), &value[end..]].concat());
                    }
                    Edit::Append { put, seed } => {
                        now.insert(b"k".to_vec(), [value, text(seed, put / 4)].concat());
                    }
                    Edit::Empty => { now.insert(b"k".to_vec(), Vec::new()); }
                    Edit::Remove => {}
                }
                rows.write(&stored.advance(&now));
                prop_assert_eq!(&rows.load().to_values(), &now);
                prop_assert_eq!(&stored.to_values(), &now);
                prop_assert!(stored.advance(&now).is_empty());
            }
        }
    }

    #[test]
    fn a_long_stretch_that_goes_and_one_that_comes_cost_what_came() {
        let (first, middle, last) = (text(4, 30_000), text(5, 30_000), text(6, 10_000));
        let mut stored = Stored::default();
        let key = b"k".to_vec();
        stored.advance(&HashMap::from([(key.clone(), [first, middle.clone()].concat())]));
        let changes = stored.advance(&HashMap::from([(key, [middle, last.clone()].concat())]));
        assert!(changes.bytes() <= last.len() + 4 * CHUNK, "{} bytes", changes.bytes());
    }

    #[test]
    fn a_small_change_that_shifts_the_rest_costs_little() {
        let value = text(3, 200_000);
        let mut stored = Stored::default();
        let key = b"k".to_vec();
        stored.advance(&HashMap::from([(key.clone(), value.clone())]));
        let mut longer = value;
        longer.splice(300_000..300_004, b"1, 255, 2".iter().copied());
        longer.splice(90_000..90_002, b"77, 7, ".iter().copied());
        let changes = stored.advance(&HashMap::from([(key, longer)]));
        assert!(changes.bytes() <= 6 * CHUNK, "{} bytes", changes.bytes());
    }
}
