//! The inviter's side: making tokens, and taking the statement that answers one.

use async_trait::async_trait;
use qpq_core::{Domain, ErrorCode, Millis, Pin, Secret, Timestamp};
use qpq_federation_proto::{AcceptReceipt, AcceptStatement, Acceptance, Invite, InviteTerms};
use qpq_storage::{InviteUsed, Peer, PeerState, Stored, WriteTx};
use serde::Serialize;

use super::{Known, Peering};
use crate::{Answered, Caller, Refusal, WriteJob, audit::Audited, bans};

/// No token lives longer.
const LONGEST: Millis = Millis::from_days(30);

/// A new token, shown once.
#[derive(Clone, Debug)]
pub struct IssuedInvite {
    /// What the other admin needs; it holds the secret.
    pub token: Secret<String>,
    /// When it ends.
    pub expires: Timestamp,
}

impl Serialize for IssuedInvite {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            token: &'a str,
            expires: Timestamp,
        }
        Shown { token: self.token.expose(), expires: self.expires }.serialize(serializer)
    }
}

/// Who the other side of the link is, as its certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkCertificate {
    /// The domains that the leaf names.
    pub domains: Vec<Domain>,
    /// The authority that signed it, DER.
    pub authority: Vec<u8>,
    /// That authority's pin.
    pub pin: Pin,
}

impl Peering {
    /// Makes a token for a domain, or for any (`None`): then our admin confirms the other's fingerprint.
    pub async fn invite(
        &self,
        bound_to: Option<Domain>,
        lifetime: Millis,
        caller: &Caller,
    ) -> Answered<IssuedInvite> {
        self.open_for_peers()?;
        if bound_to.as_ref() == Some(self.ground.domain()) {
            return Err(Refusal::malformed(format!("`{}` is this domain itself", self.ground.domain())));
        }
        if let Some(domain) = &bound_to {
            self.not_blocked(domain).await?;
        }
        if lifetime > LONGEST {
            return Err(Refusal::malformed("an invite lives for at most 30 days"));
        }
        let now = self.ground.now();
        let target = bound_to.as_ref().map_or_else(|| "any".to_owned(), Domain::to_string);
        let expires = now.after(lifetime);
        let terms = InviteTerms {
            inviter: self.ground.domain().clone(),
            address: self.identity.address.clone(),
            ca_pin: self.identity.pin,
            bound_to: bound_to.clone(),
            expires_at: expires,
        };
        let invite = self.ground.draw(|entropy| Invite::issue(terms, &self.identity.key, entropy));
        let row = qpq_storage::Invite {
            id: invite.id(),
            bound_to,
            expires_at: expires,
            used_by: None,
            created_at: now,
        };
        let job = Create { row, secret: invite.secret_digest() };
        let entry = caller.entry(&self.ground, "peer.invite", target, String::new());
        self.ground.write(Audited { job, entry, changed: |()| true }).await?;
        Ok(IssuedInvite { token: Secret::new(invite.to_token()), expires })
    }

    /// Takes the statement of a domain that accepts our invite: uses up the invite and makes the peer, both or
    /// neither. A repeat by the same domain under the same authority gets an answer again. `link` is who says so.
    pub async fn accept_invite(&self, statement: &[u8], link: &LinkCertificate) -> Answered<Vec<u8>> {
        self.open_for_peers()?;
        let statement = AcceptStatement::from_bytes(statement, self.ground.domain())
            .map_err(|error| Refusal::malformed(error.to_string()))?;
        if !link.domains.contains(&statement.accepter) || link.authority != statement.ca_certificate {
            return Err(Refusal::new(
                ErrorCode::Invite,
                "the statement is not made by the domain and authority of this link's certificate",
            ));
        }
        let now = self.ground.now();
        let known = Known::read(self.ground.read().await?.as_mut(), &statement.accepter, now).await?;
        if let Some(ban) = known.ban {
            return Err(Refusal::new(ErrorCode::PolicyRefused, bans::words(&ban, self.ground.domain())));
        }
        let peer = Peer {
            domain: statement.accepter.clone(),
            state: PeerState::Allowed,
            address: statement.address.as_ref().map(ToString::to_string),
            pin: link.pin,
            ca_certificate: statement.ca_certificate.clone(),
            federation_key: *statement.federation_key.as_bytes(),
            incarnation: None,
            refused: None,
            since: now,
            note: String::new(),
        };
        let taken = self.ground.write(Use { secret: statement.secret_digest(), peer, now }).await?;
        let Some(acceptance) = taken else {
            return Err(Refusal::new(
                ErrorCode::Invite,
                "the invite is unknown, used, expired or made for another domain: ask for a new one",
            ));
        };
        tracing::info!(peer.domain = %statement.accepter, ?acceptance, "an invite was accepted");
        self.ground.peers().peers_changed();
        let receipt = AcceptReceipt { acceptance, ca_certificate: self.identity.ca_certificate.clone() };
        Ok(receipt.sign(&statement, &self.identity.key))
    }
}

struct Create {
    row: qpq_storage::Invite,
    secret: qpq_core::Digest,
}

#[async_trait]
impl WriteJob for Create {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        tx.invite_create(&self.row, &self.secret).await
    }
}

struct Use {
    secret: qpq_core::Digest,
    peer: Peer,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for Use {
    type Output = Option<Acceptance>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Option<Acceptance>> {
        let Some(invite) = tx.invite(&self.secret).await? else { return Ok(None) };
        let known = tx.peer(&self.peer.domain).await?;
        let mut peer = self.peer.clone();
        if let Some(known) = &known {
            let same = known.pin == peer.pin;
            if invite.used_by.is_none() && invite.bound_to.is_none() && !same {
                // Who holds a token for anybody could otherwise put itself in the place of a peer.
                return Ok(None);
            }
            if same {
                peer.incarnation = known.incarnation;
                peer.since = known.since;
                peer.note.clone_from(&known.note);
            }
        }
        let confirmed = known.as_ref().is_some_and(|known| known.state == PeerState::Allowed);
        if invite.bound_to.is_none() && !confirmed {
            peer.state = PeerState::AwaitingConfirmation;
        }
        match tx.invite_use(&self.secret, &peer, self.now).await? {
            InviteUsed::Accepted => Ok(Some(acceptance(peer.state))),
            // The admin may have removed the peer since: a repeat doesn't bring it back.
            InviteUsed::Repeated => Ok(known.map(|known| acceptance(known.state))),
            InviteUsed::Refused => Ok(None),
        }
    }
}

const fn acceptance(state: PeerState) -> Acceptance {
    match state {
        PeerState::Allowed => Acceptance::Peered,
        PeerState::AwaitingConfirmation => Acceptance::AwaitingConfirmation,
    }
}
