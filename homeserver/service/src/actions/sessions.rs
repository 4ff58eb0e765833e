//! `session.*`: sessions of users' devices.

use qpq_core::{Address, SessionId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, Actions, Argument, Call};
use crate::{Answered, SessionView, sessions};

pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        "session.list",
        "Lists the sessions of an account, or of all, newest first.",
        &[Argument::optional("address", "only this account's: user@domain").positional()],
        |actions, call| Box::pin(list(actions, call)),
    )
    .at("/sessions"),
    Action::new(
        "session.revoke",
        "Ends a session at once; its device must log in again.",
        &[Argument::required("id", "the session's id: ses_…")],
        |actions, call| Box::pin(revoke(actions, call)),
    )
    .audited("revoked a session")
    .at("/sessions/revoke"),
    Action::new(
        "session.revoke-all",
        "Ends all sessions of an account at once; its devices must log in again.",
        &[Argument::required("address", "the account: user@domain")],
        |actions, call| Box::pin(revoke_all(actions, call)),
    )
    .audited("revoked all sessions of an account")
    .at("/sessions/revoke-all"),
];

#[derive(Deserialize)]
struct List {
    address: Option<Address>,
}

async fn list(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let List { address } = call.arguments()?;
    let lines: Vec<Value> = actions.sessions.list(address.as_ref()).await?.iter().map(line).collect();
    Ok(json!({ "sessions": lines }))
}

fn line(view: &SessionView) -> Value {
    json!({
        "id": view.session.id,
        "address": view.device.user,
        "device": view.device.device,
        "opened": view.session.opened_at,
        "resumed": view.session.resumed_at,
        "resumable_until": view.session.resumable_until,
        "live": view.live,
    })
}

#[derive(Deserialize)]
struct Revoke {
    id: SessionId,
}

async fn revoke(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Revoke { id } = call.arguments()?;
    let done = actions.audited(&call, id, actions.sessions.revocation(id), |done| *done).await?;
    if done { Ok(json!({ "revoked": id })) } else { Err(sessions::unknown(&id)) }
}

#[derive(Deserialize)]
struct Everywhere {
    address: Address,
}

async fn revoke_all(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Everywhere { address } = call.arguments()?;
    let job = actions.sessions.revocation_of_all(&address).await?;
    let revoked = actions.audited(&call, &address, job, |revoked| *revoked > 0).await?;
    Ok(json!({ "address": address, "revoked": revoked }))
}
