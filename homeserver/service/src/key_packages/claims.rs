//! Claiming: one KeyPackage of every device of a user, for adding them to a group.
//!
//! A claim is atomic and idempotent per (requester, group, target, nonce). Quotas never refuse: beyond them a
//! requester gets the last-resort package, so that nobody can empty a stock and nobody is cut off by one who tries.
//! Users of other domains get none of a user who must accept them first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use qpq_core::{Address, DeviceId, Domain, ErrorCode, GroupId, Millis, Timestamp};
use qpq_delivery::key_packages::is_low;
use qpq_metrics::Limit;
use qpq_storage::{Claim, Feed, Notice, ReadTx, Stored, WriteTx};
use qpq_transparency_tree::lookup::Asker;

use super::{KeyPackages, ends_after, renewal};
use crate::{
    Answered, ClaimPurpose, ClaimedPackage, ClaimedUser, Effects, Ground, PeerCallError, Refusal,
    SessionHandle, UserAnswer, UserKeys, Views, WriteJob, accounts,
    by_domain::{ask_all, bounded, shares},
    contacts::{Question, hidden, requested},
    directory::{admit_peer, believable, count},
    transparency::{
        believed,
        logged::{self, ProofRoom},
    },
};

/// What one claim is for.
#[derive(Clone, Debug)]
struct Purpose {
    requester: Address,
    group: GroupId,
    nonce: [u8; 16],
    /// The device that asks, if it is ours: nobody adds itself.
    except: Option<DeviceId>,
}

impl KeyPackages {
    /// Claims KeyPackages of users of any domain, in the order asked.
    pub async fn claim(
        &self,
        session: &SessionHandle,
        group: &GroupId,
        nonce: [u8; 16],
        targets: &[Address],
        views: &Views,
    ) -> Answered<Vec<ClaimedUser>> {
        let now = self.ground.now();
        session.check(now)?;
        bounded(targets)?;
        let device = session.device();
        let admitted = self.rates.users.admit(&device.user, count(targets), now, "KeyPackage claims");
        self.ground.limited(Limit::KeyPackageClaims, admitted)?;
        let purpose = Purpose {
            requester: device.user.clone(),
            group: group.clone(),
            nonce,
            except: Some(device.device),
        };
        let (purpose, deadline) = (&purpose, self.ground.interactive_deadline());
        let ask = |domain: Domain, targets: Vec<Address>| async move {
            if domain == *self.ground.domain() {
                return self
                    .here(purpose.clone(), None, targets, views)
                    .await
                    .map_err(PeerCallError::Refused);
            }
            let Purpose { requester, group, nonce, .. } = purpose.clone();
            let claim = ClaimPurpose { requester, group, nonce };
            believed(&self.ground, &domain).await.map_err(PeerCallError::Refused)?;
            let peers = self.ground.peers();
            let claimed = peers.fetch_key_packages(&domain, &claim, &targets, views, deadline).await?;
            Ok(claimed.into_iter().map(checked).collect())
        };
        let claimed =
            ask_all(shares(targets), ask, |(keys, _): &(UserKeys, Vec<ClaimedPackage>)| &keys.address).await;
        claimed.iter().flatten().for_each(|(keys, _)| self.groups.learn(keys));
        Ok(claimed)
    }

    /// Claims KeyPackages of our users, for a user of a peer.
    pub async fn claim_for_peer(
        &self,
        origin: &Domain,
        requester: &Address,
        group: &GroupId,
        nonce: [u8; 16],
        targets: &[Address],
        views: &Views,
    ) -> Answered<Vec<ClaimedUser>> {
        bounded(targets)?;
        admit_peer(self.ground.read().await?.as_mut(), &self.ground, origin, requester).await?;
        let now = self.ground.now();
        let admitted =
            self.rates.peers.admit(origin, count(targets), now, "KeyPackage claims by your domain");
        self.ground.limited(Limit::KeyPackageClaims, admitted)?;
        let purpose = Purpose { requester: requester.clone(), group: group.clone(), nonce, except: None };
        let hidden = hidden(&self.ground, Question { origin, requester, group: None }, targets).await?;
        let seen = targets.iter().filter(|target| !hidden.contains(target)).cloned().collect();
        let mut claimed = self.here(purpose, Some(origin), seen, views).await?.into_iter();
        let answer = |target: &Address| {
            if hidden.contains(target) {
                return Err((target.clone(), requested()));
            }
            claimed.next().unwrap_or_else(|| Err((target.clone(), lost())))
        };
        Ok(targets.iter().map(answer).collect())
    }

