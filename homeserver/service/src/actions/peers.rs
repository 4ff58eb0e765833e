//! `peer.*`: peering with other domains. These use cases write their audit rows themselves, for a peering is made
//! together with what the other domain says.

use qpq_core::{Domain, Millis};
use qpq_federation_proto::{AddressError, FederationAddress};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Action, Actions, Argument, Call, Kind,
    info::json,
    pages::{self, PAGE, SEARCH},
};
use crate::{
    Answered, PeerStanding, PeerView, Refusal,
    relay::{DeadLetterView, QueueView},
};

/// How long an invite is valid if the admin says nothing.
const LIFETIME: Millis = Millis::from_secs(3_600);

const DOMAIN: Argument = Argument::required("domain", "the other domain");

pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        "peer.invite",
        "Makes a peering token for another domain's admin and shows it once.",
        &[
            Argument::optional("domain", "the only domain that may use it").unless("any"),
            Argument::optional("any", "any domain may use it, and you confirm which one did").of(Kind::Flag),
            Argument::optional("expires_ms", "how long it is valid; 1 hour if left out").of(Kind::Span),
        ],
        |actions, call| Box::pin(invite(actions, call)),
    )
    .audited("made a peering token")
    .at("/federation/invite"),
    Action::new(
        "peer.accept",
        "Finishes a peering with the other admin's token, both ways.",
        &[Argument::required("token", "the peering token: qpqinvite1.…")],
        |actions, call| Box::pin(accept(actions, call)),
    )
    .audited("accepted a peering token")
    .at("/federation/accept"),
    Action::new(
        "peer.confirm",
        "Lets a domain in that used a token made for any domain, after its fingerprint was compared.",
        &[DOMAIN],
        |actions, call| Box::pin(confirm(actions, call)),
    )
    .audited("confirmed a peer")
    .at("/federation/confirm"),
    Action::new(
        "peer.list",
        "Lists the peers, by name, with their links and queues.",
        &[
            SEARCH,
            Argument::optional("state", "only those that stand so").of(Kind::Choice(&[
                "healthy",
                "degraded",
                "backing-off",
                "paused",
                "blocked",
                "refused",
                "awaiting-confirmation",
            ])),
            PAGE,
        ],
        |actions, call| Box::pin(list(actions, call)),
    )
    .at("/federation"),
    Action::new("peer.show", "Shows one peer.", &[DOMAIN], |actions, call| Box::pin(show(actions, call)))
        .at("/federation/show"),
    Action::new(
        "peer.probe",
        "Looks step by step whether a peer can be reached and is well, and says what is wrong.",
        &[DOMAIN],
        |actions, call| Box::pin(probe(actions, call)),
    )
    .at("/federation/probe"),
    Action::new(
        "peer.address",
        "Says where a peer is dialled, after it moved, or leaves that to DNS.",
        &[
            DOMAIN,
            Argument::optional("address", "HOST:PORT of its federation listener").unless("discover"),
            Argument::optional("discover", "no address: what DNS says counts").of(Kind::Flag),
        ],
        |actions, call| Box::pin(address(actions, call)),
    )
    .audited("changed where a peer is dialled")
    .at("/federation/address"),
    Action::new(
        "peer.remove",
        "Ends a peering: its links end at once, and what waits for it is given up.",
        &[DOMAIN],
        |actions, call| Box::pin(remove(actions, call)),
    )
    .audited("removed a peer")
    .typed("domain")
    .at("/federation/remove"),
    Action::new(
        "peer.policy",
        "Changes whom this domain lets in: peers only, or nobody.",
        &[Argument::required("policy", "the policy").of(Kind::Choice(&["allow-listed", "closed"]))],
        |actions, call| Box::pin(policy(actions, call)),
    )
    .audited("changed the federation policy")
    .at("/federation/policy"),
    Action::new(
        "peer.would-allow",
        "Says whether a domain would be let in, and why.",
        &[DOMAIN],
        |actions, call| Box::pin(would_allow(actions, call)),
    )
    .at("/federation/would-allow"),
    Action::new(
        "peer.queue",
        "Shows what waits for a peer, stream by stream: how much, since when, and what goes next.",
        &[DOMAIN, PAGE],
        |actions, call| Box::pin(queue(actions, call)),
    )
    .at("/federation/queue"),
    Action::new(
        "peer.retry",
        "Tries a peer now: its waiting time ends, and what was held against it is judged anew.",
        &[DOMAIN],
        |actions, call| Box::pin(retry(actions, call)),
    )
    .audited("tried a peer at once")
    .at("/federation/retry"),
    Action::new(
        "peer.pause",
        "Lets what is for a peer wait until it is resumed; what it sends is still taken.",
        &[DOMAIN, Argument::required("reason", "why: one line of up to 500 characters").with_flag()],
        |actions, call| Box::pin(pause(actions, call)),
    )
    .audited("paused a peer")
    .at("/federation/pause"),
    Action::new("peer.resume", "Lets a paused peer's messages go out again.", &[DOMAIN], |actions, call| {
        Box::pin(resume(actions, call))
    })
    .audited("resumed a peer")
    .at("/federation/resume"),
    Action::new(
        "peer.dead-letters.list",
        "Lists the messages that a peer could not take.",
        &[Argument::optional("domain", "only those for this domain").positional(), PAGE],
        |actions, call| Box::pin(dead_letters(actions, call)),
    )
    .at("/federation/dead-letters"),
    Action::new(
        "peer.dead-letters.replay",
        "Sends a dead letter once more, at the end of its stream.",
        &[Argument::required("id", "its number").of(Kind::Number)],
        |actions, call| Box::pin(replay(actions, call)),
    )
    .audited("replayed a dead letter")
    .at("/federation/dead-letters/replay"),
    Action::new(
        "peer.dead-letters.drop",
        "Drops a dead letter; the sender of a message that no group's log holds yet reads the reason.",
        &[
            Argument::required("id", "its number").of(Kind::Number),
            Argument::required("reason", "why: one line of up to 500 characters").with_flag(),
        ],
        |actions, call| Box::pin(drop_letter(actions, call)),
    )
    .audited("dropped a dead letter")
    .typed("id")
    .at("/federation/dead-letters/drop"),
];

