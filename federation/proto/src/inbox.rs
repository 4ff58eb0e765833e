//! Judges a batch against what was applied before: new, known, too early, or a contradiction.
//!
//! The caller reads the [`Position`], judges, stores the rows and the next position in **one** write transaction,
//! and gets the answer out of an [`Application`] only by saying that the transaction is durable. So a batch that
//! comes twice is one set of rows and the same answer, also across a crash between commit and answer.

use std::collections::BTreeMap;

use qpq_core::{Digest, Incarnation, Seq};

use crate::{
    answer::{Refusal, StreamAnswer},
    planted::{Bug, active},
    stream::{Batch, Row, StreamId, chain, chain_over_gap},
};

/// Where a stream of one origin stands here; one record per (origin, stream).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The life of the origin's database that numbered the rows.
    pub incarnation: Incarnation,
    /// The last row applied.
    pub applied: Seq,
    /// The chain after it.
    pub chain: Digest,
}

impl Position {
    const fn start(incarnation: Incarnation) -> Self {
        Self { incarnation, applied: Seq::ZERO, chain: Digest::ZERO }
    }
}

/// What to do with a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement<'a> {
    /// Store these rows and the next position, then answer.
    Apply(Application<'a>),
    /// Rows that were wanted will never come: store the next position and what follows from the loss, then answer.
    Skip(Gap),
    /// All of it was applied before: store nothing. The answer repeats the refusals that were kept for rows from
    /// `batch.first()` on; those of earlier rows may go, since the sender has recorded them.
    AlreadyApplied(Position),
    /// Rows before the batch are missing: store nothing, answer that this one comes next.
    ExpectSeq(Seq),
    /// The batch contradicts what was applied up to here, or belongs to a life of the origin's database that is
    /// over: store nothing, answer with the last signed header that was kept for the stream.
    Contradicts(Seq),
}

/// Rows that are to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application<'a> {
    rows: &'a [Row],
    next: Position,
}

impl<'a> Application<'a> {
    /// The rows that are new, in order. Unknown kinds among them are parked, not dropped.
    pub const fn rows(&self) -> &'a [Row] {
        self.rows
    }

    /// The position to store with them.
    pub const fn next(&self) -> Position {
        self.next
    }

    /// The answer, for a caller whose transaction (rows, position, refusals) is durable. `refusals` are those of
    /// all rows of the batch, including rows that an earlier batch brought.
    pub const fn durable(self, refusals: Vec<Refusal>) -> StreamAnswer {
        StreamAnswer::Applied { through: self.next.applied, chain: self.next.chain, refusals }
    }
}

/// Rows that are lost: the origin doesn't have them any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The first row that was wanted and will never come.
    pub first: Seq,
    next: Position,
}

impl Gap {
    /// The last of them.
    pub const fn through(&self) -> Seq {
        self.next.applied
    }

    /// The position to store.
    pub const fn next(&self) -> Position {
        self.next
    }

    /// The answer, for a caller whose transaction is durable.
    pub const fn durable(self) -> StreamAnswer {
        self.next.already_applied(Vec::new())
    }
}

impl Position {
    /// The answer to a batch that was applied before.
    pub const fn already_applied(self, refusals: Vec<Refusal>) -> StreamAnswer {
        StreamAnswer::Applied { through: self.applied, chain: self.chain, refusals }
    }
}

/// What `hello` says about all streams of an origin: how many, and SHA-256 over (stream\[16\], incarnation\[16\], last
/// applied u64, chain\[32\]) of each, ordered by stream. The origin computes the same over what it has heard of
/// ([`crate::LaneHead`]); if they differ it asks for the heads.
pub fn heads_digest(heads: impl Iterator<Item = (StreamId, Position)>) -> (u64, Digest) {
    let ordered: BTreeMap<StreamId, Position> = heads.collect();
    let bytes: Vec<u8> = ordered
        .iter()
        .flat_map(|(stream, at)| {
            let incarnation = at.incarnation.to_bytes();
            [stream.as_bytes().as_slice(), &incarnation, &at.applied.0.to_be_bytes(), at.chain.as_bytes()]
                .concat()
        })
        .collect();
    (u64::try_from(ordered.len()).unwrap_or(u64::MAX), Digest::of(&[&bytes]))
}

