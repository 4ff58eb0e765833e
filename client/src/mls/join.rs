//! Joining from a Welcome, on a scratch provider: a join that fails eats no KeyPackage.

use std::collections::HashMap;

use openmls::{
    group::{StagedWelcome, WelcomeError},
    prelude::{MlsMessageBodyIn, MlsMessageIn, RatchetTreeIn, Welcome, tls_codec::Deserialize as _},
};
use qpq_core::GroupId;

use super::{
    Group, KeyPackageRef, KeyPackageSecret, Member, MlsError, StockKind, Suite,
    group::{leaf_device, parse_member},
    provider::Provider,
    suite::join_config,
};

/// A group that was joined: persist it and delete the one-time KeyPackage in the same transaction.
#[derive(Debug)]
pub struct Joined {
    /// The group.
    pub group: Group,
    /// Who added this device; check it as any member.
    pub sender: Member,
    /// The KeyPackage that is used up; `None` when it was the last-resort one, which stays.
    pub used: Option<KeyPackageRef>,
}

/// Why a Welcome did not lead into a group.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// None of the KeyPackages given is the one it was made for: it was joined already, or the keys are gone.
    #[error("no KeyPackage of this device fits the invitation")]
    NoKeyPackage,
    /// It is not valid, or does not fit the tree.
    #[error("the invitation is not valid: {0}")]
    Invalid(String),
    /// The group's hub extension is missing or disagrees with its id.
    #[error("the group does not name its hub as it must")]
    Hub,
    /// The engine's fault.
    #[error(transparent)]
    Mls(#[from] MlsError),
}

/// The KeyPackages that a Welcome was made for, of all added devices.
pub fn welcome_references(welcome: &[u8]) -> Result<Vec<KeyPackageRef>, MlsError> {
    let welcome = parse_welcome(welcome)?;
    Ok(welcome
        .secrets()
        .iter()
        .map(|secret| KeyPackageRef(secret.new_member().as_slice().to_vec()))
        .collect())
}

impl Group {
    /// Joins: `welcome` is a serialised `MLSMessage`, `ratchet_tree` the tree of its epoch, `stock` what
    /// [`crate::store::Tx::key_package_secrets`] found for [`welcome_references`].
    pub fn join(
        welcome: &[u8],
        ratchet_tree: &[u8],
        stock: &[KeyPackageSecret],
    ) -> Result<Joined, JoinError> {
        let welcome = parse_welcome(welcome)?;
        let fits = |secret: &&KeyPackageSecret| {
            welcome.secrets().iter().any(|s| s.new_member().as_slice() == secret.reference.0.as_slice())
        };
        let secret = stock.iter().find(fits).ok_or(JoinError::NoKeyPackage)?;
        let provider = Provider::new(secret.values()?.into_iter().collect::<HashMap<_, _>>())?;
        let tree = RatchetTreeIn::tls_deserialize_exact(ratchet_tree)
            .map_err(|error| JoinError::Invalid(error.to_string()))?;
        // Leaves whose KeyPackage has expired since are members all the same: a late join must work.
        let staged = StagedWelcome::build_from_welcome(&provider, &join_config(), welcome)
            .map_err(refused)?
            .with_ratchet_tree(tree)
            .skip_lifetime_validation()
            .build()
            .map_err(refused)?;
        let id =
            GroupId::from_bytes(staged.group_context().group_id().as_slice()).map_err(|_| JoinError::Hub)?;
        if Suite::of(staged.group_context().ciphersuite()).is_none() {
            return Err(JoinError::Invalid("its cipher suite is none of ours".to_owned()));
        }
        for member in staged.members() {
            parse_member(&member)?;
        }
        let leaf = staged.welcome_sender_index().u32();
        let sender = staged.welcome_sender().ok().and_then(leaf_device);
        let (device, signature_key) =
            sender.ok_or_else(|| JoinError::Invalid("its sender is no member".to_owned()))?;
        let mls = staged.into_group(&provider).map_err(refused)?;
        forget(&provider, secret)?;
        let mut group = Self::joined(id, mls, provider);
        if !group.names_its_hub() {
            return Err(JoinError::Hub);
        }
        group.settle()?;
        let used = (secret.kind == StockKind::OneTime).then(|| secret.reference.clone());
        Ok(Joined { group, sender: Member { leaf, device, signature_key }, used })
    }
}

/// OpenMLS leaves a last-resort KeyPackage in the provider; a group's state has no use for it.
fn forget(provider: &Provider, secret: &KeyPackageSecret) -> Result<(), MlsError> {
    let values = secret.values()?;
    let keys: Vec<_> = values.iter().map(|(key, _)| key.as_slice()).collect();
    provider.remove(&keys);
    Ok(())
}

fn refused<E: std::fmt::Display>(error: WelcomeError<E>) -> JoinError {
    match error {
        WelcomeError::NoMatchingKeyPackage => JoinError::NoKeyPackage,
        other => JoinError::Invalid(other.to_string()),
    }
}

fn parse_welcome(bytes: &[u8]) -> Result<Welcome, MlsError> {
    match MlsMessageIn::tls_deserialize_exact(bytes).map(MlsMessageIn::extract) {
        Ok(MlsMessageBodyIn::Welcome(welcome)) => Ok(welcome),
        _ => Err(MlsError::Malformed { what: "an MLS Welcome" }),
    }
}
