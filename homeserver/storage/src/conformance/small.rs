//! The small areas: vault, audit log, inbox, registration tokens.

use qpq_core::{Incarnation, RequestId, Seq, TokenId};

use super::{
    Failure, Outcome, Subject, conflicts,
    fixtures::{at, digest, elsewhere, here},
    read, same, write,
};
use crate::{AuditEntry, InboxHead, ParkedRow, RegistrationToken, Vault};

/// An incarnation that began at a second.
pub(super) fn incarnation(second: u8) -> Option<Incarnation> {
    let mut bytes = [0; 16];
    bytes[7] = second;
    bytes[15] = 1;
    Incarnation::from_slice(&bytes)
}

/// The identity is written once, and survives.
pub async fn the_vault_is_written_once(subject: &mut dyn Subject) -> Outcome {
    same("before", read(subject).await?.vault().await?, None)?;
    let Some(incarnation) = incarnation(1) else { return Ok(()) };
    let vault = Vault { domain: here()?, incarnation, created_at: at(1) };
    let mut tx = write(subject).await?;
    tx.vault_create(&vault).await?;
    tx.commit().await?;
    subject.reopen().await?;
    same("after", read(subject).await?.vault().await?, Some(vault.clone()))?;
    conflicts("a second one", write(subject).await?.vault_create(&vault).await)
}

/// Entries come back in order, from a position on.
pub async fn audit_entries_are_numbered(subject: &mut dyn Subject) -> Outcome {
    let entry = |action: &str| AuditEntry {
        at: at(1),
        actor: "uid:0".to_owned(),
        action: action.to_owned(),
        target: "beta.test".to_owned(),
        reason: String::new(),
        request: RequestId::from_bytes([3; 16]),
    };
    let mut tx = write(subject).await?;
    let first = tx.audit_append(&entry("peer.invite")).await?;
    let second = tx.audit_append(&entry("peer.remove")).await?;
    tx.commit().await?;
    let mut tx = read(subject).await?;
    let all = tx.audit_after(Seq::ZERO, 10).await?;
    same("all", all, vec![(first, entry("peer.invite")), (second, entry("peer.remove"))])?;
    same("after the first", tx.audit_after(first, 10).await?, vec![(second, entry("peer.remove"))])?;
    same("one", tx.audit_after(Seq::ZERO, 1).await?.len(), 1)
}

fn head(life: u8, applied: u64) -> Result<InboxHead, Failure> {
    let incarnation = incarnation(life);
    same("fixture", incarnation.is_some(), true)?;
    let Some(incarnation) = incarnation else {
        return Err(Failure::Differs { what: "fixture", expected: String::new(), found: String::new() });
    };
    Ok(InboxHead { incarnation, last_applied: Seq(applied), chain: digest(1), header: vec![9; 40] })
}

/// A mark moves forward within a life, and to a later life; anything else is a contradiction.
pub async fn the_inbox_head_never_goes_back(subject: &mut dyn Subject) -> Outcome {
    let (origin, stream) = (elsewhere()?, [1; 16]);
    let mut tx = write(subject).await?;
    same("before", tx.inbox_head(&origin, &stream).await?, None)?;
    tx.inbox_advance(&origin, &stream, &head(5, 7)?).await?;
    tx.inbox_advance(&origin, &stream, &head(5, 8)?).await?;
    tx.commit().await?;
    same("after", read(subject).await?.inbox_head(&origin, &stream).await?, Some(head(5, 8)?))?;
    conflicts("back", write(subject).await?.inbox_advance(&origin, &stream, &head(5, 7)?).await)?;
    conflicts("an older life", write(subject).await?.inbox_advance(&origin, &stream, &head(4, 9)?).await)?;
    let mut tx = write(subject).await?;
    tx.inbox_advance(&origin, &stream, &head(6, 1)?).await?;
    tx.commit().await?;
    same("a later life", read(subject).await?.inbox_head(&origin, &stream).await?, Some(head(6, 1)?))
}

/// One origin's heads, ordered by stream.
pub async fn heads_are_listed_per_origin(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    tx.inbox_advance(&elsewhere()?, &[2; 16], &head(1, 2)?).await?;
    tx.inbox_advance(&elsewhere()?, &[1; 16], &head(1, 1)?).await?;
    tx.inbox_advance(&"gamma.test".parse()?, &[1; 16], &head(1, 5)?).await?;
    let heads = tx.inbox_heads(&elsewhere()?).await?;
    same("heads", heads, vec![([1; 16], head(1, 1)?), ([2; 16], head(1, 2)?)])?;
    same("their number", tx.inbox_streams(&elsewhere()?).await?, 2)
}

/// Rows of unknown kinds are taken, and weighed for each origin.
pub async fn parking_is_accepted(subject: &mut dyn Subject) -> Outcome {
    let row = |seq| ParkedRow { seq: Seq(seq), kind: 999, id: [1; 16], payload: vec![1; 10] };
    let mut tx = write(subject).await?;
    tx.inbox_park(&elsewhere()?, &[1; 16], &[row(1), row(2), row(3)]).await?;
    tx.inbox_park(&elsewhere()?, &[2; 16], &[row(1)]).await?;
    tx.inbox_park(&"gamma.test".parse()?, &[1; 16], &[row(1)]).await?;
    tx.commit().await?;
    same("bytes", read(subject).await?.inbox_parked_bytes(&elsewhere()?).await?, 40)
}

pub(super) fn token(number: u8, uses: Option<u32>) -> RegistrationToken {
    RegistrationToken {
        id: TokenId::from_bytes([number; 16]),
        uses,
        used: 0,
        expires_at: Some(at(100)),
        created_at: at(u64::from(number)),
        revoked_at: None,
    }
}

/// A token is found by the hash of its secret; all are listed, newest first.
pub async fn tokens_are_found_by_their_secret(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    tx.registration_token_create(&token(1, Some(2)), &digest(1)).await?;
    tx.registration_token_create(&token(2, None), &digest(2)).await?;
    tx.commit().await?;
    let mut tx = read(subject).await?;
    same("by secret", tx.registration_token(&digest(1)).await?, Some(token(1, Some(2))))?;
    same("by another", tx.registration_token(&digest(3)).await?, None)?;
    same("all", tx.registration_tokens().await?, vec![token(2, None), token(1, Some(2))])?;
    let mut tx = write(subject).await?;
    conflicts("the same secret", tx.registration_token_create(&token(3, None), &digest(1)).await)
}

/// Revoking says whether there was something to revoke.
pub async fn a_token_is_revoked_once(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    tx.registration_token_create(&token(1, None), &digest(1)).await?;
    let id = token(1, None).id;
    same("first", tx.registration_token_revoke(&id, at(5)).await?, true)?;
    same("second", tx.registration_token_revoke(&id, at(6)).await?, false)?;
    same("unknown", tx.registration_token_revoke(&TokenId::from_bytes([9; 16]), at(6)).await?, false)?;
    let found = tx.registration_token(&digest(1)).await?.and_then(|token| token.revoked_at);
    same("when", found, Some(at(5)))
}
