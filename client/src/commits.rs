//! Commits of this device: staged and stored, offered to the hub, merged when the log echoes them, and made again
//! on the winner's epoch when they lost.

use std::{collections::BTreeSet, time::Duration};

use qpq_core::{Address, DeviceId, Entropy as _, ErrorCode, GroupId, MessageId};

use crate::{
    Client, ClientError,
    error::Refusal,
    mls::{Member, VerifiedKeyPackage},
    session::CommitVerdict,
    store::{CommitPurpose, PendingCommit},
};

/// How often a commit is rebased before the user is told.
const ATTEMPTS: u64 = 16;
/// How long to wait for the log to show what the hub decided.
const ECHO: Duration = Duration::from_secs(15);

/// What became of an offered commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It won its epoch.
    Won,
    /// Another one won: it is gone.
    Lost,
    /// It was refused: it is gone.
    Refused(Refusal),
}

/// Whom to add, with everything that was claimed for it.
#[derive(Debug)]
pub(crate) struct Addition {
    /// The users asked for.
    pub(crate) users: Vec<Address>,
    /// One KeyPackage for each device that has any.
    pub(crate) packages: Vec<VerifiedKeyPackage>,
    /// Every active device of these users.
    pub(crate) active: BTreeSet<(Address, DeviceId)>,
}

/// The leaves to remove and the packages to add, for the group as it is now.
struct Delta {
    adds: Vec<VerifiedKeyPackage>,
    leaves: Vec<u32>,
}

impl Addition {
    /// Users all of whose claimed devices are members already: adding them means renewing their leaves, because
    /// somebody fell behind and was cut off.
    fn renewals(&self, members: &[Member], own: &Address) -> BTreeSet<Address> {
        let missing: BTreeSet<_> = self
            .packages
            .iter()
            .map(VerifiedKeyPackage::device)
            .filter(|device| members.iter().all(|member| member.device != **device))
            .map(|device| device.user.clone())
            .collect();
        self.users
            .iter()
            .filter(|user| *user != own && !missing.contains(user))
            .filter(|user| members.iter().any(|member| member.device.user == **user))
            .cloned()
            .collect()
    }

    fn delta(&self, members: &[Member], renew: &BTreeSet<Address>, own: &Member) -> Delta {
        let is_member = |package: &VerifiedKeyPackage| members.iter().any(|m| m.device == *package.device());
        let adds: Vec<_> = self
            .packages
            .iter()
            .filter(|package| renew.contains(&package.device().user) || !is_member(package))
            .cloned()
            .collect();
        let leaves = members
            .iter()
            .filter(|member| member.leaf != own.leaf && self.users.contains(&member.device.user))
            .filter(|member| {
                let comes_back = adds.iter().any(|add| *add.device() == member.device);
                let gone = !self.active.contains(&(member.device.user.clone(), member.device.device));
                // A Remove is allowed together with an Add of the same account only.
                comes_back || (gone && adds.iter().any(|add| add.device().user == member.device.user))
            })
            .map(|member| member.leaf)
            .collect();
        Delta { adds, leaves }
    }
}

impl Client {
    /// Commits an addition, again and again on newer epochs until it has won or there is nothing left to do.
    pub(crate) async fn commit_addition(
        &self,
        group: &GroupId,
        addition: &Addition,
    ) -> Result<(), ClientError> {
        let mut renew = None;
        for attempt in 0..ATTEMPTS {
            self.pause(attempt).await?;
            self.settle_pending(group).await?;
            let Some(pending) = self.stage(group, addition, &mut renew).await? else { return Ok(()) };
            match self.offer_commit(&pending).await? {
                Offer::Won => return Ok(()),
                Offer::Refused(refusal) => return Err(refusal.into()),
                Offer::Lost => self.reach(group, pending.staged.epoch.saturating_add(1)).await?,
            }
        }
        Err(ClientError::Contention { group: group.clone() })
    }

    /// Offers a commit that is stored, and waits until the log shows the outcome. An error leaves it stored, to be
    /// offered again under the same id.
    pub(crate) async fn offer_commit(&self, pending: &PendingCommit) -> Result<Offer, ClientError> {
        match self.session()?.commit(&pending.group, &pending.staged).await? {
            CommitVerdict::Accepted { .. } => {
                let mut tx = self.inner.store.begin().await?;
                if is_still(tx.pending_commit(&pending.group).await?.as_ref(), pending) {
                    tx.mark_commit_accepted(&pending.group).await?;
                    tx.commit().await?;
                } else {
                    drop(tx);
                }
                self.reach(&pending.group, pending.staged.epoch.saturating_add(1)).await?;
                Ok(Offer::Won)
            }
            CommitVerdict::WrongEpoch => {
                self.drop_pending(pending).await?;
                Ok(Offer::Lost)
            }
            CommitVerdict::Refused(refusal) => {
                // Whoever has to accept this account first may take weeks: the group doesn't wait for them.
                let later = !refusal.is(ErrorCode::Requested)
                    && (ClientError::Refused(refusal.clone()).is_transient()
                        || refusal.is(ErrorCode::PeerUnreachable));
                if later {
                    return Err(refusal.into());
                }
                self.drop_pending(pending).await?;
                Ok(Offer::Refused(refusal))
            }
        }
    }

