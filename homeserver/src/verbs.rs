//! Turns a verb of the command line into the admin action that the running homeserver performs.

use serde_json::{Value, json};

use crate::{
    cli::{DeviceVerb, PeerVerb, SessionVerb, TokenVerb, UserVerb, Verb},
    config::span,
};

/// The action's verb and its arguments; `None` for verbs that act on files. An unreadable span is the error.
pub(crate) fn action(verb: &Verb) -> Result<Option<(&'static str, Value)>, String> {
    Ok(Some(match verb {
        Verb::Init(_) | Verb::Serve(_) | Verb::Demo(_) | Verb::Config(_) => return Ok(None),
        Verb::Info => ("info", json!({})),
        Verb::Token(TokenVerb::Create { uses, expires }) => {
            let expires = expires.as_deref().map(span).transpose()?;
            ("token.create", json!({ "uses": uses, "expires_ms": expires.map(|span| span.0) }))
        }
        Verb::Token(TokenVerb::List) => ("token.list", json!({})),
        Verb::Token(TokenVerb::Revoke { id }) => ("token.revoke", json!({ "id": id })),
        Verb::User(UserVerb::List) => ("user.list", json!({})),
        Verb::User(UserVerb::Show { address }) => ("user.show", json!({ "address": address })),
        Verb::User(UserVerb::Delete { address }) => ("user.delete", json!({ "address": address })),
        Verb::Session(SessionVerb::List { address }) => ("session.list", json!({ "address": address })),
        Verb::Session(SessionVerb::Revoke { id }) => ("session.revoke", json!({ "id": id })),
        Verb::Device(DeviceVerb::List { address }) => ("device.list", json!({ "address": address })),
        Verb::Device(DeviceVerb::Revoke { id }) => ("device.revoke", json!({ "id": id })),
        Verb::Peer(PeerVerb::Invite { domain, any, expires }) => {
            ("peer.invite", json!({ "domain": domain, "any": any, "expires_ms": span(expires)?.0 }))
        }
        // A domain confirms who used a token made for anybody.
        Verb::Peer(PeerVerb::Accept { token }) => match token.parse::<qpq_core::Domain>() {
            Ok(domain) if !token.starts_with("qpqinvite") => ("peer.confirm", json!({ "domain": domain })),
            _ => ("peer.accept", json!({ "token": token })),
        },
        Verb::Peer(PeerVerb::List) => ("peer.list", json!({})),
        Verb::Peer(PeerVerb::Show { domain }) => ("peer.show", json!({ "domain": domain })),
        Verb::Peer(PeerVerb::Remove { domain }) => ("peer.remove", json!({ "domain": domain })),
    }))
}
