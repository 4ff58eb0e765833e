//! What a commit may do: the rules that MLS leaves to the delivery service, and every answer that says no.
//!
//! Membership and confirmation tags can't be verified without the group's secrets, so a home domain could otherwise
//! freeze a group in its user's name: the device's own signature over the whole commit message is checked here.

use std::collections::{BTreeMap, BTreeSet};

use qpq_core::{
    Address, CertificateError, DeviceAddress, DeviceCertificate, ErrorCode, IdentityKey, Millis,
    SignatureKey, Timestamp,
    mls::{GroupPolicy, HubExtension, commit_signed_bytes},
};

use crate::{
    key_packages::LifetimeError,
    view::{CommitFacts, CommitOffer, CommitterLeaf, GroupInfoMatch, Member, WelcomeMatch},
};

/// Why the hub takes a commit or a message not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not what they should be.
    #[error("{what} is malformed")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// OpenMLS finds the commit invalid (RFC 9420, section 12.4.2).
    #[error("the commit is not valid: {reason}")]
    Invalid {
        /// OpenMLS' words.
        reason: String,
    },
    /// The commit starts from another epoch than the group's.
    #[error("the group is at epoch {current}")]
    WrongEpoch {
        /// The group's epoch.
        current: u64,
    },
    /// An application message is from an epoch that doesn't exist yet.
    #[error("the group is only at epoch {current}")]
    EpochAhead {
        /// The group's epoch.
        current: u64,
    },
    /// An application message is too old for its readers.
    #[error("the message is more than five epochs behind epoch {current}: encrypt it again")]
    EpochTooOld {
        /// The group's epoch.
        current: u64,
    },
    /// The sender's device isn't in the group.
    #[error("this device is not a member of the group")]
    NotMember,
    /// The commit was signed by another leaf than the submitting device's.
    #[error("the commit is another device's")]
    NotTheSender,
    /// The device's own signature over the submit is wrong.
    #[error("the submit isn't signed by the committing device")]
    Signature,
    /// Beside Add and Remove nothing is allowed.
    #[error("a commit may not hold a proposal of kind {kind}")]
    Proposal {
        /// Which kind.
        kind: &'static str,
    },
    /// The committer's new leaf names another device or key.
    #[error("a commit may not change the committer's credential or signature key")]
    LeafChanged,
    /// The device is in the group already, or twice in the commit.
    #[error("{device} would be in the group twice")]
    Duplicate {
        /// Which device.
        device: DeviceAddress,
    },
    /// The KeyPackage of an added device is too short- or too long-lived.
    #[error("{device} can't be added: {source}")]
    Lifetime {
        /// Which device.
        device: DeviceAddress,
        /// What is wrong.
        source: LifetimeError,
    },
    /// An added device isn't signed by its account's identity key, as far as its home says.
    #[error("{device} isn't signed by its account's identity key")]
    NotCertified {
        /// Which device.
        device: DeviceAddress,
    },
    /// A commit may remove its own account's devices, and others only to add their account again.
    #[error("{device} may be removed only by its owner, or together with adding its owner again")]
    Remove {
        /// Which device.
        device: DeviceAddress,
    },
    /// The GroupInfo doesn't describe the epoch after the commit.
    #[error("the GroupInfo does not belong to the commit: {0:?}")]
    GroupInfo(GroupInfoMatch),
    /// The Welcome isn't for exactly the added devices.
    #[error("the Welcome does not belong to the commit: {0:?}")]
    Welcome(WelcomeMatch),
    /// The same id was used with another payload.
    #[error("this id was used before with another payload")]
    IdReused,
    /// Too many commits wait for their turn.
    #[error("too many commits for this group are waiting")]
    Overloaded,
}

impl Refusal {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Malformed { .. } | Self::Invalid { .. } | Self::GroupInfo(_) | Self::Welcome(_) => {
                ErrorCode::Malformed
            }
            Self::WrongEpoch { .. } | Self::EpochAhead { .. } => ErrorCode::WrongEpoch,
            Self::EpochTooOld { .. } => ErrorCode::EpochTooOld,
            Self::NotMember => ErrorCode::NotMember,
            Self::NotCertified { .. } => ErrorCode::DeviceNotSigned,
            Self::IdReused => ErrorCode::IdReused,
            Self::Overloaded => ErrorCode::Overloaded,
            Self::NotTheSender
            | Self::Signature
            | Self::Proposal { .. }
            | Self::LeafChanged
            | Self::Duplicate { .. }
            | Self::Lifetime { .. }
            | Self::Remove { .. } => ErrorCode::NotAllowed,
        }
    }

    /// When trying the same again makes sense; `None`: it doesn't.
    pub const fn retry_after(&self) -> Option<Millis> {
        match self {
            Self::Overloaded => Some(Millis::from_secs(1)),
            Self::Malformed { .. }
            | Self::Invalid { .. }
            | Self::WrongEpoch { .. }
            | Self::EpochAhead { .. }
            | Self::EpochTooOld { .. }
            | Self::NotMember
            | Self::NotTheSender
            | Self::Signature
            | Self::Proposal { .. }
            | Self::LeafChanged
            | Self::Duplicate { .. }
            | Self::Lifetime { .. }
            | Self::NotCertified { .. }
            | Self::Remove { .. }
            | Self::GroupInfo(_)
            | Self::Welcome(_)
            | Self::IdReused => None,
        }
    }
}

