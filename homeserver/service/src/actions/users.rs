//! `user.*`: accounts.

use qpq_core::Address;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, Actions, Argument, Call};
use crate::{Answered, accounts};

const ADDRESS: Argument = Argument::required("address", "the account: user@domain");

pub(super) const ACTIONS: &[Action] = &[
    Action::new("user.list", "Lists the accounts, by name.", &[], |actions, _| Box::pin(list(actions))),
    Action::new(
        "user.show",
        "Shows an account with its identity key and active devices.",
        &[ADDRESS],
        |actions, call| Box::pin(show(actions, call)),
    ),
    Action::new(
        "user.delete",
        "Deletes an account with its devices, sessions and waiting messages.",
        &[ADDRESS],
        |actions, call| Box::pin(delete(actions, call)),
    )
    .audited("deleted an account"),
];

#[derive(Deserialize)]
struct Target {
    address: Address,
}

async fn list(actions: &Actions) -> Answered<Value> {
    let lines = actions.accounts.list().await?;
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| json!({ "address": line.address, "account": line.id, "created": line.created_at }))
        .collect();
    Ok(json!({ "users": lines }))
}

async fn show(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Target { address } = call.arguments()?;
    let view = actions.accounts.show(&address).await?;
    let devices: Vec<Value> = view
        .keys
        .devices
        .iter()
        .map(|device| {
            json!({
                "id": device.device.device,
                "signature_key": device.signature_key,
                "certified": device.certified_at,
            })
        })
        .collect();
    Ok(json!({
        "address": view.keys.address,
        "account": view.id,
        "identity_key": view.keys.identity_key,
        "created": view.created_at,
        "devices": devices,
    }))
}

async fn delete(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Target { address } = call.arguments()?;
    let job = actions.accounts.deletion(address.clone());
    let done = actions.audited(&call, &address, job, |done| *done).await?;
    if done { Ok(json!({ "deleted": address })) } else { Err(accounts::unknown(&address)) }
}
