//! How far each peer's streams were applied, in memory.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::{Domain, Seq};

use super::{MemoryTx, ParkedSeen};
use crate::{InboxHead, InboxRead, InboxWrite, ParkedKind, ParkedRow, Stored, StreamName};

/// Heads and parked rows by origin and stream.
#[derive(Clone, Default)]
pub(super) struct Inbox {
    heads: BTreeMap<(Domain, StreamName), InboxHead>,
    /// With the number in the order of parking.
    parked: BTreeMap<(Domain, StreamName), Vec<(u64, ParkedRow)>>,
    last_parked: u64,
}

impl Inbox {
    /// Every stream with its parked rows, for an observer.
    pub(super) fn seen(&self) -> Vec<ParkedSeen> {
        let seen = |(key, rows): (&(Domain, StreamName), &Vec<(u64, ParkedRow)>)| {
            let rows = rows.iter().map(|(_, row)| row.clone()).collect();
            Some(ParkedSeen {
                origin: key.0.clone(),
                stream: key.1,
                life: self.heads.get(key)?.incarnation,
                rows,
            })
        };
        self.parked.iter().filter_map(seen).collect()
    }
}

#[async_trait]
impl InboxRead for MemoryTx {
    async fn inbox_head(&mut self, origin: &Domain, stream: &StreamName) -> Stored<Option<InboxHead>> {
        Ok(self.state.inbox.heads.get(&(origin.clone(), *stream)).cloned())
    }

    async fn inbox_heads(&mut self, origin: &Domain) -> Stored<Vec<(StreamName, InboxHead)>> {
        let heads = self.state.inbox.heads.range((origin.clone(), [0; 16])..=(origin.clone(), [0xff; 16]));
        Ok(heads.map(|((_, stream), head)| (*stream, head.clone())).collect())
    }

    async fn inbox_heads_after(
        &mut self,
        origin: &Domain,
        after: Option<&StreamName>,
        limit: usize,
    ) -> Stored<Vec<(StreamName, InboxHead)>> {
        let heads = self.inbox_heads(origin).await?;
        let later = heads.into_iter().filter(|(stream, _)| after.is_none_or(|after| stream > after));
        Ok(later.take(limit).collect())
    }

    async fn inbox_streams(&mut self, origin: &Domain) -> Stored<u64> {
        let heads = self.state.inbox.heads.range((origin.clone(), [0; 16])..=(origin.clone(), [0xff; 16]));
        Ok(u64::try_from(heads.count()).unwrap_or(u64::MAX))
    }

    async fn inbox_parked_bytes(&mut self, origin: &Domain) -> Stored<u64> {
        let parked = self.state.inbox.parked.range((origin.clone(), [0; 16])..=(origin.clone(), [0xff; 16]));
        let bytes = parked.flat_map(|(_, rows)| rows).map(|(_, row)| row.payload.len()).sum::<usize>();
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    async fn inbox_parked(&mut self, origin: &Domain) -> Stored<Vec<ParkedKind>> {
        let parked = self.state.inbox.parked.range((origin.clone(), [0; 16])..=(origin.clone(), [0xff; 16]));
        let mut kinds: BTreeMap<u16, ParkedKind> = BTreeMap::new();
        for (_, row) in parked.flat_map(|(_, rows)| rows) {
            let of = kinds.entry(row.kind).or_insert(ParkedKind { kind: row.kind, rows: 0, bytes: 0 });
            of.rows += 1;
            of.bytes += u64::try_from(row.payload.len()).unwrap_or(u64::MAX);
        }
        Ok(kinds.into_values().collect())
    }
}

#[async_trait]
impl InboxWrite for MemoryTx {
    async fn inbox_advance(&mut self, origin: &Domain, stream: &StreamName, head: &InboxHead) -> Stored<()> {
        let key = (origin.clone(), *stream);
        let position = |head: &InboxHead| (head.incarnation, head.last_applied);
        if self.state.inbox.heads.get(&key).is_some_and(|known| position(head) < position(known)) {
            return Err(self.conflict("inbox_advance"));
        }
        let same_life = |known: &&InboxHead| known.incarnation == head.incarnation;
        let backed_up =
            self.state.inbox.heads.get(&key).filter(same_life).map_or(Seq::ZERO, |known| known.backed_up);
        Arc::make_mut(&mut self.state.inbox).heads.insert(key, InboxHead { backed_up, ..head.clone() });
        Ok(())
    }

    async fn inbox_park(&mut self, origin: &Domain, stream: &StreamName, rows: &[ParkedRow]) -> Stored<()> {
        let inbox = Arc::make_mut(&mut self.state.inbox);
        for row in rows {
            inbox.last_parked += 1;
            let numbered = (inbox.last_parked, row.clone());
            inbox.parked.entry((origin.clone(), *stream)).or_default().push(numbered);
        }
        Ok(())
    }

    async fn inbox_unpark(
        &mut self,
        origin: &Domain,
        kinds: &[u16],
        limit: usize,
    ) -> Stored<Vec<(StreamName, ParkedRow)>> {
        let inbox = Arc::make_mut(&mut self.state.inbox);
        let theirs = (origin.clone(), [0; 16])..=(origin.clone(), [0xff; 16]);
        let mut taken: BTreeMap<u64, (StreamName, ParkedRow)> = BTreeMap::new();
        for ((_, stream), rows) in inbox.parked.range(theirs.clone()) {
            let known = rows.iter().filter(|(_, row)| kinds.contains(&row.kind));
            taken.extend(known.map(|(number, row)| (*number, (*stream, row.clone()))));
        }
        let taken: BTreeMap<_, _> = taken.into_iter().take(limit).collect();
        for (_, rows) in inbox.parked.range_mut(theirs) {
            rows.retain(|(number, _)| !taken.contains_key(number));
        }
        Ok(taken.into_values().collect())
    }
}
