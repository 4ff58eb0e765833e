//! Rows on their way to peers, in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use qpq_core::{Digest, Domain, Incarnation, Millis, Seq, Timestamp};

use super::{MemoryTx, QueueSeen};
use crate::{
    Backoff, NewOutboxRow, OutboxDepth, OutboxHead, OutboxLane, OutboxRead, OutboxRow, OutboxWeight,
    OutboxWrite, Page, QueueLine, Stored, WaitingRow, Window,
};

#[derive(Clone)]
struct Row {
    row: Arc<NewOutboxRow>,
    acknowledged_at: Option<Timestamp>,
}

impl Row {
    fn bytes(&self) -> u64 {
        u64::try_from(self.row.payload.len()).unwrap_or(u64::MAX)
    }
}

#[derive(Clone, Default)]
struct Stream {
    last: Seq,
    acknowledged: Seq,
    chain: Option<Digest>,
    rows: BTreeMap<Seq, Row>,
}

/// Lanes by destination, and when to try a destination again.
#[derive(Clone, Default)]
pub(super) struct Outbox {
    streams: BTreeMap<(Domain, OutboxLane), Arc<Stream>>,
    backoffs: BTreeMap<Domain, Backoff>,
}

impl Outbox {
    fn of<'a>(&'a self, destination: &'a Domain) -> impl Iterator<Item = (&'a OutboxLane, &'a Arc<Stream>)> {
        let lanes = self.streams.iter().filter(move |((to, _), _)| to == destination);
        lanes.map(|((_, lane), stream)| (lane, stream))
    }

    fn heads(&self, destination: &Domain) -> Vec<OutboxHead> {
        let head = |(lane, stream): (&OutboxLane, &Arc<Stream>)| OutboxHead {
            lane: *lane,
            acknowledged: stream.acknowledged,
            chain: stream.chain,
            last: stream.last,
        };
        self.of(destination).map(head).collect()
    }

    fn lane(&mut self, destination: &Domain, lane: &OutboxLane) -> Option<&mut Stream> {
        self.streams.get_mut(&(destination.clone(), *lane)).map(Arc::make_mut)
    }

    /// What waits for a destination.
    pub(super) fn depth(&self, destination: &Domain) -> OutboxDepth {
        Self::sum(self.of(destination).map(|(_, stream)| stream))
    }

    fn sum<'a>(streams: impl Iterator<Item = &'a Arc<Stream>> + 'a) -> OutboxDepth {
        let mut depth = OutboxDepth::default();
        for stream in streams {
            let kept = stream.rows.range(..=stream.acknowledged).count();
            depth.kept += u64::try_from(kept).unwrap_or(u64::MAX);
            let mut waiting = stream.rows.range(stream.acknowledged.next()..).map(|(_, row)| row).peekable();
            let next = waiting.peek().map(|row| row.row.at);
            depth.oldest_at = depth.oldest_at.into_iter().chain(next).min();
            for row in waiting {
                depth.rows += 1;
                depth.bytes += row.bytes();
            }
        }
        depth
    }

    /// Every stream with its rows, for an observer.
    pub(super) fn seen(&self) -> Vec<QueueSeen> {
        let seen = |((destination, name), stream): (&(Domain, OutboxLane), &Arc<Stream>)| QueueSeen {
            destination: destination.clone(),
            lane: *name,
            acknowledged: stream.acknowledged,
            rows: stream.rows.iter().map(|(seq, row)| (*seq, row.row.id)).collect(),
        };
        self.streams.iter().map(seen).collect()
    }

    /// Forgets when to try a destination again.
    pub(super) fn forget_backoff(&mut self, destination: &Domain) {
        self.backoffs.remove(destination);
    }
}

/// The row turned into a tombstone, and as it was.
fn bury(row: &mut Row, tombstone: u16, payload: &[u8]) -> NewOutboxRow {
    let was = (*row.row).clone();
    let dead = NewOutboxRow { kind: tombstone, payload: payload.to_vec(), expires_at: None, ..was.clone() };
    row.row = Arc::new(dead);
    was
}

