//! Orders commits: the one that comes first wins its epoch, everybody else is told where the group is.
//!
//! The group's lock is the queue of commits, and `delivery`'s ordering core decides about the one that holds it. The
//! store's compare-and-set on the epoch has the last word, so a write that outlived a restart can't win beside
//! another; the answer goes out only after the write is durable.

use std::collections::BTreeSet;

use qpq_core::{Address, DeviceAddress, Domain, ErrorCode, GroupId, Millis, Seq};
use qpq_delivery::{
    fanout,
    ordering::{Action, Answer, Ordering, Outcome, Recorded, Submitted},
    policy,
    view::{CommitFacts, CommitOffer, GroupView as _},
};
use qpq_hub::{HubGroup, StagedCommit};
use qpq_storage::{Committed, Group, SeenSubmit, StateChunk, SubmitOutcome};
use tracing::error;

use super::{
    Groups, Place,
    cache::Held,
    certificates::check_peers,
    check_member, check_origin,
    create::hub_chunks,
    member_at, no_group,
    store_commit::{StoreCommit, StoreOutcome, StoredCommit},
};
use crate::{
    Answered, CommitAnswer, CommitSubmit, Refusal, SessionHandle, bans,
    contacts::{Question, hidden, requested},
};

/// A commit that may be stored.
struct Judged {
    facts: CommitFacts,
    staged: StagedCommit,
}

/// Whether the homes of added devices were asked about them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Homes {
    NotAsked,
    Asked,
}

/// What came of one attempt to order a commit.
enum Attempt {
    Answered(CommitAnswer),
    /// It adds devices of these accounts, about whom their homes must be asked first.
    Ask(BTreeSet<Address>),
}

/// What the store knows.
struct Known {
    record: Group,
    recorded: Option<Recorded>,
    /// The group's state, if it is wanted and not in memory.
    state: Vec<StateChunk>,
}

enum Verdict {
    Judged(Result<Judged, policy::Refusal>),
    Ask(BTreeSet<Address>),
}

impl Groups {
    /// Offers a commit of a device of ours to the group's hub, which may be this domain.
    pub async fn commit(&self, session: &SessionHandle, submit: CommitSubmit) -> Answered<CommitAnswer> {
        let now = self.ground().now();
        session.check(now)?;
        self.admit(session, now)?;
        let sender = session.device();
        if self.is_hub_of(&submit.group) {
            return self.order(sender, submit).await;
        }
        let member = self.ground().read().await?.member(&submit.group, &sender.device).await?;
        check_member(member.as_ref(), sender)?;
        let deadline = self.ground().interactive_deadline();
        Ok(self.ground().peers().group_commit(submit.group.hub(), sender, &submit, deadline).await?)
    }

    /// Orders a commit that a peer passes on for its user.
    pub async fn commit_from_peer(
        &self,
        origin: &Domain,
        sender: &DeviceAddress,
        submit: CommitSubmit,
    ) -> Answered<CommitAnswer> {
        check_origin(origin, sender)?;
        if !self.is_hub_of(&submit.group) {
            return Err(no_group(&submit.group));
        }
        let (us, now) = (self.ground().domain(), self.ground().now());
        bans::admit_sender(self.ground().read().await?.as_mut(), us, &sender.user, now).await??;
        self.order(sender, submit).await
    }

    async fn order(&self, sender: &DeviceAddress, submit: CommitSubmit) -> Answered<CommitAnswer> {
        let CommitSubmit { id, group, epoch, commit, group_info, welcome, signature } = submit;
        let offer = CommitOffer { id, sender: sender.clone(), epoch, commit, group_info, welcome, signature };
        // Nobody else shall wait while another domain is asked: the group is let go, and the commit is judged anew.
        match self.attempt(&group, &offer, Homes::NotAsked).await? {
            Attempt::Answered(answer) => return Ok(answer),
            Attempt::Ask(accounts) => {
                self.0.certificates.resolve(self.ground(), &sender.user, &group, &accounts).await?;
            }
        }
        match self.attempt(&group, &offer, Homes::Asked).await? {
            Attempt::Answered(answer) => Ok(answer),
            Attempt::Ask(_) => {
                Err(Refusal::new(ErrorCode::DeviceNotSigned, "an added device is not certified"))
            }
        }
    }

