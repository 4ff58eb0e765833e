//! The transaction that grants a commit: log, membership, public state, Welcomes and every domain's rows, or nothing.

use async_trait::async_trait;
use qpq_core::{DeviceAddress, Domain, GroupId, Seq, Timestamp, limits};
use qpq_delivery::{
    fanout::{CommitFanout, DomainShare},
    view::{CommitFacts, CommitOffer},
};
use qpq_federation_proto::{RowKind, StreamId, StreamName};
use qpq_hub::Chunk;
use qpq_metrics::Limit;
use qpq_storage::{
    Committed, EntryBody, Feed, GrantedCommit, LogEntry, NewOutboxRow, Notice, SeenSubmit, StateChunk,
    Stored, SubmitOutcome, WriteTx,
};

use super::{
    Place,
    behind::{Missed, domains_behind},
    create::stored_chunks,
    records::{Committer, GroupEntry, GroupWelcome},
};
use crate::{Effects, WriteJob, relay::quota::QueueRoom, request};

/// A commit that was judged and merged in memory.
pub(super) struct StoredCommit {
    pub(super) place: Place,
    pub(super) group: GroupId,
    /// The members before it.
    pub(super) before: Vec<DeviceAddress>,
    pub(super) facts: CommitFacts,
    pub(super) fanout: CommitFanout,
    pub(super) offer: CommitOffer,
    pub(super) state: Vec<Chunk>,
    pub(super) ratchet_tree: Vec<u8>,
    pub(super) now: Timestamp,
}

/// Stores it, if its epoch is still the group's.
pub(super) struct StoreCommit {
    commit: StoredCommit,
    state: Vec<StateChunk>,
    entry: LogEntry,
    effects: Effects,
}

impl StoreCommit {
    pub(super) fn new(mut commit: StoredCommit) -> Self {
        let state = stored_chunks(std::mem::take(&mut commit.state));
        let entry = LogEntry {
            seq: Seq::ZERO,
            id: commit.offer.id,
            epoch: commit.facts.epoch,
            at: commit.now,
            expires_at: None,
            body: EntryBody::Commit {
                message: commit.offer.commit.clone(),
                sender: commit.offer.sender.clone(),
                signature: commit.offer.signature,
            },
        };
        Self { commit, state, entry, effects: Effects::default() }
    }

    /// Makes it known to our own devices.
    async fn tell_ours(&mut self, tx: &mut dyn WriteTx, share: &DomainShare, seq: Seq) -> Stored<()> {
        let commit = &self.commit;
        let mut notices = Vec::new();
        for device in &share.welcomed {
            notices.push((
                device.device,
                Notice::Welcome {
                    group: commit.group.clone(),
                    epoch: commit.facts.epoch.saturating_add(1),
                    welcome: commit.offer.welcome.clone(),
                    sender: commit.offer.sender.clone(),
                    start: seq,
                },
            ));
        }
        for device in share.entry.iter().flat_map(|entry| &entry.removed) {
            notices.push((device.device, Notice::Removed { group: commit.group.clone() }));
        }
        for device in tx.mailbox_append(&notices, commit.now).await? {
            self.effects.wake(device, Feed::Mailbox);
        }
        let ours = commit.before.iter().filter(|device| device.user.domain() == &commit.place.domain);
        for device in ours {
            self.effects.wake(device.device, Feed::Group(commit.group.clone()));
        }
        Ok(())
    }

    /// Makes it known to another domain; if there is no room for that, its devices are left behind.
    async fn tell_theirs(
        &mut self,
        tx: &mut dyn WriteTx,
        domain: &Domain,
        share: &DomainShare,
        seq: Seq,
    ) -> Stored<()> {
        let (rows, commit) = (self.rows(domain, share, seq), &self.commit);
        let quota = commit.place.peer_queue;
        let mut room = if removes(share) {
            QueueRoom::with_reserve(tx, domain, quota).await?
        } else {
            QueueRoom::of(tx, domain, quota).await?
        };
        if rows.iter().all(|row| room.take(row.payload.len())) {
            self.effects.send(domain.clone());
            return tx.outbox_append(&rows).await.map(drop);
        }
        self.effects.hit(Limit::PeerQueue);
        let (us, group) = (&commit.place.domain, &commit.group);
        let missed = Missed { us, group, domain, id: commit.offer.id, now: commit.now };
        missed.leave_behind(tx, &mut self.effects).await
    }

