//! The small areas: vault, audit log, inbox, registration tokens.

use qpq_core::{Digest, Domain, Incarnation, RequestId, Seq, TokenId};

use super::{
    Failure, Outcome, Subject, conflicts,
    fixtures::{at, digest, elsewhere, here},
    read, same, write,
};
use crate::{
    AuditEntry, AuditFilter, AuditRecord, InboxHead, ParkedKind, ParkedRow, ReadTx, RegistrationToken,
    TokenState, TokensQuery, Vault, Window,
};

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

/// A life is followed by a later one only.
pub async fn lives_follow_each_other(subject: &mut dyn Subject) -> Outcome {
    let (Some(first), Some(second)) = (incarnation(1), incarnation(2)) else { return Ok(()) };
    conflicts("without a vault", write(subject).await?.vault_begin(first).await)?;
    let mut tx = write(subject).await?;
    tx.vault_create(&Vault { domain: here()?, incarnation: first, created_at: at(1) }).await?;
    tx.vault_begin(second).await?;
    tx.commit().await?;
    let found = read(subject).await?.vault().await?;
    same("the second", found.map(|vault| vault.incarnation), Some(second))?;
    conflicts("the same again", write(subject).await?.vault_begin(second).await)?;
    conflicts("an older one", write(subject).await?.vault_begin(first).await)
}

/// Entries come back in order in both directions, filtered, and each is chained to the one before.
pub async fn audit_entries_are_numbered_and_chained(subject: &mut dyn Subject) -> Outcome {
    let entry = |actor: &str, action: &str, target: &str, seconds| AuditEntry {
        at: at(seconds),
        actor: actor.to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        reason: String::new(),
        request: RequestId::from_bytes([3; 16]),
    };
    let entries = [
        entry("uid:0", "peer.invite", "beta.test", 1),
        entry("admin:olga", "peer.remove", "gamma.test", 2),
        entry("admin:olga", "user.ban", "eve@beta.test", 3),
        entry("uid:0", "peerless.act", "", 4),
    ];
    let mut tx = write(subject).await?;
    for entry in entries.iter().take(2) {
        tx.audit_append(entry).await?;
    }
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    for entry in entries.iter().skip(2) {
        tx.audit_append(entry).await?;
    }
    tx.commit().await?;
    let mut expected = Vec::new();
    let mut hash = Digest::ZERO;
    for (entry, seq) in entries.iter().zip(1..) {
        hash = entry.chained(Seq(seq), &hash);
        expected.push(AuditRecord { seq: Seq(seq), entry: entry.clone(), hash });
    }
    let mut tx = read(subject).await?;
    let all = AuditFilter::default();
    same("all", tx.audit_after(&all, Seq::ZERO, 10).await?, expected.clone())?;
    let second: Vec<AuditRecord> = expected.iter().skip(1).take(1).cloned().collect();
    same("one after the first", tx.audit_after(&all, Seq(1), 1).await?, second)?;
    let backwards: Vec<AuditRecord> = expected.iter().rev().cloned().collect();
    same("backwards", tx.audit_before(&all, None, 10).await?, backwards)?;
    same("before the second", tx.audit_before(&all, Some(Seq(2)), 10).await?.len(), 1)?;
    let filter = |change: fn(&mut AuditFilter)| {
        let mut filter = AuditFilter::default();
        change(&mut filter);
        filter
    };
    for (what, filter, found) in [
        ("by actor", filter(|filter| filter.actor = Some("admin:olga".to_owned())), vec![3, 2]),
        ("by area", filter(|filter| filter.action = Some("peer.".to_owned())), vec![2, 1]),
        ("by action", filter(|filter| filter.action = Some("user.ban".to_owned())), vec![3]),
        ("by target", filter(|filter| filter.target = Some("beta".to_owned())), vec![3, 1]),
        ("from", filter(|filter| filter.from = Some(at(3))), vec![4, 3]),
        ("until", filter(|filter| filter.until = Some(at(2))), vec![1]),
    ] {
        let seqs: Vec<u64> =
            tx.audit_before(&filter, None, 10).await?.iter().map(|record| record.seq.0).collect();
        same(what, seqs, found.clone())?;
        same(what, tx.audit_count(&filter).await?, found.len().try_into().unwrap_or(u64::MAX))?;
        same(what, tx.audit_after(&filter, Seq::ZERO, 10).await?.len(), found.len())?;
    }
    Ok(())
}

