//! Who is who: the keys of users of any domain.

use std::{collections::BTreeSet, sync::Arc};

use qpq_core::{AccountId, Address, Domain, ErrorCode, GroupId};
use qpq_metrics::Limit;
use qpq_storage::ReadTx;
use qpq_transparency_tree::lookup::Asker;

use crate::{
    Answered, Ground, Groups, PeerCallError, Refusal, SessionHandle, UserAnswer, UserKeys, Views, accounts,
    bans,
    by_domain::{ask_all, bounded, shares},
    contacts::{Question, hidden, requested},
    peering,
    rates::Throttle,
    transparency::{
        believed,
        logged::{self, ProofRoom},
    },
};

/// The use cases of the directory.
#[derive(Clone, Debug)]
pub struct Directory {
    ground: Arc<Ground>,
    groups: Groups,
    users: Arc<Throttle<AccountId>>,
    peers: Arc<Throttle<Domain>>,
}

impl Directory {
    /// On this ground; `groups` hears what homes say of their users' devices.
    pub fn new(ground: Arc<Ground>, groups: Groups) -> Self {
        let lookups = ground.settings().lookups;
        Self {
            ground,
            groups,
            users: Arc::new(Throttle::new(lookups)),
            peers: Arc::new(Throttle::new(lookups)),
        }
    }

    /// The keys of users of any domain, in the order asked; `group` is one that the session's device shares with them. About
    /// those whom `views` names, their domains' logs are asked.
    pub async fn resolve(
        &self,
        session: &SessionHandle,
        addresses: &[Address],
        group: Option<&GroupId>,
        views: &Views,
    ) -> Answered<Vec<UserAnswer>> {
        let now = self.ground.now();
        session.check(now)?;
        bounded(addresses)?;
        let admitted = self.users.admit(&session.account(), count(addresses), now, "lookups");
        self.ground.limited(Limit::Lookups, admitted)?;
        let requester = &session.device().user;
        let deadline = self.ground.interactive_deadline();
        let ask = |domain: Domain, addresses: Vec<Address>| async move {
            if domain == *self.ground.domain() {
                return self
                    .here(&addresses, &BTreeSet::new(), (views, Asker::Own))
                    .await
                    .map_err(PeerCallError::Refused);
            }
            believed(&self.ground, &domain).await.map_err(PeerCallError::Refused)?;
            let peers = self.ground.peers();
            let answers = peers.resolve_user(&domain, requester, &addresses, group, views, deadline).await?;
            Ok(answers.into_iter().map(|answer| answer.and_then(believable)).collect())
        };
        let answers = ask_all(shares(addresses), ask, |keys: &UserKeys| &keys.address).await;
        answers.iter().flatten().for_each(|keys| self.groups.learn(keys));
        Ok(answers)
    }

    /// The keys of our users, for a user of a peer: those that the peer may see, and a request for the others. A hub asks
    /// for whoever commits, who may be a user of any member's domain, and names the group.
    pub async fn resolve_for_peer(
        &self,
        origin: &Domain,
        requester: &Address,
        addresses: &[Address],
        group: Option<&GroupId>,
        views: &Views,
    ) -> Answered<Vec<UserAnswer>> {
        bounded(addresses)?;
        admit_domain(self.ground.read().await?.as_mut(), &self.ground, origin).await?;
        let admitted =
            self.peers.admit(origin, count(addresses), self.ground.now(), "lookups by your domain");
        self.ground.limited(Limit::Lookups, admitted)?;
        let hidden = hidden(&self.ground, Question { origin, requester, group }, addresses).await?;
        self.here(addresses, &hidden, (views, Asker::Foreign)).await
    }

    async fn here(
        &self,
        addresses: &[Address],
        hidden: &BTreeSet<Address>,
        (views, asker): (&Views, Asker),
    ) -> Answered<Vec<UserAnswer>> {
        let mut tx = self.ground.read().await?;
        let (mut room, mut answers) = (ProofRoom::new(), Vec::with_capacity(addresses.len()));
        for address in addresses {
            if hidden.contains(address) {
                answers.push(Err((address.clone(), requested())));
                continue;
            }
            let ours = address.domain() == self.ground.domain();
            let account = if ours { tx.account_named(address.localpart()).await? } else { None };
            answers.push(match account {
                Some(account) => {
                    let view = views.get(address).copied();
                    let of = (address, &account);
                    let keys = logged::proven_keys(&self.ground, tx.as_mut(), of, view, asker).await?;
                    keys.and_then(|keys| room.takes(keys))
                }
                None => Err((address.clone(), accounts::unknown(address))),
            });
        }
        Ok(answers)
    }
}

/// Whether a peer may take something for one of its users: it must be on the allow-list, and the user not banned here.
pub(crate) async fn admit_peer(
    tx: &mut dyn ReadTx,
    ground: &Ground,
    origin: &Domain,
    requester: &Address,
) -> Answered<()> {
    let refused = |text: String| Err(Refusal::new(ErrorCode::PolicyRefused, text));
    if requester.domain() != origin {
        return refused(format!("`{requester}` is not a user of `{origin}`"));
    }
    admit_domain(tx, ground, origin).await?;
    bans::admit_sender(tx, ground.domain(), requester, ground.now()).await?
}

/// Whether a peer may ask at all: it must be on the allow-list and not blocked.
async fn admit_domain(tx: &mut dyn ReadTx, ground: &Ground, origin: &Domain) -> Answered<()> {
    let why = peering::why_not(tx, ground.domain(), origin, ground.now()).await?;
    why.map_or(Ok(()), |text| Err(Refusal::new(ErrorCode::PolicyRefused, text)))
}

/// A peer can say what it likes about its users, but not that another's key signed their devices.
pub(crate) fn believable(keys: UserKeys) -> UserAnswer {
    let own = |device: &qpq_core::DeviceCertificate| {
        device.device.user == keys.address && device.verify(&keys.identity_key).is_ok()
    };
    if keys.devices.iter().all(own) {
        return Ok(keys);
    }
    let text = format!("a device of `{}` isn't signed by its identity key", keys.address);
    Err((keys.address, Refusal::new(ErrorCode::DeviceNotSigned, text)))
}

/// How many lookups a list is.
pub(crate) fn count(addresses: &[Address]) -> u32 {
    u32::try_from(addresses.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