    async fn attempt(&self, group: &GroupId, offer: &CommitOffer, homes: Homes) -> Answered<Attempt> {
        let mut held = self.0.hubs.lock(group).await?;
        let Known { record, recorded, state } = self.known(group, offer, &held).await?;
        let mut state = Some(state);
        let mut view = None;
        let mut failure = None;
        let mut last = Answer::NotStored;
        let mut core = Ordering::at(record.epoch);
        let submitted = Submitted {
            sender: offer.sender.clone(),
            id: offer.id,
            digest: offer.digest(),
            epoch: offer.epoch,
        };
        core.handle_commit(submitted, recorded);
        while let Some(action) = core.poll_action() {
            match action {
                Action::Check { .. } => {
                    let loaded = self.view(&mut held, &record, state.take().unwrap_or_default())?;
                    match self.judge(&loaded, offer, homes).await? {
                        Verdict::Judged(verdict) => core.handle_checked(verdict),
                        Verdict::Ask(accounts) => {
                            *held = Some(loaded);
                            return Ok(Attempt::Ask(accounts));
                        }
                    }
                    view = Some(loaded);
                }
                Action::Store { staged, .. } => {
                    let Some(view) = view.take() else { return Err(fault("a commit was stored unchecked")) };
                    let (outcome, refusal) = self.store(&mut held, group, view, offer, staged).await?;
                    failure = refusal;
                    core.handle_stored(outcome);
                }
                Action::Reload => {
                    *held = None;
                    let record =
                        self.ground().read().await?.group(group).await?.ok_or_else(|| no_group(group))?;
                    core.handle_reloaded(record.epoch);
                }
                Action::Answer { answer, .. } => last = answer,
            }
        }
        // A commit that was refused left the group as it was.
        if let Some(view) = view {
            *held = Some(view);
        }
        Ok(Attempt::Answered(answer(last, record.last_seq, failure)))
    }

    /// What the store knows of the group and of this submit, all in one look: a commit of a caller that went away may
    /// become durable at any moment.
    async fn known(&self, group: &GroupId, offer: &CommitOffer, held: &Held) -> Answered<Known> {
        let mut tx = self.ground().read().await?;
        let record = tx.group(group).await?.ok_or_else(|| no_group(group))?;
        let seen = tx.submits_seen(&offer.sender, &[offer.id]).await?.into_iter().next().flatten();
        let recorded = match seen {
            Some(SeenSubmit { payload, outcome: SubmitOutcome::AtHub { seq, at } }) => {
                Some(Recorded { digest: payload, seq, at })
            }
            Some(SeenSubmit { outcome: SubmitOutcome::AtHome { .. }, .. }) => {
                return Err(policy::Refusal::IdReused.into());
            }
            None => {
                check_member(member_at(tx.as_mut(), group, &offer.sender).await?.as_ref(), &offer.sender)?;
                None
            }
        };
        let in_memory = held.as_ref().is_some_and(|held| held.epoch() == record.epoch);
        let wanted = recorded.is_none() && offer.epoch == record.epoch && !in_memory;
        let state = if wanted { tx.group_state(group).await? } else { Vec::new() };
        Ok(Known { record, recorded, state })
    }

    /// Takes the group out of memory, or loads it from what was read with its record.
    fn view(&self, held: &mut Held, record: &Group, chunks: Vec<StateChunk>) -> Answered<HubGroup> {
        if let Some(group) = held.take().filter(|group| group.epoch() == record.epoch) {
            return Ok(group);
        }
        let loaded = self.0.engine.load_group(&record.id, hub_chunks(chunks));
        match loaded {
            Ok(group) if group.epoch() == record.epoch => Ok(group),
            Ok(_) => Err(fault("a group's stored state is of another epoch than its log")),
            Err(cause) => {
                error!(error = &cause as &dyn std::error::Error, "a group's stored state can't be loaded");
                Err(fault("a group's stored state can't be loaded"))
            }
        }
    }