#[derive(Deserialize)]
struct Invite {
    domain: Option<String>,
    any: Option<bool>,
    expires_ms: Option<u64>,
}

async fn invite(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Invite { domain, any, expires_ms } = call.arguments()?;
    let bound_to = match (domain, any) {
        (Some(domain), None | Some(false)) => Some(parsed(&domain)?),
        (None, Some(true)) => None,
        _ => return Err(Refusal::malformed("name the `domain` to invite, or set `any`: one of the two")),
    };
    json(&actions.peering.invite(bound_to, expires_ms.map_or(LIFETIME, Millis), call.caller).await?)
}

#[derive(Deserialize)]
struct Accept {
    token: String,
}

async fn accept(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Accept { token } = call.arguments()?;
    json(&actions.peering.accept(token.trim(), call.caller).await?)
}

#[derive(Deserialize)]
struct Target {
    domain: String,
}

fn target(call: &mut Call<'_>) -> Answered<Domain> {
    let Target { domain } = call.arguments()?;
    parsed(&domain)
}

fn parsed(domain: &str) -> Answered<Domain> {
    domain.parse().map_err(|error: qpq_core::DomainError| Refusal::malformed(error.to_string()))
}

async fn confirm(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let domain = target(&mut call)?;
    json(&actions.peering.confirm(&domain, call.caller).await?)
}

#[derive(Deserialize)]
struct List {
    search: Option<String>,
    state: Option<String>,
    page: Option<u32>,
}

async fn list(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let List { search, state, page } = call.arguments()?;
    let state = match state {
        None => None,
        Some(name) => Some(standing(&name)?),
    };
    let window = pages::window(page)?;
    let found = actions.peering.list(&search.unwrap_or_default(), state, window).await?;
    let mut answer = pages::answer("peers", page, &found, |peer: &PeerView| json!(peer));
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("policy".to_owned(), json!(actions.peering.policy().to_string()));
    }
    Ok(answer)
}

