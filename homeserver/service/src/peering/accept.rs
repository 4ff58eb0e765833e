//! The accepting side: answering a token, and confirming a domain that answered a token for anybody.

use async_trait::async_trait;
use qpq_core::{Domain, ErrorCode, Pin};
use qpq_federation_proto::{AcceptReceipt, AcceptStatement, Acceptance, Invite};
use qpq_storage::{Peer, PeerState, Stored, WriteTx};
use serde::Serialize;

use super::{Peering, unknown};
use crate::{Answered, Caller, Refusal, WriteJob, audit::Audited};

/// The domain that a token made our peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AcceptedPeer {
    /// Its name.
    pub domain: Domain,
    /// Where it is dialled; `None`: where DNS says.
    pub address: Option<String>,
    /// The pin of its federation CA.
    pub pin: Pin,
    /// Whether its admin still has to confirm us.
    pub awaiting_confirmation: bool,
}

/// A waiting domain that our admin confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confirmed {
    /// Its name.
    pub domain: Domain,
    /// The pin of its federation CA, which the admin compared.
    pub pin: Pin,
}

impl Peering {
    /// Finishes a peering with the other domain's token: tells the inviter, then stores it as our peer.
    pub async fn accept(&self, token: &str, caller: &Caller) -> Answered<AcceptedPeer> {
        self.open_for_peers()?;
        let wrong =
            |error: qpq_federation_proto::InviteError| Refusal::new(ErrorCode::Invite, error.to_string());
        let invite: Invite = token.parse().map_err(wrong)?;
        invite.check(self.ground.domain(), self.ground.now()).map_err(wrong)?;
        self.not_blocked(&invite.terms().inviter).await?;
        let statement = AcceptStatement::sign(
            &invite,
            self.ground.domain().clone(),
            self.identity.address.clone(),
            self.identity.ca_certificate.clone(),
            &self.identity.key,
        );
        let terms = invite.terms();
        let address = terms.address.as_ref().map(ToString::to_string);
        let answer = self
            .ground
            .peers()
            .accept_invite(
                &terms.inviter,
                address.as_deref(),
                &terms.ca_pin,
                &statement.to_bytes(),
                self.ground.interactive_deadline(),
            )
            .await?;
        let receipt = AcceptReceipt::from_bytes(&answer, &statement, &invite).map_err(wrong)?;
        let peer = Peer {
            domain: terms.inviter.clone(),
            state: PeerState::Allowed,
            address: address.clone(),
            pin: terms.ca_pin,
            ca_certificate: receipt.ca_certificate,
            federation_key: *invite.federation_key().as_bytes(),
            incarnation: None,
            refused: None,
            since: self.ground.now(),
            note: String::new(),
        };
        let entry = caller.entry(&self.ground, "peer.accept", peer.domain.to_string(), String::new());
        self.ground.write(Audited { job: Store { peer }, entry, changed: |()| true }).await?;
        self.ground.peers().peers_changed();
        Ok(AcceptedPeer {
            domain: terms.inviter.clone(),
            address,
            pin: terms.ca_pin,
            awaiting_confirmation: receipt.acceptance == Acceptance::AwaitingConfirmation,
        })
    }

    /// Confirms the fingerprint of a domain that answered a token for anybody, and releases a peer that was stopped.
    pub async fn confirm(&self, domain: &Domain, caller: &Caller) -> Answered<Confirmed> {
        self.open_for_peers()?;
        let entry = caller.entry(&self.ground, "peer.confirm", domain.to_string(), String::new());
        let job = Confirm { domain: domain.clone() };
        let confirmed = self.ground.write(Audited { job, entry, changed: Option::is_some }).await?;
        let confirmed = confirmed.ok_or_else(|| unknown(domain))?;
        self.ground.peers().peers_changed();
        Ok(confirmed)
    }
}

struct Store {
    peer: Peer,
}

#[async_trait]
impl WriteJob for Store {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        let known = tx.peer(&self.peer.domain).await?.filter(|known| known.pin == self.peer.pin);
        let mut peer = self.peer.clone();
        if let Some(known) = known {
            peer.incarnation = known.incarnation;
            peer.since = known.since;
            peer.note = known.note;
        }
        tx.peer_store(&peer).await
    }
}

struct Confirm {
    domain: Domain,
}

#[async_trait]
impl WriteJob for Confirm {
    type Output = Option<Confirmed>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Option<Confirmed>> {
        let Some(mut peer) = tx.peer(&self.domain).await? else { return Ok(None) };
        peer.state = PeerState::Allowed;
        peer.refused = None;
        tx.peer_store(&peer).await?;
        Ok(Some(Confirmed { domain: peer.domain, pin: peer.pin }))
    }
}