    async fn judge(&self, view: &HubGroup, offer: &CommitOffer, homes: Homes) -> Answered<Verdict> {
        let (facts, staged) = match view.check_commit(offer) {
            Ok(checked) => checked,
            Err(refusal) => return Ok(Verdict::Judged(Err(refusal))),
        };
        let owners: BTreeSet<Address> = facts.added.iter().map(|added| added.device.user.clone()).collect();
        self.admit_adds(&offer.sender.user, &owners).await?;
        let (us, now) = (self.ground().domain(), self.ground().now());
        let certified = {
            let mut tx = self.ground().read().await?;
            check_peers(tx.as_mut(), us, &owners, now).await?;
            self.0.certificates.of(tx.as_mut(), self.ground(), &owners, now).await?
        };
        let missing = certified.missing(&facts);
        if homes == Homes::NotAsked && missing.iter().any(|owner| owner.domain() != us) {
            return Ok(Verdict::Ask(missing));
        }
        let verdict = policy::judge(offer, &facts, view.members(), view.extension(), &certified, now);
        Ok(Verdict::Judged(verdict.map(|()| Judged { facts, staged })))
    }

    /// Nobody of another domain adds users of ours who have to accept them first.
    async fn admit_adds(&self, committer: &Address, owners: &BTreeSet<Address>) -> Answered<()> {
        if committer.domain() == self.ground().domain() {
            return Ok(());
        }
        let owners: Vec<Address> = owners.iter().cloned().collect();
        let question = Question { origin: committer.domain(), requester: committer, group: None };
        let hidden = hidden(self.ground(), question, &owners).await?;
        if hidden.is_empty() { Ok(()) } else { Err(requested()) }
    }

    /// Merges in memory and stores; the group stays in memory only if the store granted it.
    async fn store(
        &self,
        held: &mut Held,
        group: &GroupId,
        view: HubGroup,
        offer: &CommitOffer,
        judged: Judged,
    ) -> Answered<(Outcome, Option<Refusal>)> {
        let Judged { facts, staged } = judged;
        let now = self.ground().now();
        let before: Vec<DeviceAddress> = view.members().iter().map(|member| member.device.clone()).collect();
        let merged = view.merge(staged).map_err(|cause| {
            error!(error = &cause as &dyn std::error::Error, "a verified commit could not be merged");
            fault("a verified commit could not be merged")
        })?;
        let job = StoreCommit::new(StoredCommit {
            place: Place::of(self.ground()),
            group: group.clone(),
            fanout: fanout::of_commit(&before, &facts),
            before,
            facts,
            offer: offer.clone(),
            state: merged.state,
            ratchet_tree: merged.ratchet_tree,
            now,
        });
        match self.ground().write(job).await {
            Ok(StoreOutcome::Decided(Committed::Granted(seq))) => {
                **held = Some(merged.group);
                Ok((Outcome::Granted { seq, at: now }, None))
            }
            Ok(StoreOutcome::Decided(Committed::Stale { current })) => Ok((Outcome::Stale { current }, None)),
            Ok(StoreOutcome::Repeated { seq, at }) => Ok((Outcome::Granted { seq, at }, None)),
            Err(refusal) => Ok((Outcome::Failed, Some(refusal))),
        }
    }
}

fn answer(answer: Answer, seq: Seq, failure: Option<Refusal>) -> CommitAnswer {
    match answer {
        Answer::Accepted { seq, at } => CommitAnswer::Accepted { seq, at },
        Answer::WrongEpoch { current } | Answer::Refused(policy::Refusal::WrongEpoch { current }) => {
            CommitAnswer::WrongEpoch { current, seq }
        }
        Answer::Refused(refusal) => CommitAnswer::Refused(refusal.into()),
        Answer::NotStored => CommitAnswer::Refused(failure.unwrap_or_else(not_stored)),
    }
}

fn not_stored() -> Refusal {
    Refusal::retry(ErrorCode::NotStored, "nothing was kept, try again", Millis::from_secs(1))
}

/// The store or this program is at fault; it is in the log, and whoever asked hears only that.
fn fault(what: &'static str) -> Refusal {
    error!(what, "a group can't be ordered");
    Refusal::new(ErrorCode::Internal, "the homeserver has a fault that its admin must see")
}
