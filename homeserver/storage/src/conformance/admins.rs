//! Admins: accounts, factors, links, sessions.

use qpq_core::{AdminId, ConsoleSessionId, Millis, PasskeyId, Timestamp};

use super::{
    Failure, Outcome, Subject, conflicts,
    fixtures::{at, digest},
    read, same, write,
};
use crate::{
    Admin, AdminLink, AdminPasskey, AdminPassword, AdminRole, ConsoleSession, LinkPurpose, SessionLife,
};

const fn id(number: u8) -> AdminId {
    AdminId::from_bytes([number; 16])
}

const fn life(now: Timestamp) -> SessionLife {
    SessionLife { now, longest: Millis::from_secs(100), idle: Millis::from_secs(10) }
}

fn admin(name: &str, number: u8) -> Result<Admin, Failure> {
    Ok(Admin {
        id: id(number),
        name: name.parse()?,
        role: AdminRole::Operator,
        created_at: at(u64::from(number)),
        created_by: "uid:0".to_owned(),
        last_sign_in_at: None,
        password: None,
    })
}

fn password(last_step: u64) -> AdminPassword {
    AdminPassword { hash: "$argon2id$…".to_owned(), totp_secret: vec![5; 20], last_step }
}

fn passkey(admin: u8, number: u8) -> AdminPasskey {
    AdminPasskey {
        id: PasskeyId::from_bytes([number; 16]),
        admin: id(admin),
        credential_id: vec![number; 40],
        label: "<b>blue</b> key".to_owned(),
        rp_id: "localhost".to_owned(),
        credential: format!("{{\"counter\":{number}}}"),
        created_at: at(u64::from(number)),
        last_used_at: None,
    }
}

const fn link(admin: Option<AdminId>, created_at: Timestamp) -> AdminLink {
    let purpose = if admin.is_some() { LinkPurpose::Added } else { LinkPurpose::First };
    AdminLink { purpose, admin, created_at, expires_at: created_at.after(Millis::from_secs(10)) }
}

fn session(admin: u8, number: u8, opened: u64) -> ConsoleSession {
    ConsoleSession {
        id: ConsoleSessionId::from_bytes([number; 16]),
        admin: id(admin),
        opened_at: at(opened),
        proved_at: at(opened),
        seen_at: at(opened),
        address: "203.0.113.7".to_owned(),
        agent: "<script>".to_owned(),
    }
}

/// Stores two accounts, ann (1) and bob (2).
async fn two(subject: &dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    for (name, number) in [("bob", 2), ("ann", 1)] {
        same("made", tx.admin_create(&admin(name, number)?).await?, true)?;
    }
    Ok(tx.commit().await?)
}

/// All fields come back, also those that change.
pub async fn an_admin_reads_back(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    tx.admin_role_set(&id(1), AdminRole::Owner).await?;
    tx.admin_signed_in(&id(1), at(9)).await?;
    tx.admin_password_set(&id(1), &password(7)).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let changed = Admin {
        role: AdminRole::Owner,
        last_sign_in_at: Some(at(9)),
        password: Some(password(7)),
        ..admin("ann", 1)?
    };
    let mut tx = read(subject).await?;
    same("by id", tx.admin(&id(1)).await?.as_ref(), Some(&changed))?;
    same("by name", tx.admin_named(&"Ann".parse()?).await?, Some(changed))?;
    same("the other", tx.admin(&id(2)).await?, Some(admin("bob", 2)?))?;
    same("nobody", tx.admin(&id(3)).await?, None)?;
    same("no name", tx.admin_named(&"eve".parse()?).await?, None)
}

/// Two accounts never share a name.
pub async fn an_admins_name_is_taken_once(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    same("taken", tx.admin_create(&admin("ann", 3)?).await?, false)?;
    same("free", tx.admin_create(&admin("cat", 3)?).await?, true)?;
    tx.commit().await?;
    let mut tx = write(subject).await?;
    conflicts("the same id", tx.admin_create(&admin("dan", 3)?).await)
}