    /// The rows for another domain: the commit if it had members before, the Welcome if it has new ones.
    fn rows(&self, destination: &Domain, share: &DomainShare, seq: Seq) -> Vec<NewOutboxRow> {
        let commit = &self.commit;
        let stream =
            StreamId::of(&commit.place.domain, destination, &StreamName::FanOut(commit.group.clone()));
        let row = |kind: RowKind, payload| NewOutboxRow {
            destination: destination.clone(),
            stream: *stream.as_bytes(),
            id: commit.offer.id,
            kind: kind.number(),
            expires_at: None,
            payload,
            at: commit.now,
            request: request::current(),
        };
        let mut rows = Vec::new();
        if let Some(entry) = &share.entry {
            let entry = GroupEntry {
                group: commit.group.clone(),
                seq,
                epoch: commit.facts.epoch,
                at: commit.now,
                message: commit.offer.commit.clone(),
                committer: Some(Committer {
                    sender: commit.offer.sender.clone(),
                    signature: commit.offer.signature,
                }),
                removed: entry.removed.clone(),
                accounts: commit.fanout.accounts,
            };
            rows.push(row(RowKind::GroupEntry, entry.to_bytes()));
        }
        if !share.welcomed.is_empty() {
            let welcome = GroupWelcome {
                group: commit.group.clone(),
                epoch: commit.facts.epoch.saturating_add(1),
                start: seq,
                sender: commit.offer.sender.clone(),
                devices: share.welcomed.clone(),
                welcome: commit.offer.welcome.clone(),
                accounts: commit.fanout.accounts,
            };
            rows.push(row(RowKind::Welcome, welcome.to_bytes()));
        }
        rows
    }
}

/// Whoever is removed must learn of it, also where others can't follow.
fn removes(share: &DomainShare) -> bool {
    share.entry.as_ref().is_some_and(|entry| !entry.removed.is_empty())
}

/// What came of storing a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreOutcome {
    /// What the compare-and-set said.
    Decided(Committed),
    /// The same submit was granted while this one waited for its turn.
    Repeated {
        /// The position.
        seq: Seq,
        /// When.
        at: Timestamp,
    },
}

#[async_trait]
impl WriteJob for StoreCommit {
    type Output = StoreOutcome;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<StoreOutcome> {
        self.effects = Effects::default();
        let commit = &self.commit;
        // A caller that lost its connection comes again at once, perhaps before its first try is durable: answered by
        // the epoch alone, it would hear that it lost to itself.
        let seen =
            tx.submits_seen(&commit.offer.sender, &[commit.offer.id]).await?.into_iter().flatten().next();
        if let Some(SeenSubmit { payload, outcome: SubmitOutcome::AtHub { seq, at } }) = seen
            && payload == commit.offer.digest()
        {
            return Ok(StoreOutcome::Repeated { seq, at });
        }
        let added: Vec<_> = commit.facts.added.iter().map(|added| added.device.clone()).collect();
        let removed: Vec<_> = commit.facts.removed.iter().map(|member| member.device.clone()).collect();
        // A joiner needs the tree as long as its KeyPackage can open the Welcome.
        let tree_until = commit.facts.added.iter().map(|added| added.lifetime.not_after).max();
        let granted = GrantedCommit {
            group: &commit.group,
            entry: &self.entry,
            accounts: commit.fanout.accounts,
            added: &added,
            removed: &removed,
            state: &self.state,
            group_info: &commit.offer.group_info,
            tree: tree_until.map(|_| commit.ratchet_tree.as_slice()),
            tree_until: tree_until.unwrap_or(commit.now),
        };
        let committed = tx.group_commit(&granted).await?;
        let Committed::Granted(seq) = committed else { return Ok(StoreOutcome::Decided(committed)) };
        let seen = SeenSubmit {
            payload: commit.offer.digest(),
            outcome: SubmitOutcome::AtHub { seq, at: commit.now },
        };
        let until = commit.now.after(commit.place.ttl).after(limits::IDEMPOTENCY_EXTRA);
        tx.submits_remember(&commit.offer.sender, &[(commit.offer.id, seen)], until).await?;
        let shares = commit.fanout.shares.clone();
        let behind = domains_behind(&tx.members(&self.commit.group).await?);
        for (domain, share) in shares {
            if domain == self.commit.place.domain {
                self.tell_ours(tx, &share, seq).await?;
            } else if !behind.contains(&domain) || removes(&share) {
                self.tell_theirs(tx, &domain, &share, seq).await?;
            }
        }
        Ok(StoreOutcome::Decided(committed))
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}
