//! `token.*`: registration tokens.

use qpq_core::{Millis, TokenId};
use qpq_storage::RegistrationToken;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, Actions, Argument, Call};
use crate::{Answered, tokens};

pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        "token.create",
        "Makes a registration token and shows it once.",
        &[
            Argument::optional("uses", "how many accounts it makes; 1 if left out"),
            Argument::optional("expires_ms", "how long it is valid, in milliseconds; 7 days if left out"),
        ],
        |actions, call| Box::pin(create(actions, call)),
    )
    .audited("made a registration token"),
    Action::new("token.list", "Lists the registration tokens, newest first.", &[], |actions, _| {
        Box::pin(list(actions))
    }),
    Action::new(
        "token.revoke",
        "Ends a registration token; accounts made with it stay.",
        &[Argument::required("id", "the token's id: tok_…")],
        |actions, call| Box::pin(revoke(actions, call)),
    )
    .audited("revoked a registration token"),
];

#[derive(Deserialize)]
struct Create {
    uses: Option<u32>,
    expires_ms: Option<u64>,
}

async fn create(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Create { uses, expires_ms } = call.arguments()?;
    let (token, job) = actions.tokens.creation(uses, expires_ms.map(Millis))?;
    actions.audited(&call, token.row.id, job, |()| true).await?;
    Ok(json!({
        "token": token.token.expose(),
        "id": token.row.id,
        "uses": token.row.uses,
        "expires": token.row.expires_at,
    }))
}

async fn list(actions: &Actions) -> Answered<Value> {
    let tokens: Vec<Value> = actions.tokens.list().await?.iter().map(line).collect();
    Ok(json!({ "tokens": tokens }))
}

fn line(token: &RegistrationToken) -> Value {
    json!({
        "id": token.id,
        "uses": token.uses,
        "used": token.used,
        "expires": token.expires_at,
        "created": token.created_at,
        "revoked": token.revoked_at,
    })
}

#[derive(Deserialize)]
struct Revoke {
    id: TokenId,
}

async fn revoke(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Revoke { id } = call.arguments()?;
    let done = actions.audited(&call, id, actions.tokens.revocation(id), |done| *done).await?;
    if done { Ok(json!({ "revoked": id })) } else { Err(tokens::unknown(&id)) }
}
