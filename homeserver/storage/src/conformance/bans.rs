//! Bans, and the lists that show them.

use qpq_core::{Localpart, MessageId};

use super::{
    Failure, Outcome, Subject,
    fixtures::{account, at, device, digest, elsewhere, enrol, here},
    peers::peer,
    read, same, write,
};
use crate::{
    Ban, BanKind, BanSubject, BansQuery, NewOutboxRow, PeerFilter, PeerState, PeersQuery, ReadTx, Session,
    UserFilter, UserSort, UsersQuery, Window,
};

const ALL: Window = Window { offset: 0, limit: 50 };

fn user(address: &str) -> Result<BanSubject, Failure> {
    Ok(BanSubject::User(address.parse()?))
}

fn ban(subject: BanSubject, since: u64, until: Option<u64>) -> Ban {
    Ban {
        subject,
        reason: "<b>spam</b>, \"again\"".to_owned(),
        by: "admin:ann".to_owned(),
        since: at(since),
        until: until.map(at),
    }
}

async fn stored(subject: &dyn Subject, bans: &[&Ban]) -> Outcome {
    let mut tx = write(subject).await?;
    for ban in bans {
        tx.ban_store(ban).await?;
    }
    Ok(tx.commit().await?)
}

/// All fields come back, of users and of domains; lifting says whether there was something to lift.
pub async fn a_ban_reads_back(subject: &mut dyn Subject) -> Outcome {
    let bob = ban(user("bob@beta.test")?, 1, Some(9));
    let gamma = ban(BanSubject::Domain("gamma.test".parse()?), 2, None);
    stored(subject, &[&bob, &gamma]).await?;
    subject.reopen().await?;
    let mut tx = write(subject).await?;
    for ban in [&bob, &gamma] {
        same("one", tx.ban(&ban.subject).await?.as_ref(), Some(ban))?;
    }
    same("nobody", tx.ban(&user("ann@beta.test")?).await?, None)?;
    same("lifted", tx.ban_lift(&bob.subject).await?, true)?;
    same("lifted twice", tx.ban_lift(&bob.subject).await?, false)?;
    same("gone", tx.ban(&bob.subject).await?, None)
}

/// A second ban of the same subject replaces the first.
pub async fn a_ban_takes_the_place_of_another(subject: &mut dyn Subject) -> Outcome {
    let first = ban(user("bob@beta.test")?, 1, Some(9));
    let second = Ban { reason: "worse".to_owned(), until: None, since: at(3), ..first.clone() };
    stored(subject, &[&first, &second]).await?;
    let mut tx = read(subject).await?;
    same("one", tx.ban(&first.subject).await?.as_ref(), Some(&second))?;
    same("all", bans(tx.as_mut(), "", None, ALL).await?, (vec![second], 1))
}

async fn bans(
    tx: &mut dyn ReadTx,
    search: &str,
    kind: Option<BanKind>,
    window: Window,
) -> Result<(Vec<Ban>, u64), Failure> {
    let page = tx.bans(&BansQuery { search, kind, window }).await?;
    Ok((page.rows, page.total))
}

/// Newest first, by text and kind, a page at a time.
pub async fn bans_are_listed_and_searched(subject: &mut dyn Subject) -> Outcome {
    let ann = ban(user("ann@alpha.test")?, 1, None);
    let bob = ban(user("bob@beta.test")?, 2, Some(5));
    let beta = ban(BanSubject::Domain(elsewhere()?), 3, None);
    stored(subject, &[&ann, &bob, &beta]).await?;
    let mut tx = read(subject).await?;
    let tx = tx.as_mut();
    let all = vec![beta.clone(), bob.clone(), ann];
    same("all", bans(tx, "", None, ALL).await?, (all, 3))?;
    same("searched", bans(tx, "beta", None, ALL).await?, (vec![beta.clone(), bob.clone()], 2))?;
    same("users", bans(tx, "beta", Some(BanKind::User), ALL).await?, (vec![bob.clone()], 1))?;
    same("domains", bans(tx, "", Some(BanKind::Domain), ALL).await?, (vec![beta], 1))?;
    let second = Window { offset: 1, limit: 1 };
    same("a page", bans(tx, "", None, second).await?, (vec![bob], 3))?;
    same("no pattern", bans(tx, "b%b", None, ALL).await?, (vec![], 0))
}

