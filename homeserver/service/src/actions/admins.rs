//! `admin.*`: accounts of the console, and where they are signed in.

use qpq_core::{ConsoleSessionId, ErrorCode};
use qpq_storage::{AdminLine, AdminName, AdminRole, ConsoleSession};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, Actions, Argument, Call, Kind};
use crate::{Answered, Refusal, admins::EndSession};

const NAME: Argument = Argument::required("name", "the admin's name");
const ROLE: Argument =
    Argument::required("role", "what the admin may do").of(Kind::Choice(&["auditor", "operator", "owner"]));

pub(super) const ACTIONS: &[Action] = &[
    Action::new("admin.list", "Lists the admins with what they sign in with.", &[], |actions, call| {
        Box::pin(list(actions, call))
    })
    .at("/admins"),
    Action::new(
        "admin.add",
        "Adds an admin, and shows the one-time link by which they choose how to sign in.",
        &[Argument::required("name", "their name: a-z, 0-9, dots, dashes, underscores"), ROLE],
        |actions, call| Box::pin(add(actions, call)),
    )
    .audited("added an admin")
    .for_owners()
    .at("/admins/add"),
    Action::new(
        "admin.remove",
        "Removes an admin with sessions and all; never the last owner.",
        &[NAME],
        |actions, call| Box::pin(remove(actions, call)),
    )
    .audited("removed an admin")
    .for_owners()
    .typed("name")
    .at("/admins/remove"),
    Action::new(
        "admin.role",
        "Gives an admin another role; an owner stays.",
        &[NAME, ROLE],
        |actions, call| Box::pin(role(actions, call)),
    )
    .audited("gave an admin another role")
    .for_owners()
    .at("/admins/role"),
    Action::new(
        "admin.recover",
        "Ends an admin's sessions and shows a one-time link by which they choose anew how to sign in.",
        &[NAME],
        |actions, call| Box::pin(recover(actions, call)),
    )
    .audited("gave an admin a recovery link")
    .for_owners()
    .at("/admins/recover"),
    Action::new(
        "admin.setup-link",
        "Shows a fresh link for the first admin; the one before is void.",
        &[],
        |actions, call| Box::pin(setup_link(actions, call)),
    )
    .audited("made a link for the first admin")
    .for_owners()
    .at("/admins/setup-link"),
    Action::new(
        "admin.session-list",
        "Lists where admins are signed in, newest first.",
        &[Argument::optional("name", "only this admin's").positional()],
        |actions, call| Box::pin(session_list(actions, call)),
    )
    .at("/admins/sessions"),
    Action::new(
        "admin.session-revoke",
        "Signs a browser out at once.",
        &[Argument::required("id", "the session's id: con_…")],
        |actions, call| Box::pin(session_revoke(actions, call)),
    )
    .audited("signed an admin's browser out")
    .for_owners()
    .at("/admins/sessions/revoke"),
];

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct WithRole {
    name: String,
    role: String,
}

/// The name in an argument.
fn parsed(name: &str) -> Answered<AdminName> {
    name.parse().map_err(|error| Refusal::malformed(format!("`name`: {error}")))
}

/// The role in an argument.
fn parsed_role(role: &str) -> Answered<AdminRole> {
    role.parse().map_err(|error| Refusal::malformed(format!("`role`: {error}")))
}

async fn list(actions: &Actions, _call: Call<'_>) -> Answered<Value> {
    let lines: Vec<Value> = actions.admins.list().await?.iter().map(line).collect();
    Ok(json!({ "admins": lines }))
}

fn line(line: &AdminLine) -> Value {
    json!({
        "id": line.admin.id,
        "name": line.admin.name.as_str(),
        "role": line.admin.role.as_str(),
        "created": line.admin.created_at,
        "created_by": line.admin.created_by,
        "passkeys": line.passkeys,
        "password": line.admin.password.is_some(),
        // A password never goes without its second factor.
        "totp": line.admin.password.is_some(),
        "recovery_codes_left": line.recovery_codes,
        "last_sign_in": line.admin.last_sign_in_at,
        "sessions": line.sessions,
    })
}

async fn add(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let WithRole { name, role } = call.arguments()?;
    let (name, role) = (parsed(&name)?, parsed_role(&role)?);
    let (link, job) = actions.admins.addition(&call.caller.actor, name.clone(), role);
    actions.audited(&call, format!("{name} {role}"), job, Result::is_ok).await??;
    Ok(json!({ "name": name.as_str(), "role": role.as_str(), "url": link.url, "expires": link.expires_at }))
}

async fn remove(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Target { name } = call.arguments()?;
    let name = parsed(&name)?;
    let job = actions.admins.removal(&call.caller.actor, name.clone());
    actions.audited(&call, &name, job, Result::is_ok).await??;
    Ok(json!({ "removed": name.as_str() }))
}

async fn role(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let WithRole { name, role } = call.arguments()?;
    let (name, role) = (parsed(&name)?, parsed_role(&role)?);
    let job = actions.admins.new_role(&call.caller.actor, name.clone(), role);
    actions.audited(&call, format!("{name} {role}"), job, Result::is_ok).await??;
    Ok(json!({ "name": name.as_str(), "role": role.as_str() }))
}

async fn recover(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Target { name } = call.arguments()?;
    let name = parsed(&name)?;
    let (link, job) = actions.admins.recovery(&call.caller.actor, name.clone());
    actions.audited(&call, &name, job, Result::is_ok).await??;
    Ok(json!({ "name": name.as_str(), "url": link.url, "expires": link.expires_at }))
}

async fn setup_link(actions: &Actions, call: Call<'_>) -> Answered<Value> {
    let (link, job) = actions.admins.first_link_job();
    actions.audited(&call, "", job, Result::is_ok).await??;
    let answer = json!({ "url": link.url, "expires": link.expires_at });
    actions.admins.first_link_is(Some(link));
    Ok(answer)
}

#[derive(Deserialize)]
struct Sessions {
    name: Option<String>,
}

async fn session_list(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Sessions { name } = call.arguments()?;
    // An empty field of a form asks for all.
    let name = name.filter(|name| !name.trim().is_empty()).map(|name| parsed(&name)).transpose()?;
    let found = actions.admins.sessions(name.as_ref()).await?;
    let lines: Vec<Value> = found.iter().map(|(name, session)| session_line(name, session)).collect();
    Ok(json!({ "sessions": lines }))
}

fn session_line(name: &AdminName, session: &ConsoleSession) -> Value {
    json!({
        "id": session.id,
        "name": name.as_str(),
        "opened": session.opened_at,
        "last_seen": session.seen_at,
        "address": session.address,
        "agent": session.agent,
    })
}

#[derive(Deserialize)]
struct Revoke {
    id: ConsoleSessionId,
}

async fn session_revoke(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Revoke { id } = call.arguments()?;
    if actions.audited(&call, id, EndSession { id }, |done| *done).await? {
        return Ok(json!({ "revoked": id }));
    }
    Err(Refusal::new(ErrorCode::NotFound, format!("there is no console session `{id}`; it may have ended")))
}