impl MemoryTx {
    /// The life that this store is in.
    fn life(&self) -> Option<Incarnation> {
        self.state.vault.as_ref().map(|vault| vault.incarnation)
    }
}

#[async_trait]
impl OutboxRead for MemoryTx {
    async fn outbox_destinations(&mut self) -> Stored<Vec<Domain>> {
        let waiting =
            self.state.outbox.streams.iter().filter(|(_, stream)| stream.acknowledged < stream.last);
        let names: BTreeSet<Domain> = waiting.map(|((destination, _), _)| destination.clone()).collect();
        Ok(names.into_iter().collect())
    }

    async fn outbox_heads(&mut self, destination: &Domain) -> Stored<Vec<OutboxHead>> {
        let heads = self.state.outbox.heads(destination);
        Ok(heads.into_iter().filter(|head| head.acknowledged < head.last).collect())
    }

    async fn outbox_lanes(&mut self, destination: &Domain) -> Stored<Vec<OutboxHead>> {
        Ok(self.state.outbox.heads(destination))
    }

    async fn outbox_rows(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        from: Seq,
        limit: usize,
        bytes: usize,
    ) -> Stored<Vec<OutboxRow>> {
        let Some(stream) = self.state.outbox.streams.get(&(destination.clone(), *lane)) else {
            return Ok(Vec::new());
        };
        let mut taken = 0;
        let mut rows = Vec::new();
        for (seq, row) in stream.rows.range(from..).take(limit) {
            taken += row.row.payload.len();
            if taken > bytes && !rows.is_empty() {
                break;
            }
            rows.push(OutboxRow { seq: *seq, row: (*row.row).clone() });
        }
        Ok(rows)
    }

    async fn outbox_weight(&mut self, destination: &Domain) -> Stored<OutboxWeight> {
        Ok(self.state.outbox.depth(destination).weight())
    }

    async fn outbox_overdue(
        &mut self,
        accepted_before: Timestamp,
        tombstone: u16,
        limit: usize,
    ) -> Stored<Vec<WaitingRow>> {
        let mut found = Vec::new();
        for ((_, lane), stream) in &self.state.outbox.streams {
            for (seq, row) in stream.rows.range(stream.acknowledged.next()..) {
                let row = (*row.row).clone();
                if row.expires_at.is_none() && row.at < accepted_before && row.kind != tombstone {
                    found.push(WaitingRow { lane: *lane, row: OutboxRow { seq: *seq, row } });
                }
            }
        }
        found.sort_by_key(|waiting| {
            (waiting.row.row.at, waiting.row.row.destination.clone(), waiting.lane, waiting.row.seq)
        });
        found.truncate(limit);
        Ok(found)
    }

    async fn outbox_depth(&mut self, destination: &Domain) -> Stored<OutboxDepth> {
        Ok(self.state.outbox.depth(destination))
    }

    async fn outbox_queue(&mut self, destination: &Domain, window: Window) -> Stored<Page<QueueLine>> {
        let waiting =
            self.state.outbox.of(destination).filter(|(_, stream)| stream.acknowledged < stream.last);
        let line = |(lane, stream): (&OutboxLane, &Arc<Stream>)| {
            let rows = || stream.rows.range(stream.acknowledged.next()..);
            let next = stream.acknowledged.next();
            QueueLine {
                lane: *lane,
                next,
                rows: u64::try_from(rows().count()).unwrap_or(u64::MAX),
                bytes: rows().map(|(_, row)| row.bytes()).sum(),
                first: stream.rows.get(&next).map(|row| (row.row.kind, row.row.at)),
            }
        };
        Ok(Page::of(waiting.map(line).collect(), window))
    }

    async fn outbox_depth_of_all(&mut self) -> Stored<OutboxDepth> {
        Ok(Outbox::sum(self.state.outbox.streams.values()))
    }