/// What is over is found, the earliest first, and so is the next end.
pub async fn bans_end_in_order(subject: &mut dyn Subject) -> Outcome {
    let ann = ban(user("ann@alpha.test")?, 1, Some(20));
    let bob = ban(user("bob@beta.test")?, 2, Some(10));
    let beta = ban(BanSubject::Domain(elsewhere()?), 3, None);
    stored(subject, &[&ann, &bob, &beta]).await?;
    let mut tx = write(subject).await?;
    same("next", tx.next_ban_end().await?, Some(at(10)))?;
    same("none yet", tx.bans_due(at(9), 9).await?, vec![])?;
    same("one", tx.bans_due(at(10), 9).await?, vec![bob.clone()])?;
    same("limited", tx.bans_due(at(30), 1).await?, vec![bob.clone()])?;
    same("both", tx.bans_due(at(30), 9).await?, vec![bob.clone(), ann.clone()])?;
    tx.ban_lift(&bob.subject).await?;
    tx.ban_lift(&ann.subject).await?;
    same("only what has no end", tx.next_ban_end().await?, None)
}

/// Three users: ann was made first and seen last.
async fn people(subject: &dyn Subject) -> Outcome {
    for (name, number) in [("ann", 1), ("bob", 2), ("cat", 3)] {
        enrol(subject, name, number).await?;
    }
    let mut tx = write(subject).await?;
    let session = Session {
        id: qpq_core::SessionId::from_bytes([1; 16]),
        account: account("ann", 1)?.id,
        device: device("ann", 1, 1)?.certificate.device.device,
        opened_at: at(50),
        resumed_at: at(50),
        resumable_until: at(90),
    };
    tx.session_open(&session, &digest(1)).await?;
    same("by its token", tx.session_of_token(&digest(1)).await?, Some(session.clone()))?;
    same("used up by nothing", tx.session_of_token(&digest(1)).await?, Some(session))?;
    same("by another", tx.session_of_token(&digest(2)).await?, None)?;
    Ok(tx.commit().await?)
}

async fn names(
    tx: &mut dyn ReadTx,
    search: &str,
    filter: UserFilter,
    sort: UserSort,
    window: Window,
) -> Result<(Vec<String>, u64), Failure> {
    let domain = here()?;
    let query = UsersQuery { domain: &domain, search, filter, sort, now: at(60), window };
    let page = tx.users(&query).await?;
    let name = |localpart: &Localpart| localpart.to_string();
    Ok((page.rows.iter().map(|line| name(&line.localpart)).collect(), page.total))
}

/// Pages in three orders, and by any part of the address.
pub async fn users_are_paged_sorted_and_searched(subject: &mut dyn Subject) -> Outcome {
    people(subject).await?;
    let mut tx = read(subject).await?;
    let tx = tx.as_mut();
    let of = |names: &[&str], total| (names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>(), total);
    let all = UserFilter::All;
    same("by name", names(tx, "", all, UserSort::Name, ALL).await?, of(&["ann", "bob", "cat"], 3))?;
    same("newest", names(tx, "", all, UserSort::Created, ALL).await?, of(&["cat", "bob", "ann"], 3))?;
    same("seen", names(tx, "", all, UserSort::Seen, ALL).await?, of(&["ann", "cat", "bob"], 3))?;
    let last = Window { offset: 2, limit: 2 };
    same("a page", names(tx, "", all, UserSort::Name, last).await?, of(&["cat"], 3))?;
    same("searched", names(tx, "a", all, UserSort::Name, ALL).await?, of(&["ann", "bob", "cat"], 3))?;
    same("by name", names(tx, "at@", all, UserSort::Name, ALL).await?, of(&["cat"], 1))?;
    same("no pattern", names(tx, "_", all, UserSort::Name, ALL).await?, of(&[], 0))?;
    let domain = here()?;
    let query = UsersQuery {
        domain: &domain,
        search: "ann@alpha",
        filter: all,
        sort: UserSort::Name,
        now: at(60),
        window: ALL,
    };
    let line = tx.users(&query).await?.rows.into_iter().next();
    let facts = line.map(|line| (line.id, line.created_at, line.last_seen_at, line.devices));
    same("the line", facts, Some((account("ann", 1)?.id, at(1), at(50), 1)))
}

/// Only a ban that counts now makes a user a banned one; bans of others with that name don't.
pub async fn banned_users_are_told_apart(subject: &mut dyn Subject) -> Outcome {
    people(subject).await?;
    let ann = ban(user("ann@alpha.test")?, 1, Some(61));
    let bob = ban(user("bob@alpha.test")?, 1, Some(60));
    let cat = ban(user("cat@beta.test")?, 1, None);
    stored(subject, &[&ann, &bob, &cat]).await?;
    let mut tx = read(subject).await?;
    let tx = tx.as_mut();
    let banned = names(tx, "", UserFilter::Banned, UserSort::Name, ALL).await?;
    same("banned", banned, (vec!["ann".to_owned()], 1))?;
    let active = names(tx, "", UserFilter::Active, UserSort::Name, ALL).await?;
    same("active", active, (vec!["bob".to_owned(), "cat".to_owned()], 2))?;
    let domain = here()?;
    let query = UsersQuery {
        domain: &domain,
        search: "ann",
        filter: UserFilter::All,
        sort: UserSort::Name,
        now: at(60),
        window: ALL,
    };
    same("the ban", tx.users(&query).await?.rows.into_iter().next().and_then(|line| line.ban), Some(ann))
}

