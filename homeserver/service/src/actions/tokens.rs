//! `token.*`: registration tokens.

use qpq_core::{Millis, TokenId};
use qpq_storage::TokenState;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Action, Actions, Argument, Call, Kind,
    pages::{self, PAGE},
};
use crate::{Answered, TokenLine, TokenOrder, tokens};

const ID: Argument = Argument::required("id", "the token's id: tok_…");

pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        "token.create",
        "Makes a registration token and shows it once.",
        &[
            Argument::optional("uses", "how many accounts it makes; 1 if left out").of(Kind::Number),
            Argument::optional("expires_ms", "how long it is valid; 7 days if left out").of(Kind::Span),
            Argument::optional("note", "what it is for; only admins see it"),
        ],
        |actions, call| Box::pin(create(actions, call)),
    )
    .audited("made a registration token")
    .at("/tokens/create"),
    Action::new(
        "token.list",
        "Lists the registration tokens, newest first.",
        &[
            Argument::optional("state", "only those that stand so")
                .of(Kind::Choice(&["open", "used-up", "expired", "revoked"])),
            PAGE,
        ],
        |actions, call| Box::pin(list(actions, call)),
    )
    .at("/tokens"),
    Action::new(
        "token.revoke",
        "Ends a registration token; accounts made with it stay.",
        &[ID],
        |actions, call| Box::pin(revoke(actions, call)),
    )
    .audited("revoked a registration token")
    .at("/tokens/revoke"),
    Action::new(
        "token.unrevoke",
        "Takes the revocation of a registration token back.",
        &[ID],
        |actions, call| Box::pin(unrevoke(actions, call)),
    )
    .audited("gave a revoked registration token back")
    .at("/tokens/unrevoke"),
];

#[derive(Deserialize)]
struct Create {
    uses: Option<u32>,
    expires_ms: Option<u64>,
    note: Option<String>,
}

async fn create(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Create { uses, expires_ms, note } = call.arguments()?;
    let order = TokenOrder {
        uses,
        lifetime: expires_ms.map(Millis),
        creator: call.caller.actor.to_string(),
        note: note.unwrap_or_default(),
    };
    let (token, job) = actions.tokens.creation(order)?;
    actions.audited(&call, token.row.id, job, |()| true).await?;
    Ok(json!({
        "token": token.token.expose(),
        "id": token.row.id,
        "uses": token.row.uses,
        "expires": token.row.expires_at,
    }))
}

#[derive(Deserialize)]
struct List {
    state: Option<State>,
    page: Option<u32>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Open,
    UsedUp,
    Expired,
    Revoked,
}

async fn list(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let List { state, page } = call.arguments()?;
    let state = state.map(|state| match state {
        State::Open => TokenState::Open,
        State::UsedUp => TokenState::UsedUp,
        State::Expired => TokenState::Expired,
        State::Revoked => TokenState::Revoked,
    });
    let found = actions.tokens.list(state, pages::window(page)?).await?;
    Ok(pages::answer("tokens", page, &found, line))
}

fn line(line: &TokenLine) -> Value {
    let TokenLine { row, state, pending } = line;
    json!({
        "id": row.id,
        "state": match state {
            TokenState::Open => "open",
            TokenState::UsedUp => "used-up",
            TokenState::Expired => "expired",
            TokenState::Revoked => "revoked",
        },
        "uses": row.uses,
        "pending": pending,
        "completed": row.used,
        "expires": row.expires_at,
        "created": row.created_at,
        "creator": row.creator,
        "note": row.note,
        "revoked": row.revoked_at,
    })
}

#[derive(Deserialize)]
struct Target {
    id: TokenId,
}

async fn revoke(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Target { id } = call.arguments()?;
    let done = actions.audited(&call, id, actions.tokens.revocation(id), |done| *done).await?;
    if done { Ok(json!({ "revoked": id })) } else { Err(tokens::unknown(&id)) }
}

async fn unrevoke(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Target { id } = call.arguments()?;
    let done = actions.audited(&call, id, tokens::UnrevokeToken(id), |done| *done).await?;
    if done { Ok(json!({ "unrevoked": id })) } else { Err(tokens::not_revoked(&id)) }
}
