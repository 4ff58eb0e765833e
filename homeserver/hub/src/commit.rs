//! Verifies a commit as far as a non-member can (RFC 9420, section 12.4.2) and says what it does.

use openmls::{
    group::StagedCommit as MlsStagedCommit,
    prelude::{
        ContentType, KeyPackage, LeafNode, MlsMessageBodyIn, ProcessedMessageContent, Proposal,
        PublicMessageIn, Sender, tls_codec::Serialize as _,
    },
};
use qpq_core::{Digest, SignatureKey, limits};
use qpq_delivery::{
    policy::Refusal,
    view::{AddedDevice, CommitFacts, CommitOffer, CommitterLeaf, GroupView as _, Member, WelcomeMatch},
};

use crate::{
    Engine, HubGroup,
    framing::message,
    group_info::{self, Expected},
    key_package::{device_of, lifetime_of},
};

/// A verified commit, ready to be merged.
pub struct StagedCommit(Box<MlsStagedCommit>);

impl StagedCommit {
    pub(crate) fn into_inner(self) -> MlsStagedCommit {
        *self.0
    }
}

impl std::fmt::Debug for StagedCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StagedCommit").field("epoch", &self.0.epoch().as_u64()).finish_non_exhaustive()
    }
}

/// Verifies and stages; the group stays as it is.
pub(crate) fn check(group: &HubGroup, offer: &CommitOffer) -> Result<(CommitFacts, StagedCommit), Refusal> {
    let message = parse(group, offer)?;
    let tag = message.confirmation_tag().and_then(|tag| tag.tls_serialize_detached().ok());
    let tag = tag.ok_or(Refusal::Malformed { what: "the commit's confirmation tag" })?;
    let committer = match message.sender() {
        Sender::Member(leaf) => group.member_at(*leaf).ok_or(Refusal::NotMember)?.clone(),
        Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => {
            return Err(Refusal::Proposal { kind: "external commit" });
        }
    };
    let staged = stage(group, message)?;
    let added = added(&staged)?;
    let facts = CommitFacts {
        epoch: group.epoch(),
        committer_leaf: committer_leaf(&committer, staged.update_path_leaf_node()),
        removed: removed(group, &staged)?,
        other_proposals: staged
            .queued_proposals()
            .filter_map(|queued| other_kind(queued.proposal()))
            .collect(),
        group_info: group_info::compare(
            &offer.group_info,
            &Expected { context: staged.group_context(), committer: &committer, tag: &tag },
        ),
        welcome: welcome(&group.engine, &staged, &offer.welcome),
        committer,
        added,
    };
    Ok((facts, StagedCommit(staged)))
}

fn parse(group: &HubGroup, offer: &CommitOffer) -> Result<PublicMessageIn, Refusal> {
    let malformed = || Refusal::Malformed { what: "the commit" };
    if offer.commit.len() > limits::HANDSHAKE_BYTES {
        return Err(malformed());
    }
    let Some(MlsMessageBodyIn::PublicMessage(message)) = message(&offer.commit) else {
        return Err(malformed());
    };
    if message.content_type() != ContentType::Commit
        || message.group_id() != group.group.group_id()
        || message.epoch().as_u64() != offer.epoch
    {
        return Err(malformed());
    }
    if offer.epoch != group.epoch() {
        return Err(Refusal::WrongEpoch { current: group.epoch() });
    }
    Ok(message)
}

fn stage(group: &HubGroup, message: PublicMessageIn) -> Result<Box<MlsStagedCommit>, Refusal> {
    let processed = group
        .group
        .process_message(group.engine.crypto(), message)
        .map_err(|error| Refusal::Invalid { reason: error.to_string() })?;
    match processed.into_content() {
        ProcessedMessageContent::StagedCommitMessage(staged) => Ok(staged),
        _ => Err(Refusal::Malformed { what: "the commit" }),
    }
}

fn committer_leaf(committer: &Member, new: Option<&LeafNode>) -> CommitterLeaf {
    let same = |leaf: &LeafNode| {
        device_of(leaf.credential()).as_ref() == Some(&committer.device)
            && leaf.signature_key().as_slice() == committer.signature_key.as_bytes()
    };
    if new.is_none_or(same) { CommitterLeaf::Kept } else { CommitterLeaf::Changed }
}

fn added(staged: &MlsStagedCommit) -> Result<Vec<AddedDevice>, Refusal> {
    let device = |package: &KeyPackage| {
        let leaf = package.leaf_node();
        Some(AddedDevice {
            device: device_of(leaf.credential())?,
            signature_key: SignatureKey::from_slice(leaf.signature_key().as_slice())?,
            lifetime: lifetime_of(package),
        })
    };
    staged
        .add_proposals()
        .map(|add| device(add.add_proposal().key_package()))
        .map(|added| added.ok_or(Refusal::Malformed { what: "the credential of an added device" }))
        .collect()
}

fn removed(group: &HubGroup, staged: &MlsStagedCommit) -> Result<Vec<Member>, Refusal> {
    let member = |leaf| group.member_at(leaf).cloned().ok_or(Refusal::Malformed { what: "a removed leaf" });
    staged.remove_proposals().map(|remove| member(remove.remove_proposal().removed())).collect()
}

fn other_kind(proposal: &Proposal) -> Option<&'static str> {
    match proposal {
        Proposal::Add(_) | Proposal::Remove(_) => None,
        Proposal::Update(_) => Some("Update"),
        Proposal::PreSharedKey(_) => Some("PreSharedKey"),
        Proposal::ReInit(_) => Some("ReInit"),
        Proposal::ExternalInit(_) => Some("ExternalInit"),
        Proposal::GroupContextExtensions(_) => Some("GroupContextExtensions"),
        Proposal::SelfRemove => Some("SelfRemove"),
        Proposal::Custom(_) => Some("custom"),
    }
}

/// The Welcome must name each added KeyPackage once and nobody else, so that no stranger is let in on the way.
fn welcome(engine: &Engine, staged: &MlsStagedCommit, bytes: &[u8]) -> WelcomeMatch {
    let packages = staged.add_proposals().map(|add| engine.reference(add.add_proposal().key_package()));
    let Some(mut expected) = packages.collect::<Option<Vec<Digest>>>() else {
        return WelcomeMatch::Malformed;
    };
    if expected.is_empty() && bytes.is_empty() {
        return WelcomeMatch::Matches;
    }
    let parsed = if bytes.len() > limits::HANDSHAKE_BYTES { None } else { message(bytes) };
    let Some(MlsMessageBodyIn::Welcome(welcome)) = parsed else { return WelcomeMatch::Malformed };
    if welcome.ciphersuite() != staged.group_context().ciphersuite() {
        return WelcomeMatch::Malformed;
    }
    let named = welcome.secrets().iter().map(|secret| Digest::from_slice(secret.new_member().as_slice()));
    let Some(mut named) = named.collect::<Option<Vec<Digest>>>() else { return WelcomeMatch::OthersWelcomed };
    expected.sort_unstable();
    named.sort_unstable();
    if named == expected { WelcomeMatch::Matches } else { WelcomeMatch::OthersWelcomed }
}
