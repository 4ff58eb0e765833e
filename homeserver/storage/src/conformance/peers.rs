//! Peers and invites.

use qpq_core::{InviteId, Pin};

use super::{
    Failure, Outcome, Subject, conflicts,
    fixtures::{at, digest, elsewhere},
    read, same,
    small::incarnation,
    write,
};
use crate::{Invite, InviteUsed, Peer, PeerState};

pub(super) fn peer(domain: &str, number: u8) -> Result<Peer, Failure> {
    Ok(Peer {
        domain: domain.parse()?,
        state: PeerState::Allowed,
        address: Some("127.0.0.1:7444".to_owned()),
        pin: Pin::from_digest(digest(number)),
        ca_certificate: vec![number; 100],
        federation_key: [number; 32],
        incarnation: None,
        refused: None,
        since: at(1),
        note: "met at the fair".to_owned(),
    })
}

/// All fields come back; storing again replaces.
pub async fn a_peer_reads_back(subject: &mut dyn Subject) -> Outcome {
    let beta = Peer { incarnation: incarnation(4), ..peer("beta.test", 1)? };
    let gamma = Peer { refused: Some("why".to_owned()), address: None, ..peer("gamma.test", 2)? };
    let mut tx = write(subject).await?;
    tx.peer_store(&gamma).await?;
    tx.peer_store(&peer("beta.test", 9)?).await?;
    tx.peer_store(&beta).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    same("all", tx.peers().await?, vec![beta.clone(), gamma])?;
    for state in [PeerState::AwaitingConfirmation, PeerState::Allowed] {
        let changed = Peer { state, ..beta.clone() };
        tx.peer_store(&changed).await?;
        same("one", tx.peer(&beta.domain).await?, Some(changed))?;
    }
    same("none", tx.peer(&"delta.test".parse()?).await?, None)
}

/// The highest incarnation stays.
pub async fn incarnations_only_grow(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    tx.peer_store(&peer("beta.test", 1)?).await?;
    for second in [3, 5, 4] {
        if let Some(incarnation) = incarnation(second) {
            tx.peer_incarnation(&elsewhere()?, incarnation).await?;
        }
    }
    let seen = tx.peer(&elsewhere()?).await?.and_then(|peer| peer.incarnation);
    same("incarnation", seen, incarnation(5))
}

/// A reason is set and cleared.
pub async fn a_refusal_is_set_and_cleared(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    tx.peer_store(&peer("beta.test", 1)?).await?;
    tx.peer_refuse(&elsewhere()?, Some("unproven claim")).await?;
    let refused = tx.peer(&elsewhere()?).await?.and_then(|peer| peer.refused);
    same("set", refused.as_deref(), Some("unproven claim"))?;
    tx.peer_refuse(&elsewhere()?, None).await?;
    same("cleared", tx.peer(&elsewhere()?).await?.and_then(|peer| peer.refused), None)
}

fn invite(number: u8, bound_to: Option<&str>) -> Result<Invite, Failure> {
    Ok(Invite {
        id: InviteId::from_bytes([number; 16]),
        bound_to: bound_to.map(str::parse).transpose()?,
        expires_at: at(100),
        used_by: None,
        created_at: at(u64::from(number)),
    })
}

/// The first use makes the peer; a repeat by the same CA gets the same answer, anybody else a refusal.
pub async fn an_invite_is_used_once(subject: &mut dyn Subject) -> Outcome {
    let beta = peer("beta.test", 1)?;
    let mut tx = write(subject).await?;
    tx.invite_create(&invite(1, None)?, &digest(1)).await?;
    tx.invite_create(&invite(2, Some("beta.test"))?, &digest(2)).await?;
    same("all", tx.invites().await?, vec![invite(2, Some("beta.test"))?, invite(1, None)?])?;
    same("by secret", tx.invite(&digest(1)).await?, Some(invite(1, None)?))?;
    same("first use", tx.invite_use(&digest(1), &beta, at(50)).await?, InviteUsed::Accepted)?;
    same("the peer", tx.peer(&beta.domain).await?, Some(beta.clone()))?;
    same("a repeat", tx.invite_use(&digest(1), &beta, at(51)).await?, InviteUsed::Repeated)?;
    let other_ca = peer("beta.test", 2)?;
    same("another CA", tx.invite_use(&digest(1), &other_ca, at(51)).await?, InviteUsed::Refused)?;
    let stranger = peer("gamma.test", 1)?;
    same("another domain", tx.invite_use(&digest(1), &stranger, at(51)).await?, InviteUsed::Refused)?;
    same("no other peer", tx.peers().await?, vec![beta.clone()])?;
    let used = tx.invite(&digest(1)).await?.and_then(|invite| invite.used_by);
    same("who used it", used, Some((beta.domain, beta.pin)))?;
    tx.commit().await?;
    let mut tx = write(subject).await?;
    conflicts("the same secret", tx.invite_create(&invite(3, None)?, &digest(1)).await)
}

/// A bound invite serves its domain only, a late one nobody.
pub async fn bound_and_late_invites_are_refused(subject: &mut dyn Subject) -> Outcome {
    let gamma = peer("gamma.test", 1)?;
    let mut tx = write(subject).await?;
    tx.invite_create(&invite(1, Some("beta.test"))?, &digest(1)).await?;
    same("another domain", tx.invite_use(&digest(1), &gamma, at(50)).await?, InviteUsed::Refused)?;
    let beta = peer("beta.test", 1)?;
    same("late", tx.invite_use(&digest(1), &beta, at(100)).await?, InviteUsed::Refused)?;
    same("unknown", tx.invite_use(&digest(9), &beta, at(50)).await?, InviteUsed::Refused)?;
    tx.commit().await?;
    same("no peers", read(subject).await?.peers().await?, vec![])
}
