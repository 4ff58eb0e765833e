//! `requests list`, `accept`, `decline`; and what other verbs tell of contacts.

use qpq_client::{Client, ContactRequest};
use qpq_core::Address;
use serde::Serialize;

use crate::{
    args::RequestsVerb,
    output::{Format, note},
};

#[derive(Serialize)]
struct Accepted {
    accepted: Address,
    asked: bool,
}

#[derive(Serialize)]
struct Declined {
    declined: Address,
}

/// Lists and answers requests of users of other domains.
pub(crate) async fn run(client: &Client, format: Format, verb: RequestsVerb) -> anyhow::Result<()> {
    match verb {
        RequestsVerb::List => format.each(&client.requests().await?, line),
        RequestsVerb::Accept { address } => {
            let asked = client.accept_request(&address).await?;
            format.show(&Accepted { accepted: address, asked }, |done| {
                let then = if done.asked { "what they keep for you comes now" } else { "they had not asked" };
                format!("{} is accepted: {then}", done.accepted)
            })
        }
        RequestsVerb::Decline { address } => {
            client.decline_request(&address).await?;
            format.show(&Declined { declined: address }, |done| {
                format!("{} is declined: they are not told, and can't ask again for 30 days", done.declined)
            })
        }
    }
}

/// Tells who asks, and who has accepted; says nothing if the homeserver can't be asked.
pub(crate) async fn tell(client: &Client) -> anyhow::Result<()> {
    for address in client.accepted().await? {
        note(&format!("{address} has accepted you"));
        client.mark_accepted_told(&address).await?;
    }
    let Ok(session) = client.session() else { return Ok(()) };
    match session.contact_requests().await {
        Ok(requests) => {
            for request in &requests {
                note(&format!("{} asks to be accepted: see `qpq requests list`", request.address));
            }
        }
        Err(error) => tracing::debug!(%error, "who asks to be accepted is not known now"),
    }
    Ok(())
}

fn line(request: &ContactRequest) -> String {
    format!("{}  since {}", request.address, request.since)
}