/// Whatever an account had is void with it.
pub async fn removing_an_admin_takes_all_along(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    for number in [1, 2] {
        tx.admin_passkey_add(&passkey(number, number)).await?;
        tx.admin_recovery_codes_set(&id(number), &[digest(number)]).await?;
        tx.admin_link_store(&link(Some(id(number)), at(1)), &digest(10 + number)).await?;
        tx.console_session_open(&session(number, number, 1), &digest(20 + number)).await?;
    }
    tx.commit().await?;
    let mut tx = write(subject).await?;
    same("removed", tx.admin_remove(&id(1)).await?, true)?;
    same("twice", tx.admin_remove(&id(1)).await?, false)?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = read(subject).await?;
    for (number, left) in [(1, 0), (2, 1)] {
        same("passkeys", tx.admin_passkeys(&id(number)).await?.len(), left)?;
        same("a passkey", tx.admin_passkey(&[number; 40]).await?.is_some(), left == 1)?;
        same("codes", usize::try_from(tx.admin_recovery_codes(&id(number)).await?).unwrap_or(9), left)?;
        same("link", tx.admin_link(&digest(10 + number)).await?.is_some(), left == 1)?;
        let found = tx.console_session(&digest(20 + number), &life(at(1))).await?;
        same("session", found.is_some(), left == 1)?;
    }
    Ok(())
}

/// All fields come back; use and removal are its owner's.
pub async fn a_passkey_reads_back(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    same("added", tx.admin_passkey_add(&passkey(1, 8)).await?, true)?;
    same("added", tx.admin_passkey_add(&passkey(1, 7)).await?, true)?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    same("the oldest first", tx.admin_passkeys(&id(1)).await?, vec![passkey(1, 7), passkey(1, 8)])?;
    tx.admin_passkey_used(&passkey(1, 8).id, "{}", at(60)).await?;
    let used = AdminPasskey { credential: "{}".to_owned(), last_used_at: Some(at(60)), ..passkey(1, 8) };
    same("used", tx.admin_passkey(&[8; 40]).await?, Some(used))?;
    same("not bob's", tx.admin_passkey_remove(&id(2), &passkey(1, 8).id).await?, false)?;
    same("ann's", tx.admin_passkey_remove(&id(1), &passkey(1, 8).id).await?, true)?;
    same("gone", tx.admin_passkey(&[8; 40]).await?, None)
}

/// A credential belongs to one account.
pub async fn a_passkey_is_known_once(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    tx.admin_passkey_add(&passkey(1, 7)).await?;
    let again = AdminPasskey { id: PasskeyId::from_bytes([9; 16]), admin: id(2), ..passkey(1, 7) };
    same("known", tx.admin_passkey_add(&again).await?, false)?;
    tx.commit().await?;
    let mut tx = write(subject).await?;
    conflicts("of nobody", tx.admin_passkey_add(&passkey(3, 8)).await)
}

/// A recovery starts from nothing, and only for that account.
pub async fn clearing_factors_leaves_the_account(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    for number in [1, 2] {
        tx.admin_passkey_add(&passkey(number, number)).await?;
        tx.admin_password_set(&id(number), &password(1)).await?;
        tx.admin_recovery_codes_set(&id(number), &[digest(number)]).await?;
    }
    tx.admin_factors_clear(&id(1)).await?;
    tx.commit().await?;
    let mut tx = read(subject).await?;
    same("ann", tx.admin(&id(1)).await?, Some(admin("ann", 1)?))?;
    same("passkeys", tx.admin_passkeys(&id(1)).await?, Vec::new())?;
    same("codes", tx.admin_recovery_codes(&id(1)).await?, 0)?;
    let bob = Admin { password: Some(password(1)), ..admin("bob", 2)? };
    same("bob", tx.admin(&id(2)).await?, Some(bob))?;
    same("bob's passkeys", tx.admin_passkeys(&id(2)).await?.len(), 1)?;
    same("bob's codes", tx.admin_recovery_codes(&id(2)).await?, 1)
}

/// A code that somebody saw is worth nothing, nor is one from before it.
pub async fn a_totp_step_is_used_once(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    same("no password", tx.admin_totp_take(&id(1), 5, 5).await?, false)?;
    tx.admin_password_set(&id(1), &password(0)).await?;
    tx.admin_password_set(&id(2), &password(0)).await?;
    same("the first", tx.admin_totp_take(&id(1), 5, 5).await?, true)?;
    tx.commit().await?;
    let mut tx = write(subject).await?;
    same("again", tx.admin_totp_take(&id(1), 5, 5).await?, false)?;
    same("again, one later", tx.admin_totp_take(&id(1), 5, 6).await?, false)?;
    same("the one before", tx.admin_totp_take(&id(1), 4, 5).await?, false)?;
    same("the next", tx.admin_totp_take(&id(1), 6, 5).await?, true)?;
    same("again", tx.admin_totp_take(&id(1), 6, 5).await?, false)?;
    same("bob's own", tx.admin_totp_take(&id(2), 5, 5).await?, true)
}

