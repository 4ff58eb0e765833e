//! Commits from the group's log: checked, applied, and told in facts.

use openmls::{
    group::StagedCommit,
    prelude::{
        MlsMessageBodyIn, MlsMessageIn, ProcessedMessageContent, Proposal, ProposalOrRefType,
        ProtocolMessage, Sender, tls_codec::Deserialize as _,
    },
};
use qpq_core::{DeviceAddress, MessageId, mls::commit_signed_bytes};

use super::{
    Group, Member, MlsError,
    group::{leaf_device, mls_id},
};

/// A commit as the log delivers it.
#[derive(Clone, Copy, Debug)]
pub struct LogCommit<'a> {
    /// The id that it was submitted with.
    pub id: &'a MessageId,
    /// A serialised `MLSMessage` of wire format `mls_public_message`.
    pub commit: &'a [u8],
    /// Who submitted it, says the hub.
    pub sender: &'a DeviceAddress,
    /// The sender's signature over [`qpq_core::mls::commit_signed_bytes`].
    pub signature: &'a [u8; 64],
}

/// What a commit from the log did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It was applied.
    Applied(CommitFacts),
    /// It starts from an epoch that this device has left behind already: nothing changed.
    AlreadyProcessed,
    /// It starts from an epoch that this device has not reached: page the log first. Nothing changed.
    NotYet {
        /// The epoch of this device.
        current: u64,
        /// The epoch that the commit starts from.
        needed: u64,
    },
    /// It breaks a rule that the hub must have enforced, or is not what its sender signed. Nothing changed.
    Refused(CommitRefusal),
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFacts {
    /// The epoch now.
    pub epoch: u64,
    /// Who committed.
    pub committer: DeviceAddress,
    /// Whether it was this device's pending commit.
    pub own: bool,
    /// Leaves that came.
    pub added: Vec<Member>,
    /// Leaves that went.
    pub removed: Vec<Member>,
    /// Whether this device went.
    pub self_removed: bool,
    /// Whether a pending commit of this device lost its epoch to this one and is gone: rebase it.
    pub lost_pending: bool,
}

/// Why a commit of the log is not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitRefusal {
    /// It belongs to another group.
    #[error("the commit belongs to another group")]
    Group,
    /// The sender named is not a member.
    #[error("the commit's sender is not a member of the group")]
    Sender,
    /// The submit signature is not the sender's.
    #[error("the commit isn't signed by the device that it is said to come from")]
    Signature,
    /// It changes the group-context extensions, or the hub extension disagrees with the group id.
    #[error("the commit changes who orders the group")]
    Hub,
    /// It removes somebody whom its committer may not remove.
    #[error("the commit removes a device of another account without adding that account")]
    Remove,
    /// It contains something else that the group's policy does not know.
    #[error("the commit contains a proposal that the group's policy does not allow")]
    Proposal,
    /// OpenMLS can't apply it.
    #[error("the commit can't be applied: {0}")]
    Invalid(String),
}

/// What a commit's proposals say, before it is applied.
struct Plan {
    added: Vec<DeviceAddress>,
    removed: Vec<Member>,
}

impl Group {
    /// Applies a commit from the log, ours or another's.
    pub fn apply_commit(&mut self, commit: &LogCommit<'_>) -> Result<CommitOutcome, MlsError> {
        match self.try_apply(commit) {
            Ok(outcome) => Ok(outcome),
            Err(Stop::Refused(refusal)) => Ok(CommitOutcome::Refused(refusal)),
            Err(Stop::Fault(error)) => Err(error),
        }
    }