fn head(life: u8, applied: u64) -> Result<InboxHead, Failure> {
    let incarnation = incarnation(life);
    same("fixture", incarnation.is_some(), true)?;
    let Some(incarnation) = incarnation else {
        return Err(Failure::Differs { what: "fixture", expected: String::new(), found: String::new() });
    };
    Ok(InboxHead {
        incarnation,
        last_applied: Seq(applied),
        chain: digest(1),
        header: vec![9; 40],
        backed_up: Seq::ZERO,
    })
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

/// What a later version knows is taken out once, in the order in which it came; the rest stays.
pub async fn parked_rows_are_taken_up_in_order(subject: &mut dyn Subject) -> Outcome {
    let row = |seq, kind| ParkedRow { seq: Seq(seq), kind, id: [1; 16], payload: vec![1; 10] };
    let gamma: Domain = "gamma.test".parse()?;
    let mut tx = write(subject).await?;
    tx.inbox_park(&gamma, &[2; 16], &[row(1, 900)]).await?;
    tx.inbox_park(&elsewhere()?, &[1; 16], &[row(4, 901), row(5, 900)]).await?;
    tx.inbox_park(&elsewhere()?, &[1; 16], &[row(6, 902), row(7, 900)]).await?;
    tx.inbox_park(&elsewhere()?, &[3; 16], &[row(1, 901)]).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let of = |kind, rows, bytes| ParkedKind { kind, rows, bytes };
    let shown = read(subject).await?.inbox_parked(&elsewhere()?).await?;
    same("shown", shown, vec![of(900, 2, 20), of(901, 2, 20), of(902, 1, 10)])?;
    let mut tx = write(subject).await?;
    let first = tx.inbox_unpark(&elsewhere()?, &[900, 901], 2).await?;
    same("first", first, vec![([1; 16], row(4, 901)), ([1; 16], row(5, 900))])?;
    let rest = tx.inbox_unpark(&elsewhere()?, &[900, 901], 9).await?;
    same("rest", rest, vec![([1; 16], row(7, 900)), ([3; 16], row(1, 901))])?;
    same("another's", tx.inbox_unpark(&gamma, &[900], 9).await?, vec![([2; 16], row(1, 900))])?;
    same("no more", tx.inbox_unpark(&elsewhere()?, &[900, 901], 9).await?, vec![])?;
    same("left", tx.inbox_parked(&elsewhere()?).await?, vec![of(902, 1, 10)])
}

pub(super) fn token(number: u8, uses: Option<u32>) -> RegistrationToken {
    RegistrationToken {
        id: TokenId::from_bytes([number; 16]),
        uses,
        used: 0,
        expires_at: Some(at(100)),
        created_at: at(u64::from(number)),
        revoked_at: None,
        creator: "admin:ann".to_owned(),
        note: "for the fair".to_owned(),
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
    same("all", listed(tx.as_mut(), None, 5).await?, vec![token(2, None), token(1, Some(2))])?;
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
    same("when", found, Some(at(5)))?;
    same("taken back", tx.registration_token_unrevoke(&id).await?, true)?;
    same("taken back twice", tx.registration_token_unrevoke(&id).await?, false)?;
    same("as before", tx.registration_token(&digest(1)).await?, Some(token(1, None)))
}

/// Every token stands in one place; what was made last comes first, and pages say how many there are.
pub async fn tokens_are_listed_by_how_they_stand(subject: &mut dyn Subject) -> Outcome {
    let used_up = RegistrationToken { used: 1, ..token(2, Some(1)) };
    let late = RegistrationToken { expires_at: Some(at(40)), ..token(3, None) };
    let revoked = RegistrationToken { revoked_at: Some(at(4)), used: 1, ..token(4, Some(1)) };
    let forever = RegistrationToken { expires_at: None, ..token(5, None) };
    let mut tx = write(subject).await?;
    for (number, made) in (1..).zip([&token(1, Some(2)), &used_up, &late, &revoked, &forever]) {
        tx.registration_token_create(made, &digest(number)).await?;
    }
    tx.commit().await?;
    let mut tx = read(subject).await?;
    let tx = tx.as_mut();
    same("open", listed(tx, Some(TokenState::Open), 50).await?, vec![forever, token(1, Some(2))])?;
    same("used up", listed(tx, Some(TokenState::UsedUp), 50).await?, vec![used_up])?;
    same("expired", listed(tx, Some(TokenState::Expired), 50).await?, vec![late])?;
    same("revoked", listed(tx, Some(TokenState::Revoked), 50).await?, vec![revoked])?;
    let window = Window { offset: 3, limit: 1 };
    let page = tx.registration_tokens(&TokensQuery { state: None, now: at(50), window }).await?;
    same("in all", page.total, 5)?;
    same("one page", page.rows.iter().map(|token| token.id).collect(), vec![token(2, None).id])
}

async fn listed(
    tx: &mut dyn ReadTx,
    state: Option<TokenState>,
    now: u64,
) -> Result<Vec<RegistrationToken>, Failure> {
    let window = Window { offset: 0, limit: 10 };
    Ok(tx.registration_tokens(&TokensQuery { state, now: at(now), window }).await?.rows)
}