fn standing(name: &str) -> Answered<PeerStanding> {
    let found = PeerStanding::ALL.into_iter().find(|standing| standing.name() == name);
    found.ok_or_else(|| Refusal::malformed(format!("`state` can't be `{name}`")))
}

async fn show(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let domain = target(&mut call)?;
    json(&actions.peering.show(&domain).await?)
}

async fn probe(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let domain = target(&mut call)?;
    json(&actions.peering.probe(&domain).await?)
}

#[derive(Deserialize)]
struct Move {
    domain: String,
    address: Option<String>,
    discover: Option<bool>,
}

async fn address(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Move { domain, address, discover } = call.arguments()?;
    let address: Option<FederationAddress> = match (address, discover) {
        (Some(address), None | Some(false)) => Some(
            address.trim().parse().map_err(|error: AddressError| Refusal::malformed(error.to_string()))?,
        ),
        (None, Some(true)) => None,
        _ => return Err(Refusal::malformed("give an `address`, or set `discover`: one of the two")),
    };
    json(&actions.peering.set_address(&parsed(&domain)?, address.as_ref(), call.caller).await?)
}

async fn remove(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let domain = target(&mut call)?;
    actions.peering.remove(&domain, call.caller).await?;
    Ok(json!({ "removed": domain.as_str() }))
}

async fn would_allow(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let domain = target(&mut call)?;
    json(&actions.peering.would_allow(&domain).await?)
}

#[derive(Deserialize)]
struct NewPolicy {
    policy: String,
}

async fn policy(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let NewPolicy { policy } = call.arguments()?;
    actions.appliance.configuration.set("federation.policy", &policy).await?;
    actions.record(&call, &policy).await?;
    Ok(json!({ "policy": policy }))
}

#[derive(Deserialize)]
struct Queue {
    domain: String,
    page: Option<u32>,
}

async fn queue(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Queue { domain, page } = call.arguments()?;
    let found = actions.peering.queue(&parsed(&domain)?, pages::window(page)?).await?;
    let mut answer = pages::answer("streams", page, &found, |line: &QueueView| json!(line));
    if let Some(fields) = answer.as_object_mut() {
        fields.insert("domain".to_owned(), json!(domain));
    }
    Ok(answer)
}

async fn retry(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let domain = target(&mut call)?;
    actions.peering.retry(&domain, call.caller).await?;
    Ok(json!({ "tried": domain.as_str() }))
}

#[derive(Deserialize)]
struct Waiting {
    domain: String,
    reason: String,
}

async fn pause(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Waiting { domain, reason } = call.arguments()?;
    actions.peering.pause(&parsed(&domain)?, &reason, call.caller).await?;
    Ok(json!({ "paused": domain }))
}

async fn resume(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let domain = target(&mut call)?;
    actions.peering.resume(&domain, call.caller).await?;
    Ok(json!({ "resumed": domain.as_str() }))
}

#[derive(Deserialize)]
struct Letters {
    domain: Option<String>,
    page: Option<u32>,
}

async fn dead_letters(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Letters { domain, page } = call.arguments()?;
    let domain = domain.as_deref().map(parsed).transpose()?;
    let found = actions.peering.dead_letters(domain.as_ref(), pages::window(page)?).await?;
    Ok(pages::answer("letters", page, &found, |letter: &DeadLetterView| json!(letter)))
}

#[derive(Deserialize)]
struct Letter {
    id: u64,
}

async fn replay(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Letter { id } = call.arguments()?;
    json(&actions.peering.replay_letter(id, call.caller).await?)
}

#[derive(Deserialize)]
struct Dropped {
    id: u64,
    reason: String,
}

async fn drop_letter(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Dropped { id, reason } = call.arguments()?;
    json(&actions.peering.drop_letter(id, &reason, call.caller).await?)
}