    async fn outbox_backoff(&mut self, destination: &Domain) -> Stored<Backoff> {
        Ok(self.state.outbox.backoffs.get(destination).copied().unwrap_or_default())
    }
}

#[async_trait]
impl OutboxWrite for MemoryTx {
    async fn outbox_append(&mut self, rows: &[NewOutboxRow]) -> Stored<Vec<Seq>> {
        let Some(incarnation) = self.life() else { return Err(self.conflict("outbox_append")) };
        let outbox = Arc::make_mut(&mut self.state.outbox);
        let mut positions = Vec::with_capacity(rows.len());
        for row in rows {
            let lane = OutboxLane { incarnation, stream: row.stream };
            let stream = outbox.streams.entry((row.destination.clone(), lane)).or_default();
            let stream = Arc::make_mut(stream);
            stream.last = stream.last.next();
            stream.rows.insert(stream.last, Row { row: Arc::new(row.clone()), acknowledged_at: None });
            positions.push(stream.last);
        }
        Ok(positions)
    }

    async fn outbox_acknowledge(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        through: Seq,
        chain: Option<&Digest>,
        now: Timestamp,
    ) -> Stored<()> {
        let planted = self.planted;
        let outbox = Arc::make_mut(&mut self.state.outbox);
        if let Some(stream) = outbox.lane(destination, lane) {
            let through = if planted.one_too_many() { through.next() } else { through }.min(stream.last);
            if through > stream.acknowledged {
                stream.acknowledged = through;
                stream.chain = chain.copied();
            }
            for row in stream.rows.range_mut(..=stream.acknowledged).map(|(_, row)| row) {
                row.acknowledged_at.get_or_insert(now);
            }
        }
        Ok(())
    }

    async fn outbox_rewind(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        to: Seq,
        chain: &Digest,
    ) -> Stored<()> {
        let outbox = Arc::make_mut(&mut self.state.outbox);
        let Some(stream) = outbox.lane(destination, lane).filter(|stream| to <= stream.acknowledged) else {
            return Ok(());
        };
        stream.acknowledged = to;
        stream.chain = Some(*chain);
        for row in stream.rows.range_mut(to.next()..).map(|(_, row)| row) {
            row.acknowledged_at = None;
        }
        Ok(())
    }

    async fn outbox_forget(&mut self, destination: &Domain, lane: &OutboxLane, through: Seq) -> Stored<()> {
        if let Some(stream) = Arc::make_mut(&mut self.state.outbox).lane(destination, lane) {
            stream.rows.retain(|seq, row| *seq > through || row.acknowledged_at.is_none());
        }
        Ok(())
    }

    async fn outbox_bury(
        &mut self,
        destination: &Domain,
        lane: &OutboxLane,
        seq: Seq,
        tombstone: u16,
        payload: &[u8],
    ) -> Stored<Option<OutboxRow>> {
        let stream = Arc::make_mut(&mut self.state.outbox).lane(destination, lane);
        let row = stream.and_then(|stream| stream.rows.get_mut(&seq));
        let row = row.filter(|row| row.acknowledged_at.is_none() && row.row.kind != tombstone);
        Ok(row.map(|row| OutboxRow { seq, row: bury(row, tombstone, payload) }))
    }