/// A last step that can't have been yet was noted by a clock that went ahead.
pub async fn a_clock_set_back_does_not_lock_totp_out(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    tx.admin_password_set(&id(1), &password(1_000)).await?;
    same("set back", tx.admin_totp_take(&id(1), 500, 500).await?, true)?;
    same("once", tx.admin_totp_take(&id(1), 500, 500).await?, false)?;
    same("onwards", tx.admin_totp_take(&id(1), 501, 501).await?, true)
}

/// Each code once; new ones void those that are left.
pub async fn a_recovery_code_works_once(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    tx.admin_recovery_codes_set(&id(1), &[digest(1), digest(2), digest(3)]).await?;
    tx.admin_recovery_codes_set(&id(2), &[digest(4)]).await?;
    tx.commit().await?;
    let mut tx = write(subject).await?;
    same("taken", tx.admin_recovery_code_take(&id(1), &digest(2)).await?, true)?;
    same("twice", tx.admin_recovery_code_take(&id(1), &digest(2)).await?, false)?;
    same("bob's", tx.admin_recovery_code_take(&id(1), &digest(4)).await?, false)?;
    same("left", tx.admin_recovery_codes(&id(1)).await?, 2)?;
    tx.admin_recovery_codes_set(&id(1), &[digest(5)]).await?;
    same("replaced", tx.admin_recovery_code_take(&id(1), &digest(1)).await?, false)?;
    same("left", tx.admin_recovery_codes(&id(1)).await?, 1)?;
    tx.commit().await?;
    let mut tx = write(subject).await?;
    conflicts("of nobody", tx.admin_recovery_codes_set(&id(3), &[digest(6)]).await)
}

/// A link comes back with all its fields, once.
pub async fn a_link_works_once(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let (first, added) = (link(None, at(1)), link(Some(id(1)), at(1)));
    let mut tx = write(subject).await?;
    tx.admin_link_store(&first, &digest(1)).await?;
    tx.admin_link_store(&added, &digest(2)).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    same("looked at", tx.admin_link(&digest(1)).await?.as_ref(), Some(&first))?;
    for (token, link) in [(1, first), (2, added)] {
        same("taken", tx.admin_link_take(&digest(token), at(2)).await?, Some(link))?;
        same("twice", tx.admin_link_take(&digest(token), at(2)).await?, None)?;
        same("gone", tx.admin_link(&digest(token)).await?, None)?;
    }
    same("unknown", tx.admin_link_take(&digest(9), at(2)).await?, None)
}

/// Before its time (the clock was set back) and after it a link opens nothing.
pub async fn an_old_link_is_void(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    tx.admin_link_store(&link(None, at(5)), &digest(1)).await?;
    for late in [at(15), at(16), at(4)] {
        same("void", tx.admin_link_take(&digest(1), late).await?, None)?;
    }
    same("in time", tx.admin_link_take(&digest(1), at(14)).await?, Some(link(None, at(5))))
}

/// One link for each account, and one for the first admin.
pub async fn a_new_link_voids_the_one_before(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    for (token, admin) in [(1, None), (2, Some(id(1))), (3, Some(id(2)))] {
        tx.admin_link_store(&link(admin, at(1)), &digest(token)).await?;
    }
    tx.admin_link_store(&link(None, at(2)), &digest(4)).await?;
    tx.admin_link_store(&link(Some(id(1)), at(2)), &digest(5)).await?;
    for (token, there) in [(1, false), (2, false), (3, true), (4, true), (5, true)] {
        same("a link", tx.admin_link(&digest(token)).await?.is_some(), there)?;
    }
    tx.admin_link_void(Some(&id(1))).await?;
    tx.admin_link_void(None).await?;
    for (token, there) in [(3, true), (4, false), (5, false)] {
        same("a link", tx.admin_link(&digest(token)).await?.is_some(), there)?;
    }
    tx.commit().await?;
    let mut tx = write(subject).await?;
    conflicts("of nobody", tx.admin_link_store(&link(Some(id(3)), at(1)), &digest(6)).await)
}

