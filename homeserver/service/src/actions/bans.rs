//! `user.ban`, `user.unban`, `ban.list`, `peer.block`, `peer.unblock`: who is kept out. The use cases write the audit
//! rows, one for each subject.

use qpq_core::{Address, Domain, Millis};
use qpq_storage::{Ban, BanKind, BanSubject};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Action, Actions, Argument, Call, Kind,
    pages::{self, PAGE, SEARCH},
};
use crate::{Answered, BanTerms, Banned};

const ADDRESSES: Argument =
    Argument::required("addresses", "the users, of this domain or another: user@domain, up to 100")
        .of(Kind::Texts);
const DOMAIN: Argument = Argument::required("domain", "the other domain");
const REASON: Argument =
    Argument::required("reason", "why; who is kept out reads it: one line of up to 500 characters")
        .with_flag();
const EXPIRES: Argument =
    Argument::optional("expires_ms", "how long it lasts; without end if left out").of(Kind::Span);
const WHY: Argument = Argument::optional("reason", "why, for the audit log");

pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        "user.ban",
        "Bans users: live sessions end, logins and what they send are refused with the reason.",
        &[ADDRESSES, REASON, EXPIRES],
        |actions, call| Box::pin(ban(actions, call)),
    )
    .audited("banned a user")
    .at("/users/ban"),
    Action::new(
        "user.unban",
        "Lifts the bans of users; their sessions can be resumed again.",
        &[ADDRESSES, WHY],
        |actions, call| Box::pin(unban(actions, call)),
    )
    .audited("lifted a user's ban")
    .at("/users/unban"),
    Action::new(
        "ban.list",
        "Lists who is banned and which domains are blocked, newest first.",
        &[
            SEARCH,
            Argument::optional("kind", "only users, or only domains").of(Kind::Choice(&["user", "domain"])),
            PAGE,
        ],
        |actions, call| Box::pin(list(actions, call)),
    )
    .at("/bans"),
    Action::new(
        "peer.block",
        "Blocks a domain, be it a peer or not: links end at once, nothing is sent or accepted, nothing is lost.",
        &[DOMAIN, REASON, EXPIRES],
        |actions, call| Box::pin(block(actions, call)),
    )
    .audited("blocked a domain")
    .at("/federation/block"),
    Action::new(
        "peer.unblock",
        "Lifts a domain's block; what waited flows again.",
        &[DOMAIN, WHY],
        |actions, call| Box::pin(unblock(actions, call)),
    )
    .audited("lifted a domain's block")
    .at("/federation/unblock"),
];

#[derive(Deserialize)]
struct BanUsers {
    addresses: Vec<Address>,
    reason: String,
    expires_ms: Option<u64>,
}

async fn ban(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let BanUsers { addresses, reason, expires_ms } = call.arguments()?;
    let terms = BanTerms::new(&reason, expires_ms.map(Millis))?;
    let banned = actions.bans.ban(&addresses, &terms, call.caller).await?;
    let line = |banned: &Banned| {
        json!({
            "address": banned.subject.to_string(),
            "until": banned.until,
            "sessions_ended": banned.sessions_ended,
        })
    };
    Ok(json!({ "banned": banned.iter().map(line).collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
struct UnbanUsers {
    addresses: Vec<Address>,
    reason: Option<String>,
}

async fn unban(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let UnbanUsers { addresses, reason } = call.arguments()?;
    actions.bans.unban(&addresses, &reason.unwrap_or_default(), call.caller).await?;
    Ok(json!({ "unbanned": addresses }))
}

#[derive(Deserialize)]
struct List {
    search: Option<String>,
    kind: Option<Kept>,
    page: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kept {
    User,
    Domain,
}

async fn list(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let List { search, kind, page } = call.arguments()?;
    let kind = kind.map(|kind| match kind {
        Kept::User => BanKind::User,
        Kept::Domain => BanKind::Domain,
    });
    let found = actions.bans.list(&search.unwrap_or_default(), kind, pages::window(page)?).await?;
    let us = actions.ground.domain();
    Ok(pages::answer("bans", page, &found, |ban| line(ban, us)))
}

fn line(ban: &Ban, us: &Domain) -> Value {
    let (kind, local) = match &ban.subject {
        BanSubject::User(address) => ("user", address.domain() == us),
        BanSubject::Domain(_) => ("domain", false),
    };
    json!({
        "subject": ban.subject.to_string(),
        "kind": kind,
        "local": local,
        "reason": ban.reason,
        "by": ban.by,
        "since": ban.since,
        "until": ban.until,
    })
}

#[derive(Deserialize)]
struct Block {
    domain: Domain,
    reason: String,
    expires_ms: Option<u64>,
}

async fn block(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Block { domain, reason, expires_ms } = call.arguments()?;
    let terms = BanTerms::new(&reason, expires_ms.map(Millis))?;
    let blocked = actions.bans.block(&domain, &terms, call.caller).await?;
    Ok(json!({ "blocked": domain, "until": blocked.until }))
}

#[derive(Deserialize)]
struct Unblock {
    domain: Domain,
    reason: Option<String>,
}

async fn unblock(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Unblock { domain, reason } = call.arguments()?;
    actions.bans.unblock(&domain, &reason.unwrap_or_default(), call.caller).await?;
    Ok(json!({ "unblocked": domain }))
}
