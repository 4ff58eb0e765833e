//! Whose device is whose: identity keys that their domain's log proves, or that are pinned on first use where it doesn't, and
//! devices signed by them.
//!
//! Nothing is encrypted to, and no message is shown from, a device that the pinned identity key of its account
//! has not signed. A commit that the hub ordered is applied all the same, or this device would leave the group.

use std::collections::BTreeSet;

use qpq_core::{Address, DeviceCertificate, GroupId, IdentityKey, Millis};
use qpq_transparency_tree::value::{AccountValue, Status};

use crate::{
    Client, ClientError,
    log::{Asked, InLog},
    mls::Member,
    store::{GroupState, IdentitySeen, Tx},
    wire::UserKeys,
};

/// After this time a group with an unproven member is looked at again: a directory may be behind.
const BLOCKED: Millis = Millis::from_secs(30);

/// What is known of a group's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Every leaf is a device that its account signed.
    Proven,
    /// Some leaf is not: nothing is sent.
    Blocked,
    /// Somebody's keys can't be had at this moment.
    Unknown,
}

impl Client {
    /// Judges what a domain says about users: pins, compares, checks each device. What is right is kept even if
    /// something else is wrong; the first thing that is wrong is the error.
    pub(crate) async fn judge(
        &self,
        as_known: &Asked,
        users: &[(Address, &UserKeys)],
    ) -> Result<(), ClientError> {
        let now = self.now();
        let mut wrong = None;
        let mut tx = self.inner.store.begin().await?;
        for (asked, keys) in users {
            if keys.address != *asked {
                wrong = wrong.or(Some(ClientError::protocol(format_args!(
                    "asked for {asked}, it answered for another"
                ))));
                continue;
            }
            let logged = match self.prove_keys(&mut tx, as_known, asked, keys).await? {
                Ok(logged) => logged,
                Err(error) => {
                    wrong = wrong.or(Some(error));
                    continue;
                }
            };
            let seen = tx.see_identity(asked, &keys.identity, now).await?;
            if seen == IdentitySeen::First && self.in_log(&mut tx, asked).await? == InLog::Unlogged {
                tracing::warn!(user = %asked, "the log of their domain doesn't have them: the key seen first counts");
            }
            if let IdentitySeen::Changed { pinned } = seen {
                self.inner.proofs.borrow_mut().clear();
                wrong = wrong.or(Some(ClientError::IdentityChanged {
                    address: asked.clone(),
                    pinned,
                    presented: keys.identity,
                }));
                continue;
            }
            let (signed, unsigned): (Vec<_>, Vec<_>) =
                keys.devices.iter().cloned().partition(|device| {
                    device.device.user == *asked && device.verify(&keys.identity).is_ok()
                });
            let named = |device: &DeviceCertificate| {
                let key = |value: &AccountValue| value.device_key(&device.device.device);
                logged.as_ref().is_none_or(|value| key(value) == Some(device.signature_key))
            };
            let (signed, strange): (Vec<_>, Vec<_>) = signed.into_iter().partition(named);
            tx.save_certificates(&signed).await?;
            if let Some(device) = strange.into_iter().next() {
                wrong = wrong.or(Some(ClientError::DeviceNotLogged { device: device.device }));
            }
            if let Some(device) = unsigned.into_iter().next() {
                wrong = wrong.or(Some(ClientError::DeviceNotSigned { device: device.device }));
            }
        }
        tx.commit().await?;
        wrong.map_or(Ok(()), Err)
    }