/// All fields come back until it was idle too long, is too old, or lies in the future.
pub async fn a_session_reads_back_while_it_lives(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let opened = session(1, 1, 10);
    let mut tx = write(subject).await?;
    tx.console_session_open(&opened, &digest(1)).await?;
    tx.commit().await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    same("read", tx.console_session(&digest(1), &life(at(20))).await?, Some(opened.clone()))?;
    same("idle", tx.console_session(&digest(1), &life(at(21))).await?, None)?;
    same("the future", tx.console_session(&digest(1), &life(at(9))).await?, None)?;
    same("unknown", tx.console_session(&digest(2), &life(at(10))).await?, None)?;
    tx.console_session_seen(&opened.id, at(109)).await?;
    let seen = ConsoleSession { seen_at: at(109), ..opened };
    same("used", tx.console_session(&digest(1), &life(at(110))).await?, Some(seen))?;
    same("set back", tx.console_session(&digest(1), &life(at(108))).await?, None)?;
    same("too old", tx.console_session(&digest(1), &life(at(111))).await?, None)
}

/// One, all of an account, or all but one.
pub async fn sessions_end_singly_and_together(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    for (admin, number) in [(1, 1), (1, 2), (1, 3), (2, 4)] {
        tx.console_session_open(&session(admin, number, u64::from(number)), &digest(number)).await?;
    }
    let now = life(at(5));
    let ids = |found: Vec<ConsoleSession>| found.iter().map(|s| s.id.as_bytes()[0]).collect::<Vec<_>>();
    same("the newest first", ids(tx.console_sessions(None, &now).await?), vec![4, 3, 2, 1])?;
    same("ended", tx.console_session_end(&session(1, 1, 1).id).await?, true)?;
    same("twice", tx.console_session_end(&session(1, 1, 1).id).await?, false)?;
    same("the others", tx.console_sessions_end(&id(1), Some(&session(1, 3, 3).id)).await?, 1)?;
    same("ann's", ids(tx.console_sessions(Some(&id(1)), &now).await?), vec![3])?;
    same("all", tx.console_sessions_end(&id(1), None).await?, 1)?;
    same("bob's", ids(tx.console_sessions(None, &now).await?), vec![4])?;
    tx.commit().await?;
    let mut tx = write(subject).await?;
    conflicts("of nobody", tx.console_session_open(&session(3, 9, 1), &digest(9)).await)
}

/// What can't be used any more goes.
pub async fn what_is_over_is_forgotten(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    tx.console_session_open(&session(1, 1, 1), &digest(1)).await?;
    tx.console_session_open(&session(1, 2, 20), &digest(2)).await?;
    tx.admin_link_store(&link(None, at(1)), &digest(3)).await?;
    tx.admin_link_store(&link(Some(id(1)), at(15)), &digest(4)).await?;
    same("forgotten", tx.console_expire(&life(at(20))).await?, 2)?;
    same("the live one", tx.console_sessions(None, &life(at(20))).await?, vec![session(1, 2, 20)])?;
    same("the old link", tx.admin_link(&digest(3)).await?, None)?;
    same("the new link", tx.admin_link(&digest(4)).await?.is_some(), true)
}

/// The list counts what each has.
pub async fn admins_are_listed_with_what_they_have(subject: &mut dyn Subject) -> Outcome {
    two(subject).await?;
    let mut tx = write(subject).await?;
    tx.admin_passkey_add(&passkey(2, 7)).await?;
    tx.admin_passkey_add(&passkey(2, 8)).await?;
    tx.admin_recovery_codes_set(&id(2), &[digest(1), digest(2), digest(3)]).await?;
    tx.console_session_open(&session(2, 1, 1), &digest(1)).await?;
    tx.console_session_open(&session(2, 2, 11), &digest(2)).await?;
    let lines = tx.admins(&life(at(12))).await?;
    let facts: Vec<_> = lines
        .iter()
        .map(|line| {
            let counts = (line.passkeys, line.recovery_codes, line.sessions);
            (line.admin.name.as_str(), counts, line.is_enrolled())
        })
        .collect();
    same("lines", facts, vec![("ann", (0, 0, 0), false), ("bob", (2, 3, 1), true)])?;
    tx.admin_password_set(&id(1), &password(1)).await?;
    let lines = tx.admins(&life(at(12))).await?;
    same("a password is a factor", lines.iter().all(crate::AdminLine::is_enrolled), true)?;
    same("the account", lines.first().map(|line| line.admin.password.clone()), Some(Some(password(1))))
}