    async fn outbox_renumber(&mut self) -> Stored<u64> {
        let Some(ours) = self.life() else { return Err(self.conflict("outbox_renumber")) };
        let outbox = Arc::make_mut(&mut self.state.outbox);
        let mut moved: BTreeMap<(Domain, OutboxLane), Vec<Row>> = BTreeMap::new();
        for ((destination, lane), stream) in &mut outbox.streams {
            if lane.incarnation == ours || stream.acknowledged == stream.last {
                continue;
            }
            let stream = Arc::make_mut(stream);
            let waiting = stream.rows.split_off(&stream.acknowledged.next());
            stream.last = stream.acknowledged;
            let anew = OutboxLane { incarnation: ours, ..*lane };
            moved.entry((destination.clone(), anew)).or_default().extend(waiting.into_values());
        }
        let mut count = 0;
        for (key, rows) in moved {
            let before = u64::try_from(rows.len()).unwrap_or(u64::MAX);
            count += before;
            let stream = Arc::make_mut(outbox.streams.entry(key).or_default());
            // Numbers of ours that were taken stay taken.
            let ours = stream.rows.split_off(&stream.acknowledged.next());
            stream.rows.extend(ours.into_iter().map(|(seq, row)| (seq.plus(before), row)));
            let numbers = (stream.acknowledged.0..).map(|number| Seq(number).next());
            stream.rows.extend(numbers.zip(rows));
            stream.last = stream.last.plus(before);
        }
        Ok(count)
    }

    async fn outbox_expire(
        &mut self,
        now: Timestamp,
        tombstone: u16,
        payload: &[u8],
        limit: usize,
    ) -> Stored<Vec<OutboxRow>> {
        let mut expired = Vec::new();
        for stream in Arc::make_mut(&mut self.state.outbox).streams.values_mut() {
            let due: Vec<Seq> = stream
                .rows
                .range(stream.acknowledged.next()..)
                .filter(|(_, row)| row.row.expires_at.is_some_and(|end| end <= now))
                .map(|(seq, _)| *seq)
                .take(limit - expired.len())
                .collect();
            for seq in due {
                if let Some(row) = Arc::make_mut(stream).rows.get_mut(&seq) {
                    expired.push(OutboxRow { seq, row: bury(row, tombstone, payload) });
                }
            }
        }
        Ok(expired)
    }

    async fn outbox_take(&mut self, destination: &Domain, limit: usize) -> Stored<Vec<OutboxRow>> {
        let mut taken = Vec::new();
        for ((to, _), stream) in &mut Arc::make_mut(&mut self.state.outbox).streams {
            if to != destination {
                continue;
            }
            let stream = Arc::make_mut(stream);
            let waiting = stream.rows.range(stream.acknowledged.next()..).map(|(seq, _)| *seq);
            let seqs: Vec<Seq> = waiting.take(limit - taken.len()).collect();
            for seq in seqs {
                let gone = stream.rows.remove(&seq);
                taken.extend(gone.map(|row| OutboxRow { seq, row: (*row.row).clone() }));
            }
        }
        Ok(taken)
    }

    async fn outbox_purge(&mut self, now: Timestamp, retain: Millis, most_bytes: u64) -> Stored<u64> {
        let outbox = Arc::make_mut(&mut self.state.outbox);
        let mut kept: BTreeMap<Domain, Vec<(Timestamp, OutboxLane, Seq, u64)>> = BTreeMap::new();
        for ((destination, name), stream) in &outbox.streams {
            for (seq, row) in &stream.rows {
                if let Some(at) = row.acknowledged_at {
                    kept.entry(destination.clone()).or_default().push((at, *name, *seq, row.bytes()));
                }
            }
        }
        let mut gone = 0;
        for (destination, mut rows) in kept {
            rows.sort_unstable();
            let mut bytes: u64 = rows.iter().map(|(_, _, _, bytes)| bytes).sum();
            for (at, name, seq, size) in rows {
                if at >= now.before(retain) && bytes <= most_bytes {
                    break;
                }
                bytes -= size;
                gone += 1;
                if let Some(stream) = outbox.streams.get_mut(&(destination.clone(), name)) {
                    Arc::make_mut(stream).rows.remove(&seq);
                }
            }
        }
        Ok(gone)
    }

    async fn outbox_backoff_store(&mut self, destination: &Domain, backoff: &Backoff) -> Stored<()> {
        Arc::make_mut(&mut self.state.outbox).backoffs.insert(destination.clone(), *backoff);
        Ok(())
    }
}