    /// Stops if an account has shown another identity key that nobody accepted, or its keys don't count any more.
    pub(crate) async fn unchanged(&self, tx: &mut Tx<'_>, address: &Address) -> Result<(), ClientError> {
        match tx.known_label(address).await?.map(|label| label.status) {
            Some(Status::Revoked) => return Err(ClientError::KeysRevoked { address: address.clone() }),
            Some(Status::Closed) => return Err(ClientError::Closed { address: address.clone() }),
            Some(Status::Active) | None => {}
        }
        match tx.identity(address).await? {
            Some(pinned) => match pinned.pending {
                Some((presented, _)) => Err(changed(address, pinned.key, presented)),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Checks a group's members, asking their domains if need be; the answer is kept until members change.
    pub(crate) async fn prove(&self, group: &GroupId) -> Result<Proof, ClientError> {
        if let Some(proof) = self.known_proof(group) {
            return Ok(proof);
        }
        let mut unproven = self.unproven(group).await?;
        if !unproven.is_empty() {
            let users: Vec<Address> = unproven
                .iter()
                .map(|member| member.device.user.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
            let Ok(session) = self.session() else { return Ok(Proof::Unknown) };
            let mut later = false;
            for chunk in users.chunks(100) {
                let mut asked = self.asking(chunk).await?;
                // Nobody is waiting for just this, so it doesn't wait for witnesses.
                let answers = match session.resolve_now(chunk, Some(group), asked.views()).await {
                    Err(error) if error.is_transient() => return Ok(Proof::Unknown),
                    other => other?,
                };
                for keys in answers.iter().flatten() {
                    asked.answered(keys);
                }
                for (address, answer) in chunk.iter().zip(answers) {
                    match answer {
                        Ok(keys) => {
                            if let Err(error) = self.judge(&asked, &[(address.clone(), &keys)]).await {
                                tracing::warn!(%group, %error, "a member of the group can't be proven");
                            }
                        }
                        Err(refusal) if ClientError::Refused(refusal.clone()).is_transient() => later = true,
                        Err(refusal) => tracing::warn!(%group, %refusal, "a member's keys are not told"),
                    }
                }
            }
            unproven = self.unproven(group).await?;
            if later && !unproven.is_empty() {
                return Ok(Proof::Unknown);
            }
        }
        let proof = if unproven.is_empty() { Proof::Proven } else { Proof::Blocked };
        self.note(group, proof, &unproven).await?;
        self.inner.proofs.borrow_mut().insert(group.clone(), (proof, self.now()));
        Ok(proof)
    }

    /// What the last look at a group's members said; that somebody is not proven holds for a while only.
    pub(crate) fn known_proof(&self, group: &GroupId) -> Option<Proof> {
        match self.inner.proofs.borrow().get(group) {
            Some((Proof::Blocked, at)) if self.now().since(*at) > BLOCKED => None,
            known => known.map(|(proof, _)| *proof),
        }
    }

    /// The members whose device certificate is unknown, or names another key.
    async fn unproven(&self, group: &GroupId) -> Result<Vec<Member>, ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let mut unproven = Vec::new();
        for member in tx.members(group).await? {
            if !is_proven(&mut tx, &member).await? {
                unproven.push(member);
            }
        }
        Ok(unproven)
    }

    async fn note(&self, group: &GroupId, proof: Proof, unproven: &[Member]) -> Result<(), ClientError> {
        let mut tx = self.inner.store.begin().await?;
        let state = tx.group(group).await?.map(|record| record.state);
        match (state, proof, unproven.first()) {
            (Some(GroupState::Blocked { .. }), Proof::Proven, _) => {
                tx.set_group_state(group, &GroupState::Active).await?;
            }
            (Some(GroupState::Active), Proof::Blocked, Some(member)) => {
                let reason = match self.unchanged(&mut tx, &member.device.user).await {
                    Err(error @ ClientError::KeysRevoked { .. }) => error.to_string(),
                    _ => format!("the device {} isn't signed by its account's identity key", member.device),
                };
                tx.set_group_state(group, &GroupState::Blocked { reason }).await?;
            }
            _ => return Ok(()),
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Whether a leaf's device is signed by its account, with the key that it uses.
pub(crate) async fn is_proven(tx: &mut Tx<'_>, member: &Member) -> Result<bool, ClientError> {
    let certificate = tx.certificate(&member.device).await?;
    Ok(certificate.is_some_and(|certificate| certificate.signature_key == member.signature_key))
}

pub(crate) fn changed(address: &Address, pinned: IdentityKey, presented: IdentityKey) -> ClientError {
    ClientError::IdentityChanged { address: address.clone(), pinned, presented }
}
