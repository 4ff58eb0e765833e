//! `device.*`: users' devices.

use qpq_core::{Address, DeviceId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, Actions, Argument, Call};
use crate::{Answered, DeviceView, devices};

pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        "device.list",
        "Lists the devices of an account, or of all, oldest first.",
        &[Argument::optional("address", "only this account's: user@domain").positional()],
        |actions, call| Box::pin(list(actions, call)),
    )
    .at("/devices"),
    Action::new(
        "device.revoke",
        "Revokes a device for good: its sessions end, its KeyPackages go.",
        &[Argument::required("id", "the device's id: dev_…")],
        |actions, call| Box::pin(revoke(actions, call)),
    )
    .audited("revoked a device")
    .at("/devices/revoke"),
];

#[derive(Deserialize)]
struct List {
    address: Option<Address>,
}

async fn list(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let List { address } = call.arguments()?;
    let lines: Vec<Value> = actions.devices.list(address.as_ref()).await?.iter().map(line).collect();
    Ok(json!({ "devices": lines }))
}

fn line(view: &DeviceView) -> Value {
    let certificate = &view.device.certificate;
    json!({
        "id": certificate.device.device,
        "address": certificate.device.user,
        "signature_key": certificate.signature_key,
        "enrolled": view.device.enrolled_at,
        "last_seen": view.device.last_seen_at,
        "revoked": view.device.revoked_at,
        "key_packages": view.key_packages,
    })
}

#[derive(Deserialize)]
struct Revoke {
    id: DeviceId,
}

async fn revoke(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Revoke { id } = call.arguments()?;
    let done = actions.audited(&call, id, actions.devices.revocation(id, None), |done| *done).await?;
    if done { Ok(json!({ "revoked": id })) } else { Err(devices::unknown(&id)) }
}