    /// Before a new commit: the one that waits for its answer gets it.
    async fn settle_pending(&self, group: &GroupId) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let pending = tx.pending_commit(group).await?;
        drop(tx);
        match pending {
            Some(pending) => self.offer_commit(&pending).await.map(drop),
            None => Ok(()),
        }
    }

    /// Stages and stores the commit; `None` if there is nothing to do.
    async fn stage(
        &self,
        id: &GroupId,
        addition: &Addition,
        renew: &mut Option<BTreeSet<Address>>,
    ) -> Result<Option<PendingCommit>, ClientError> {
        let me = self.me()?;
        let mut turn = self.turn().await;
        let mut tx = self.inner.store.begin().await?;
        let Some(group) = turn.group(&mut tx, id).await? else {
            return Err(ClientError::UnknownGroup { text: id.to_string() });
        };
        let members = group.members()?;
        let own = members
            .iter()
            .find(|member| member.device == *me.device.address())
            .ok_or_else(|| ClientError::CutOff { group: id.clone(), address: me.address().clone() })?;
        let renew = renew.get_or_insert_with(|| addition.renewals(&members, me.address()));
        let delta = addition.delta(&members, renew, own);
        if delta.adds.is_empty() {
            turn.done();
            return Ok(None);
        }
        let message_id = MessageId::random(&mut self.entropy()?);
        let staged = group.stage_add(&me.device, message_id, &delta.adds, &delta.leaves)?;
        let pending = PendingCommit {
            group: id.clone(),
            staged,
            purpose: CommitPurpose::Add { users: addition.users.clone() },
            since: self.now(),
            accepted: false,
        };
        tx.save_group(group).await?;
        tx.save_pending_commit(&pending).await?;
        tx.commit().await?;
        turn.done();
        Ok(Some(pending))
    }

    /// Drops a commit that did not win, unless the log has settled it meanwhile.
    async fn drop_pending(&self, pending: &PendingCommit) -> Result<(), ClientError> {
        let mut turn = self.turn().await;
        let mut tx = self.inner.store.begin().await?;
        if is_still(tx.pending_commit(&pending.group).await?.as_ref(), pending) {
            if let Some(group) = turn.group(&mut tx, &pending.group).await? {
                if group.has_pending() {
                    group.discard_pending()?;
                }
                tx.save_group(group).await?;
            }
            tx.delete_pending_commit(&pending.group).await?;
        }
        tx.commit().await?;
        turn.done();
        self.inner.queued.notify_one();
        Ok(())
    }

    /// Pulls until the group's log has brought this device to `epoch`, for a while.
    async fn reach(&self, id: &GroupId, epoch: u64) -> Result<(), ClientError> {
        let reached = async {
            let mut wait = Duration::from_millis(20);
            loop {
                self.pull().await?;
                if self.epoch(id).await?.is_none_or(|now| now >= epoch) {
                    return Ok(());
                }
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2).min(Duration::from_millis(500));
            }
        };
        match tokio::time::timeout(ECHO, reached).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ClientError::Deadline { what: "the group's log" }),
        }
    }

    /// The group's epoch here; `None` if this device is no member any more.
    pub(crate) async fn epoch(&self, id: &GroupId) -> Result<Option<u64>, ClientError> {
        let mut turn = self.turn().await;
        let mut tx = self.inner.store.begin().await?;
        let epoch = turn.group(&mut tx, id).await?.and_then(|group| group.is_active().then(|| group.epoch()));
        turn.done();
        Ok(epoch)
    }

    /// Lets the others go first, by chance: the longer, the oftener this one lost.
    async fn pause(&self, attempt: u64) -> Result<(), ClientError> {
        if attempt > 0 {
            let jitter = self.entropy()?.below(100_u64.saturating_mul(attempt).min(1_500));
            tokio::time::sleep(Duration::from_millis(20 + jitter)).await;
        }
        Ok(())
    }
}

fn is_still(kept: Option<&PendingCommit>, pending: &PendingCommit) -> bool {
    kept.is_some_and(|kept| kept.staged.id == pending.staged.id)
}