/// A peer stands in one place; what waits for it is counted beside it.
pub async fn peers_are_listed_by_where_they_stand(subject: &mut dyn Subject) -> Outcome {
    let mut tx = write(subject).await?;
    let refused = Some("policy".to_owned());
    tx.peer_store(&peer("a.test", 1)?).await?;
    tx.peer_store(&peer("b.test", 2)?).await?;
    tx.peer_store(&crate::Peer { refused: refused.clone(), ..peer("c.test", 3)? }).await?;
    tx.peer_store(&crate::Peer { state: PeerState::AwaitingConfirmation, refused, ..peer("d.test", 4)? })
        .await?;
    tx.peer_store(&crate::Peer { state: PeerState::AwaitingConfirmation, ..peer("e.test", 5)? }).await?;
    tx.peer_store(&peer("f.test", 6)?).await?;
    // That it is refused is shown before that it is paused.
    for paused in ["c.test", "f.test"] {
        tx.pause_set(&paused.parse()?, &crate::Pause { reason: "moving".to_owned(), at: at(7) }).await?;
    }
    let blocked = ban(BanSubject::Domain("e.test".parse()?), 1, Some(61));
    tx.ban_store(&blocked).await?;
    tx.ban_store(&ban(BanSubject::Domain("a.test".parse()?), 1, Some(60))).await?;
    let row = |number: u8| -> Result<NewOutboxRow, Failure> {
        Ok(NewOutboxRow {
            destination: "b.test".parse()?,
            stream: [number % 2; 16],
            id: MessageId::from_bytes([number; 16]),
            kind: 1,
            expires_at: None,
            payload: vec![number; 10],
            at: at(u64::from(number)),
            request: None,
        })
    };
    tx.vault_create(&super::outbox::vault(1)?).await?;
    tx.outbox_append(&[row(1)?, row(2)?, row(3)?]).await?;
    tx.outbox_acknowledge(
        &"b.test".parse()?,
        &super::outbox::lane(1, [1; 16])?,
        qpq_core::Seq(1),
        None,
        at(9),
    )
    .await?;
    tx.commit().await?;
    let mut tx = read(subject).await?;
    let tx = tx.as_mut();
    let some = ["b.test".parse()?, "c.test".parse()?];
    let cases: [(&'static str, PeerFilter<'_>, &[&str]); 7] = [
        ("all", PeerFilter::All, &["a.test", "b.test", "c.test", "d.test", "e.test", "f.test"]),
        ("blocked", PeerFilter::Blocked, &["e.test"]),
        ("awaiting", PeerFilter::AwaitingConfirmation, &["d.test"]),
        ("refused", PeerFilter::Refused, &["c.test"]),
        ("paused", PeerFilter::Paused, &["f.test"]),
        ("these", PeerFilter::Among(&some), &["b.test"]),
        ("the others", PeerFilter::Besides(&some), &["a.test"]),
    ];
    for (what, filter, expected) in cases {
        let page = tx.peers_page(&PeersQuery { search: "", filter, now: at(60), window: ALL }).await?;
        let found: Vec<&str> = page.rows.iter().map(|line| line.peer.domain.as_str()).collect();
        same(what, found.as_slice(), expected)?;
        same("in all", page.total, u64::try_from(expected.len()).unwrap_or(u64::MAX))?;
    }
    let window = Window { offset: 1, limit: 1 };
    let query = PeersQuery { search: ".test", filter: PeerFilter::All, now: at(60), window };
    let page = tx.peers_page(&query).await?;
    same("the whole", page.total, 6)?;
    let line = page.rows.into_iter().next();
    let waits = line.map(|line| (line.peer.domain.to_string(), line.waiting.rows, line.oldest_at, line.ban));
    same("what waits", waits, Some(("b.test".to_owned(), 2, Some(at(2)), None)))?;
    let query = PeersQuery { search: "e.te", filter: PeerFilter::All, now: at(60), window: ALL };
    let line = tx.peers_page(&query).await?.rows.into_iter().next();
    same("the block", line.and_then(|line| line.ban), Some(blocked))
}
