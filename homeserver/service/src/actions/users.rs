//! `user.*`: accounts. Bans have a file of their own.

use qpq_core::Address;
use qpq_storage::{Ban, Session, UserFilter, UserLine, UserSort};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Action, Actions, Argument, Call, Kind,
    pages::{self, PAGE, SEARCH},
};
use crate::{Answered, DeviceView, Effect, accounts};

const ADDRESS: Argument = Argument::required("address", "the account: user@domain");

pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        "user.list",
        "Lists the accounts.",
        &[
            SEARCH,
            Argument::optional("state", "only those that are banned, or are not")
                .of(Kind::Choice(&["all", "active", "banned"])),
            Argument::optional("sort", "by name, or the newest or last seen first")
                .of(Kind::Choice(&["name", "created", "seen"])),
            PAGE,
        ],
        |actions, call| Box::pin(list(actions, call)),
    )
    .at("/users"),
    Action::new(
        "user.show",
        "Shows an account with its identity key, devices and sessions.",
        &[ADDRESS],
        |actions, call| Box::pin(show(actions, call)),
    )
    .at("/users/show"),
    Action::new(
        "user.preview",
        "Says what banning or deleting a user would do.",
        &[
            ADDRESS,
            Argument::required("effect", "what is thought of")
                .of(Kind::Choice(&["ban", "delete"]))
                .with_flag(),
        ],
        |actions, call| Box::pin(preview(actions, call)),
    )
    .at("/users/preview"),
    Action::new(
        "user.delete",
        "Deletes an account with its devices, sessions and waiting messages.",
        &[ADDRESS, Argument::optional("reason", "why, for the audit log")],
        |actions, call| Box::pin(delete(actions, call)),
    )
    .audited("deleted an account")
    .typed("address")
    .for_owners()
    .at("/users/delete"),
];

#[derive(Deserialize)]
struct List {
    search: Option<String>,
    state: Option<State>,
    sort: Option<Sort>,
    page: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    All,
    Active,
    Banned,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sort {
    Name,
    Created,
    Seen,
}

async fn list(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let List { search, state, sort, page } = call.arguments()?;
    let filter = match state {
        Some(State::Active) => UserFilter::Active,
        Some(State::Banned) => UserFilter::Banned,
        Some(State::All) | None => UserFilter::All,
    };
    let sort = match sort {
        Some(Sort::Created) => UserSort::Created,
        Some(Sort::Seen) => UserSort::Seen,
        Some(Sort::Name) | None => UserSort::Name,
    };
    let window = pages::window(page)?;
    let found = actions.accounts.list(&search.unwrap_or_default(), filter, sort, window).await?;
    let domain = actions.ground.domain();
    Ok(pages::answer("users", page, &found, |line: &UserLine| {
        json!({
            "address": Address::new(line.localpart.clone(), domain.clone()),
            "account": line.id,
            "created": line.created_at,
            "last_seen": line.last_seen_at,
            "devices": line.devices,
            "banned": banned(line.ban.as_ref()),
        })
    }))
}

fn banned(ban: Option<&Ban>) -> Option<Value> {
    ban.map(|ban| json!({ "reason": ban.reason, "until": ban.until }))
}

#[derive(Deserialize)]
struct Target {
    address: Address,
}

async fn show(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Target { address } = call.arguments()?;
    let view = actions.accounts.show(&address).await?;
    let devices = actions.devices.list(Some(&address)).await?;
    let sessions = actions.sessions.list(Some(&address)).await?;
    let ban = actions.bans.of(&address).await?;
    let last_seen = devices.iter().map(|device| device.device.last_seen_at).max();
    let devices: Vec<Value> = devices.iter().map(device).collect();
    let sessions: Vec<Value> = sessions.iter().map(|view| session(&view.session, view.live)).collect();
    Ok(json!({
        "address": view.keys.address,
        "account": view.id,
        "identity_key": view.keys.identity_key,
        "created": view.created_at,
        "last_seen": last_seen,
        "banned": banned(ban.as_ref()),
        "devices": devices,
        "sessions": sessions,
    }))
}

fn device(view: &DeviceView) -> Value {
    let certificate = &view.device.certificate;
    json!({
        "id": certificate.device.device,
        "signature_key": certificate.signature_key,
        "certified": certificate.certified_at,
        "enrolled": view.device.enrolled_at,
        "last_seen": view.device.last_seen_at,
        "key_packages": view.key_packages,
        "revoked": view.device.revoked_at,
    })
}

fn session(session: &Session, live: bool) -> Value {
    json!({
        "id": session.id,
        "device": session.device,
        "opened": session.opened_at,
        "resumed": session.resumed_at,
        "resumable_until": session.resumable_until,
        "live": live,
    })
}

#[derive(Deserialize)]
struct Previewed {
    address: Address,
    effect: Thought,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Thought {
    Ban,
    Delete,
}

async fn preview(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Previewed { address, effect } = call.arguments()?;
    let (effect, name) = match effect {
        Thought::Ban => (Effect::Ban, "ban"),
        Thought::Delete => (Effect::Delete, "delete"),
    };
    let preview = actions.bans.preview(&address, effect).await?;
    Ok(json!({
        "address": address,
        "effect": name,
        "sessions": preview.sessions,
        "live_sessions": preview.live_sessions,
        "devices": preview.devices,
        "groups": preview.groups,
        "waiting_messages": preview.waiting_messages,
        "key_packages": preview.key_packages,
        "text": preview.text,
    }))
}

async fn delete(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Target { address } = call.arguments()?;
    let job = actions.accounts.deletion(address.clone()).await?;
    let done = actions.audited(&call, &address, job, |done| *done).await?;
    if done { Ok(json!({ "deleted": address })) } else { Err(accounts::unknown(&address)) }
}