/// Judges a batch that came under a verified header with `incarnation`.
///
/// A new incarnation begins at row 1; after its first row an older one is over, so the origin finishes the older
/// incarnation of a stream before it begins the newer.
pub fn judge<'a>(position: Option<&Position>, incarnation: Incarnation, batch: &'a Batch) -> Judgement<'a> {
    let here = match position {
        Some(known) if active(Bug::OriginsLifeIgnored) => *known,
        Some(known) if known.incarnation > incarnation => {
            return Judgement::Contradicts(known.applied);
        }
        Some(known) if known.incarnation == incarnation => *known,
        Some(_) | None => Position::start(incarnation),
    };
    let wanted = here.applied.next();
    if batch.first() > wanted && !active(Bug::GapIgnored) {
        return Judgement::ExpectSeq(wanted);
    }
    if batch.last() < here.applied {
        // An old batch. Its end lies before our chain, so there is nothing to compare.
        return Judgement::AlreadyApplied(here);
    }
    if batch.is_gap() {
        return judge_gap(here, batch);
    }
    let known = batch.rows().partition_point(|row| row.seq <= here.applied && !active(Bug::NoDedup));
    let (old, new) = batch.rows().split_at_checked(known).unwrap_or_else(|| (&[], batch.rows()));
    if let Some(before) = batch.before() {
        let met = old.iter().fold(before, |previous, row| chain(&previous, row));
        if met != here.chain && !active(Bug::NoDedup) && !active(Bug::GapIgnored) {
            return Judgement::Contradicts(here.applied);
        }
    }
    if new.is_empty() {
        return Judgement::AlreadyApplied(here);
    }
    let chain = new.iter().fold(here.chain, |previous, row| chain(&previous, row));
    Judgement::Apply(Application { rows: new, next: Position { incarnation, applied: batch.last(), chain } })
}

/// A gap that begins right after what was applied must agree with it; one that begins earlier has lost its end only.
fn judge_gap<'a>(here: Position, gap: &Batch) -> Judgement<'a> {
    let wanted = here.applied.next();
    if gap.last() <= here.applied {
        return Judgement::AlreadyApplied(here);
    }
    if gap.first() == wanted && gap.before().is_some_and(|before| before != here.chain) {
        return Judgement::Contradicts(here.applied);
    }
    let chain = chain_over_gap(&here.chain, gap.last());
    let next = Position { incarnation: here.incarnation, applied: gap.last(), chain };
    Judgement::Skip(Gap { first: wanted, next })
}

#[cfg(test)]
mod tests {
    use qpq_core::{MessageId, SeededEntropy, Timestamp};

    use super::*;
    use crate::stream::RowKind;

    fn life(time: u64) -> Incarnation {
        Incarnation::begin(Timestamp::from_millis(time), &mut SeededEntropy::new(time))
    }

    fn batch(before: Digest, seqs: std::ops::RangeInclusive<u64>) -> Batch {
        let rows = seqs.map(|seq| Row {
            seq: Seq(seq),
            id: MessageId::from_bytes([u8::try_from(seq).unwrap(); 16]),
            kind: RowKind::GroupEntry,
            ttl: None,
            payload: vec![1],
            request: None,
        });
        Batch::new(StreamId::from_bytes([1; 16]), Some(before), rows.collect()).unwrap()
    }

    fn applied(through: u64) -> Position {
        let chain = batch(Digest::ZERO, 1..=through).chain_after().unwrap();
        Position { incarnation: life(1), applied: Seq(through), chain }
    }

    fn judged(
        position: Option<&Position>,
        incarnation: Incarnation,
        batch: &Batch,
    ) -> Result<Position, StreamAnswer> {
        match judge(position, incarnation, batch) {
            Judgement::Apply(application) => Ok(application.next()),
            Judgement::Skip(gap) => Ok(gap.next()),
            Judgement::AlreadyApplied(position) => Err(position.already_applied(vec![])),
            Judgement::ExpectSeq(next) => Err(StreamAnswer::ExpectSeq(next)),
            Judgement::Contradicts(at) => {
                Err(StreamAnswer::ChainDiffers { header: at.0.to_be_bytes().to_vec() })
            }
        }
    }

