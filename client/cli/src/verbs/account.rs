//! `register`, `login`, `whoami`, `devices`.

use qpq_client::{Client, DeviceRow, LoggedIn};
use qpq_core::DeviceId;
use serde::Serialize;

use crate::{
    args::{AccountArguments, DevicesVerb},
    output::{Format, note},
    secrets,
};

/// Makes an account.
pub(crate) async fn register(
    client: &Client,
    format: Format,
    account: &AccountArguments,
    token: Option<&str>,
) -> anyhow::Result<()> {
    let password = secrets::from_file(&account.password_file, "the password file")?;
    client.register(&account.address, &account.server()?, &password, token).await?;
    whoami(client, format).await
}

#[derive(Serialize)]
struct LoginReport {
    #[serde(flatten)]
    who: qpq_client::Whoami,
    new_device: bool,
}

/// Logs this device in again, or makes it one of the account's.
pub(crate) async fn login(client: &Client, format: Format, account: &AccountArguments) -> anyhow::Result<()> {
    let password = secrets::from_file(&account.password_file, "the password file")?;
    let outcome = client.login(&account.address, &account.server()?, &password).await?;
    if outcome == LoggedIn::NewDevice {
        note(
            "This is a new device. Conversations that run already don't include it yet: it sees new ones, and those \
             that a member adds you to again with `qpq group add`.",
        );
    }
    let report = LoginReport { who: client.whoami().await?, new_device: outcome == LoggedIn::NewDevice };
    format.show(&report, |report| person(&report.who))
}

/// Shows whose home this is, and how it is connected if its homeserver can be reached.
pub(crate) async fn whoami(client: &Client, format: Format) -> anyhow::Result<()> {
    if let Err(error) = client.connect().await {
        note(&format!("not connected: {error}"));
    }
    format.show(&client.whoami().await?, person)
}

fn person(who: &qpq_client::Whoami) -> String {
    format!(
        "{}\n  device        {}\n  identity key  {}\n  homeserver    {}\n  logged in     {}\n  key exchange  {}",
        who.address,
        who.device,
        who.identity_key,
        who.server,
        if who.logged_in { "yes" } else { "no" },
        who.key_exchange.unwrap_or("not connected"),
    )
}

#[derive(Serialize)]
struct Revoked {
    revoked: DeviceId,
}

/// Lists devices, or ends one.
pub(crate) async fn devices(client: &Client, format: Format, verb: DevicesVerb) -> anyhow::Result<()> {
    match verb {
        DevicesVerb::List => format.each(&client.devices().await?, device),
        DevicesVerb::Revoke { id } => {
            client.revoke_device(&id).await?;
            format.show(&Revoked { revoked: id }, |_| format!("{id} is no longer a device of this account"))
        }
    }
}

fn device(row: &DeviceRow) -> String {
    let state = match (row.revoked_at, row.current) {
        (Some(at), _) => format!("revoked {at}"),
        (None, true) => String::from("this device"),
        (None, false) => format!("last seen {}", row.last_seen_at),
    };
    format!("{}  enrolled {}  {state}  {} KeyPackages", row.device, row.enrolled_at, row.key_packages)
}