    async fn here(
        &self,
        purpose: Purpose,
        origin: Option<&Domain>,
        targets: Vec<Address>,
        views: &Views,
    ) -> Answered<Vec<ClaimedUser>> {
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.ground.now();
        let within_quota = |target: &Address| {
            let per_target = self.rates.per_target.take(&(purpose.requester.clone(), target.clone()), 1, now);
            let per_domain = origin.map(|o| self.rates.per_domain.take(&(o.clone(), target.clone()), 1, now));
            let within = per_target.is_ok() && per_domain.is_none_or(|taken| taken.is_ok());
            if !within {
                self.ground.metrics().limit_hit(Limit::KeyPackageClaims);
            }
            within
        };
        let asker = if origin.is_none() { Asker::Own } else { Asker::Foreign };
        let proofs = self.prove(&targets, views, asker).await?;
        let mut judged = Vec::with_capacity(targets.len());
        let mut tx = self.ground.read().await?;
        for target in targets.iter().filter(|target| !matches!(proofs.get(target), Some(Err(_)))) {
            let repeated = is_repeated(tx.as_mut(), self.ground.domain(), &purpose, target, now).await?;
            judged.push((repeated || within_quota(target), target.clone()));
        }
        drop(tx);
        let ground = Arc::clone(&self.ground);
        let claim = ClaimAll { ground, purpose, targets: judged, now, low: BTreeSet::new() };
        let mut claimed = self.ground.write(claim).await?.into_iter();
        let mut answers = Vec::with_capacity(targets.len());
        for target in &targets {
            answers.push(match proofs.get(target) {
                Some(Err(unproven)) => Err(unproven.clone()),
                Some(Ok(proven)) => with_proof(claimed.next(), target, proven),
                None => claimed.next().unwrap_or_else(|| Err((target.clone(), lost()))),
            });
        }
        Ok(answers)
    }

    /// What the log proves of those that views name, before packages are claimed: proofs take time, and the one writer must not
    /// wait for them; and of whoever can't be proven yet no package is used up.
    async fn prove(
        &self,
        targets: &[Address],
        views: &Views,
        asker: Asker,
    ) -> Answered<BTreeMap<Address, UserAnswer>> {
        let (mut room, mut proofs) = (ProofRoom::new(), BTreeMap::new());
        if self.ground.log_keys().is_none() || views.is_empty() {
            return Ok(proofs);
        }
        let mut tx = self.ground.read().await?;
        for target in targets.iter().filter(|target| target.domain() == self.ground.domain()) {
            let Some(view) = views.get(target).copied() else { continue };
            let Some(account) = tx.account_named(target.localpart()).await? else { continue };
            let of = (target, &account);
            let keys = logged::proven_keys(&self.ground, tx.as_mut(), of, Some(view), asker).await?;
            proofs.insert(target.clone(), keys.and_then(|keys| room.takes(keys)));
        }
        Ok(proofs)
    }
}

fn lost() -> Refusal {
    Refusal::new(ErrorCode::Internal, "a claim got no answer")
}

/// A claim's answer with the proof that was made just before.
fn with_proof(claimed: Option<ClaimedUser>, target: &Address, proven: &UserKeys) -> ClaimedUser {
    let (keys, packages) = claimed.unwrap_or_else(|| Err((target.clone(), lost())))?;
    if (keys.identity_key, &keys.devices) == (proven.identity_key, &proven.devices) {
        return Ok((UserKeys { lookup: proven.lookup.clone(), ..keys }, packages));
    }
    let text = format!("the keys of `{target}` changed just now");
    Err((target.clone(), Refusal::retry(ErrorCode::KeysPending, text, Millis::from_secs(1))))
}