    #[test]
    fn the_same_batch_twice_is_stored_once_and_answered_alike() {
        let batch = batch(Digest::ZERO, 1..=3);
        let Judgement::Apply(first) = judge(None, life(1), &batch) else { panic!("refused") };
        assert_eq!(first.rows().len(), 3);
        let next = first.next();
        let answer = first.durable(vec![]);
        assert_eq!(judged(Some(&next), life(1), &batch), Err(answer));
    }

    #[test]
    fn only_the_new_end_of_an_overlapping_batch_is_applied() {
        let longer = batch(Digest::ZERO, 1..=5);
        let position = applied(3);
        let Judgement::Apply(application) = judge(Some(&position), life(1), &longer) else {
            panic!("refused")
        };
        assert_eq!(application.rows().iter().map(|row| row.seq.0).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(application.next(), applied(5));
    }

    #[test]
    fn a_gap_is_answered_with_the_row_wanted() {
        let late = batch(applied(4).chain, 5..=6);
        assert_eq!(judged(Some(&applied(3)), life(1), &late), Err(StreamAnswer::ExpectSeq(Seq(4))));
        assert_eq!(judged(None, life(1), &late), Err(StreamAnswer::ExpectSeq(Seq(1))));
    }

    #[test]
    fn different_rows_under_the_same_numbers_are_refused() {
        let other = batch(Digest::from_bytes([1; 32]), 4..=5);
        assert_eq!(
            judged(Some(&applied(3)), life(1), &other),
            Err(StreamAnswer::ChainDiffers { header: 3_u64.to_be_bytes().to_vec() })
        );
        let rewritten = batch(Digest::from_bytes([1; 32]), 2..=5);
        assert_eq!(
            judged(Some(&applied(3)), life(1), &rewritten),
            Err(StreamAnswer::ChainDiffers { header: 3_u64.to_be_bytes().to_vec() })
        );
    }

    #[test]
    fn a_newer_life_starts_at_one_and_ends_the_older() {
        let first = batch(Digest::ZERO, 1..=1);
        let next = judged(Some(&applied(3)), life(2), &first).unwrap();
        assert_eq!((next.incarnation, next.applied), (life(2), Seq(1)));
        let old = batch(applied(3).chain, 4..=4);
        assert_eq!(
            judged(Some(&next), life(1), &old),
            Err(StreamAnswer::ChainDiffers { header: 1_u64.to_be_bytes().to_vec() })
        );
    }

    #[test]
    fn a_gap_moves_the_stream_on_and_says_what_is_lost() {
        let gap = |before, first, through| {
            Batch::gap(StreamId::from_bytes([1; 16]), before, Seq(first), Seq(through)).unwrap()
        };
        let here = applied(3);
        let right = gap(Some(here.chain), 4, 9);
        let Judgement::Skip(lost) = judge(Some(&here), life(1), &right) else { panic!("refused") };
        assert_eq!((lost.first, lost.through()), (Seq(4), Seq(9)));
        assert_eq!(lost.next().chain, chain_over_gap(&here.chain, Seq(9)));
        let next = lost.next();
        assert_eq!(judged(Some(&next), life(1), &right), Err(lost.durable()), "twice is once");
        // What was applied of it stays applied.
        let Judgement::Skip(lost) = judge(Some(&here), life(1), &gap(None, 2, 5)) else { panic!("refused") };
        assert_eq!((lost.first, lost.through()), (Seq(4), Seq(5)));
        assert_eq!(judged(Some(&here), life(1), &gap(None, 6, 9)), Err(StreamAnswer::ExpectSeq(Seq(4))));
        assert!(matches!(
            judged(Some(&here), life(1), &gap(Some(Digest::ZERO), 4, 9)),
            Err(StreamAnswer::ChainDiffers { .. })
        ));
        assert_eq!(judged(None, life(1), &gap(Some(Digest::ZERO), 1, 2)).unwrap().applied, Seq(2));
    }
}