/// Which devices are known to be signed by their accounts' identity keys.
///
/// The hub learns them from its own accounts, from claims that went through it, else by asking the device's home;
/// whether the identity key is the right one is the clients' matter, who pin it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certified(BTreeMap<DeviceAddress, SignatureKey>);

impl Certified {
    /// Takes a certificate in, if the identity key signed it.
    pub fn learn(
        &mut self,
        identity: &IdentityKey,
        certificate: &DeviceCertificate,
    ) -> Result<(), CertificateError> {
        certificate.verify(identity)?;
        self.0.insert(certificate.device.clone(), certificate.signature_key);
        Ok(())
    }

    /// Whether this key is certified for this device.
    pub fn covers(&self, device: &DeviceAddress, key: &SignatureKey) -> bool {
        self.0.get(device) == Some(key)
    }

    /// Owners of added devices about whom something is still to be learned.
    pub fn missing(&self, facts: &CommitFacts) -> BTreeSet<Address> {
        let unknown = facts.added.iter().filter(|added| !self.covers(&added.device, &added.signature_key));
        unknown.map(|added| added.device.user.clone()).collect()
    }
}

/// Decides whether a valid commit is allowed.
pub fn judge(
    offer: &CommitOffer,
    facts: &CommitFacts,
    members: &[Member],
    extension: &HubExtension,
    certified: &Certified,
    now: Timestamp,
) -> Result<(), Refusal> {
    check_sender(offer, facts)?;
    if let Some(kind) = facts.other_proposals.first() {
        return Err(Refusal::Proposal { kind });
    }
    if facts.committer_leaf == CommitterLeaf::Changed {
        return Err(Refusal::LeafChanged);
    }
    match extension.policy {
        GroupPolicy::MembersAdd => check_removes(facts)?,
    }
    check_adds(facts, members, certified, now)?;
    if facts.group_info != GroupInfoMatch::Matches {
        return Err(Refusal::GroupInfo(facts.group_info));
    }
    if facts.welcome != WelcomeMatch::Matches {
        return Err(Refusal::Welcome(facts.welcome));
    }
    Ok(())
}

fn check_sender(offer: &CommitOffer, facts: &CommitFacts) -> Result<(), Refusal> {
    if facts.committer.device != offer.sender {
        return Err(Refusal::NotTheSender);
    }
    let signed = commit_signed_bytes(&offer.id, &offer.commit);
    if facts.committer.signature_key.verifies(&signed, &offer.signature) {
        Ok(())
    } else {
        Err(Refusal::Signature)
    }
}

fn check_removes(facts: &CommitFacts) -> Result<(), Refusal> {
    let added: BTreeSet<&Address> = facts.added.iter().map(|added| &added.device.user).collect();
    let allowed = |owner: &Address| *owner == facts.committer.device.user || added.contains(owner);
    match facts.removed.iter().find(|member| !allowed(&member.device.user)) {
        Some(member) => Err(Refusal::Remove { device: member.device.clone() }),
        None => Ok(()),
    }
}

fn check_adds(
    facts: &CommitFacts,
    members: &[Member],
    certified: &Certified,
    now: Timestamp,
) -> Result<(), Refusal> {
    let removed: BTreeSet<_> = facts.removed.iter().map(|member| member.leaf).collect();
    let mut present: BTreeSet<&DeviceAddress> = members
        .iter()
        .filter(|member| !removed.contains(&member.leaf))
        .map(|member| &member.device)
        .collect();
    for added in &facts.added {
        let device = || added.device.clone();
        if !present.insert(&added.device) {
            return Err(Refusal::Duplicate { device: device() });
        }
        added.lifetime.check(now).map_err(|source| Refusal::Lifetime { device: device(), source })?;
        if !certified.covers(&added.device, &added.signature_key) {
            return Err(Refusal::NotCertified { device: device() });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