/// Whether the claim on this target was answered before: a lost answer, asked for again, uses up no quota.
async fn is_repeated(
    tx: &mut dyn ReadTx,
    us: &Domain,
    purpose: &Purpose,
    target: &Address,
    now: Timestamp,
) -> Stored<bool> {
    let account = if target.domain() == us { tx.account_named(target.localpart()).await? } else { None };
    let Some(account) = account else { return Ok(false) };
    for device in tx.devices(&account.id).await? {
        let device = device.certificate.device.device;
        let claim = purpose.claim(&device, true, now);
        if tx.key_package_claim_known(&claim).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Purpose {
    /// The claim on one device's stock.
    const fn claim<'a>(&'a self, device: &'a DeviceId, last_resort_only: bool, now: Timestamp) -> Claim<'a> {
        Claim {
            requester: &self.requester,
            group: &self.group,
            nonce: &self.nonce,
            device,
            ends_after: ends_after(now),
            last_resort_only,
            now,
        }
    }
}

/// What a peer answered about one of its users, if it can be believed.
fn checked(claimed: ClaimedUser) -> ClaimedUser {
    let (keys, mut packages) = claimed?;
    let keys = believable(keys)?;
    packages.retain(|package| keys.has_device(&package.device));
    Ok((keys, packages))
}

struct ClaimAll {
    ground: Arc<Ground>,
    purpose: Purpose,
    /// Whom, and whether the requester is within its quota.
    targets: Vec<(bool, Address)>,
    now: Timestamp,
    low: BTreeSet<DeviceId>,
}

#[async_trait]
impl WriteJob for ClaimAll {
    type Output = Vec<ClaimedUser>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        self.low.clear();
        let mut claimed = Vec::with_capacity(self.targets.len());
        for (within_quota, target) in self.targets.clone() {
            claimed.push(self.user(tx, &target, within_quota).await?);
        }
        Ok(claimed)
    }

    fn effects(&mut self) -> Effects {
        let mut effects = Effects::default();
        self.low.iter().for_each(|device| effects.wake(*device, Feed::Mailbox));
        effects
    }
}

impl ClaimAll {
    async fn user(
        &mut self,
        tx: &mut dyn WriteTx,
        target: &Address,
        within_quota: bool,
    ) -> Stored<ClaimedUser> {
        let account = if target.domain() == self.ground.domain() {
            tx.account_named(target.localpart()).await?
        } else {
            None
        };
        let Some(account) = account else { return Ok(Err((target.clone(), accounts::unknown(target)))) };
        let keys = logged::user_keys(&self.ground, tx, target, &account).await?;
        let wanted: Vec<DeviceId> = keys
            .devices
            .iter()
            .map(|certificate| certificate.device.device)
            .filter(|device| Some(*device) != self.purpose.except)
            .collect();
        let mut packages = Vec::new();
        for device in &wanted {
            packages.extend(self.device(tx, device, within_quota).await?);
        }
        if packages.is_empty() && !wanted.is_empty() {
            let text =
                format!("no device of `{target}` has a usable KeyPackage, ask again when one was online");
            return Ok(Err((target.clone(), Refusal::new(ErrorCode::KeyPackagesExhausted, text))));
        }
        Ok(Ok((keys, packages)))
    }

    async fn device(
        &mut self,
        tx: &mut dyn WriteTx,
        device: &DeviceId,
        within_quota: bool,
    ) -> Stored<Option<ClaimedPackage>> {
        let ends_after = ends_after(self.now);
        let claim = self.purpose.claim(device, !within_quota, self.now);
        let package = tx.key_package_claim(&claim).await?;
        let stock = tx.key_package_stock(device, ends_after).await?;
        if is_low(stock.one_time) {
            let notice = Notice::KeyPackagesLow(renewal(stock));
            self.low.extend(tx.mailbox_append(&[(*device, notice)], self.now).await?);
        }
        Ok(package.map(|package| ClaimedPackage {
            device: package.device,
            message: package.message,
            last_resort: package.last_resort,
        }))
    }
}