    fn try_apply(&mut self, commit: &LogCommit<'_>) -> Result<CommitOutcome, Stop> {
        let message = public_message(commit.commit)?;
        if *message.group_id() != mls_id(&self.id) {
            return Err(CommitRefusal::Group.into());
        }
        let (current, needed) = (self.epoch(), message.epoch().as_u64());
        if needed < current {
            return Ok(CommitOutcome::AlreadyProcessed);
        }
        if needed > current {
            return Ok(CommitOutcome::NotYet { current, needed });
        }
        if !self.is_active() {
            return Err(MlsError::Removed.into());
        }
        let members = self.members()?;
        let submitter = members.iter().find(|member| member.device == *commit.sender);
        let submitter = submitter.ok_or(CommitRefusal::Sender)?;
        let signed = commit_signed_bytes(commit.id, commit.commit);
        if !submitter.signature_key.verifies(&signed, commit.signature) {
            return Err(CommitRefusal::Signature.into());
        }
        let processed = self
            .mls
            .process_message(&self.provider, message)
            .map_err(|error| CommitRefusal::Invalid(error.to_string()))?;
        if !matches!(processed.sender(), Sender::Member(leaf) if leaf.u32() == submitter.leaf) {
            return Err(CommitRefusal::Sender.into());
        }
        let (lost_pending, own) = match processed.into_content() {
            ProcessedMessageContent::OwnPendingCommit => (false, true),
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                let plan = self.plan(&staged, submitter, &members)?;
                let lost = self.has_pending();
                let self_removed = staged.self_removed();
                self.mls
                    .merge_staged_commit(&self.provider, *staged)
                    .map_err(MlsError::engine("apply the commit"))?;
                return self.facts(plan, submitter, self_removed, (lost, false));
            }
            _ => return Err(CommitRefusal::Proposal.into()),
        };
        let pending = self.mls.pending_commit().ok_or(CommitRefusal::Sender)?;
        let plan = self.plan(pending, submitter, &members)?;
        self.mls
            .merge_pending_commit(&self.provider)
            .map_err(MlsError::engine("apply this device's commit"))?;
        self.facts(plan, submitter, false, (lost_pending, own))
    }

    /// Checks a commit against the group's policy: only Adds and Removes, and only Removes that its committer may.
    fn plan(&self, staged: &StagedCommit, committer: &Member, members: &[Member]) -> Result<Plan, Stop> {
        if staged.group_context().extensions() != self.mls.extensions() || !self.names_its_hub() {
            return Err(CommitRefusal::Hub.into());
        }
        let mut plan = Plan { added: Vec::new(), removed: Vec::new() };
        for queued in staged.queued_proposals() {
            let by_committer =
                matches!(queued.sender(), Sender::Member(leaf) if leaf.u32() == committer.leaf);
            if !by_committer || queued.proposal_or_ref_type() != ProposalOrRefType::Proposal {
                return Err(CommitRefusal::Proposal.into());
            }
            match queued.proposal() {
                Proposal::Add(add) => {
                    let leaf = leaf_device(add.key_package().leaf_node()).ok_or(CommitRefusal::Proposal)?;
                    plan.added.push(leaf.0);
                }
                Proposal::Remove(remove) => {
                    let member = members.iter().find(|member| member.leaf == remove.removed().u32());
                    plan.removed.push(member.ok_or(CommitRefusal::Remove)?.clone());
                }
                _ => return Err(CommitRefusal::Proposal.into()),
            }
        }
        let may = |gone: &Member| {
            let user = &gone.device.user;
            *user == committer.device.user || plan.added.iter().any(|device| device.user == *user)
        };
        if plan.removed.iter().all(may) { Ok(plan) } else { Err(CommitRefusal::Remove.into()) }
    }

    fn facts(
        &mut self,
        plan: Plan,
        committer: &Member,
        self_removed: bool,
        (lost_pending, own): (bool, bool),
    ) -> Result<CommitOutcome, Stop> {
        if !self_removed {
            self.settle()?;
        }
        let members = self.members()?;
        let added = members.into_iter().filter(|member| plan.added.contains(&member.device)).collect();
        Ok(CommitOutcome::Applied(CommitFacts {
            epoch: self.epoch(),
            committer: committer.device.clone(),
            own,
            added,
            removed: plan.removed,
            self_removed,
            lost_pending,
        }))
    }
}

/// Why a commit is not applied: the commit's fault, or the engine's.
enum Stop {
    Refused(CommitRefusal),
    Fault(MlsError),
}

impl From<CommitRefusal> for Stop {
    fn from(refusal: CommitRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<MlsError> for Stop {
    fn from(error: MlsError) -> Self {
        Self::Fault(error)
    }
}

fn public_message(bytes: &[u8]) -> Result<ProtocolMessage, CommitRefusal> {
    let invalid = |what: &str| CommitRefusal::Invalid(what.to_owned());
    let message = MlsMessageIn::tls_deserialize_exact(bytes).map_err(|error| invalid(&error.to_string()))?;
    match message.extract() {
        MlsMessageBodyIn::PublicMessage(message) => Ok(ProtocolMessage::PublicMessage(Box::new(message))),
        _ => Err(invalid("it is no public message")),
    }
}
