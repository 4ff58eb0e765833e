//! Actions: complete faces, words for mistakes, audit rows.

use std::collections::BTreeSet;

use qpq_core::ErrorCode;
use serde_json::{Value, json};

use super::{Actions, Need};
use crate::{
    Answered, Caller, Settings,
    fixture::{Home, Person},
};

fn owner() -> Caller {
    Caller::uid(0, qpq_core::RequestId::from_bytes([7; 16]))
}

async fn perform(home: &Home, verb: &str, arguments: &Value) -> Answered<Value> {
    let result = home.actions.perform(&owner(), verb, &arguments.to_string()).await?;
    Ok(serde_json::from_str(&result).unwrap())
}

#[test]
fn every_action_has_all_its_faces() {
    let mut verbs = BTreeSet::new();
    for action in Actions::all() {
        assert!(verbs.insert(action.verb), "{} is there twice", action.verb);
        assert!(action.verb == "info" || action.verb.split('.').count() == 2, "{}", action.verb);
        assert!(action.doc.ends_with('.') && action.doc.len() > 10, "{} lacks its line", action.verb);
        let reads = ["list", "show", "info", "would-allow"].iter().any(|end| action.verb.ends_with(end));
        assert_eq!(action.audit.is_none(), reads, "{}: what changes something is audited", action.verb);
        for argument in action.arguments {
            assert!(!argument.doc.is_empty(), "{} of {} lacks its line", argument.name, action.verb);
        }
    }
    for verb in [
        "info",
        "token.create",
        "token.list",
        "token.revoke",
        "user.list",
        "user.show",
        "user.delete",
        "session.list",
        "session.revoke",
        "device.list",
        "device.revoke",
        "peer.invite",
        "peer.accept",
        "peer.list",
        "peer.show",
        "peer.remove",
    ] {
        assert!(verbs.contains(verb), "{verb} is missing");
    }
}

#[tokio::test(start_paused = true)]
async fn mistakes_are_answered_with_the_nearest_known_word() {
    let home = Home::open();
    let refused = perform(&home, "token.craete", &json!({})).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotFound);
    assert!(refused.text.ends_with("did you mean `token.create`?"), "{}", refused.text);
    let refused = perform(&home, "token.create", &json!({ "usse": 3 })).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::Malformed);
    assert!(refused.text.ends_with("did you mean `uses`?"), "{}", refused.text);
    for (verb, arguments) in [
        ("token.create", json!({ "uses": "many" })),
        ("token.create", json!({ "uses": 0 })),
        ("token.create", json!([])),
        ("token.revoke", json!({})),
        ("user.show", json!({ "address": "nobody" })),
    ] {
        assert_eq!(perform(&home, verb, &arguments).await.unwrap_err().code, ErrorCode::Malformed, "{verb}");
    }
    assert!(home.audited().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn every_required_argument_is_asked_for() {
    let home = Home::open();
    for action in Actions::all() {
        if let Some(argument) = action.arguments.iter().find(|argument| argument.need == Need::Required) {
            let refused = perform(&home, action.verb, &json!({})).await.unwrap_err();
            assert!(refused.text.contains(argument.name), "{}", refused.text);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_changes_something_leaves_a_row_and_nothing_else_does() {
    let home = Home::with(Settings::default());
    let made = perform(&home, "token.create", &json!({ "uses": 2 })).await.unwrap();
    assert_eq!(made["uses"], 2);
    assert!(made["expires"].as_str().unwrap().ends_with('Z'));
    let id = made["id"].as_str().unwrap().to_owned();
    let alice = Person::new("alice");
    let opened = alice.register(&home, made["token"].as_str().unwrap()).await.unwrap();

    let shown = perform(&home, "user.show", &json!({ "address": "alice@alpha.test" })).await.unwrap();
    assert_eq!(shown["devices"][0]["id"], alice.device.to_string());
    for verb in ["user.list", "session.list", "device.list", "token.list", "info"] {
        perform(&home, verb, &json!({})).await.unwrap();
    }
    let session = opened.grant.session.to_string();
    perform(&home, "session.revoke", &json!({ "id": session })).await.unwrap();
    assert!(opened.handle.ended().is_cancelled());
    assert!(perform(&home, "session.revoke", &json!({ "id": session })).await.is_err());
    perform(&home, "device.revoke", &json!({ "id": alice.device })).await.unwrap();
    perform(&home, "token.revoke", &json!({ "id": id })).await.unwrap();
    perform(&home, "user.delete", &json!({ "address": alice.address })).await.unwrap();
    assert!(perform(&home, "user.delete", &json!({ "address": alice.address })).await.is_err());
    assert_eq!(
        home.audited().await,
        [
            format!("uid:0 token.create {id}"),
            format!("uid:0 session.revoke {session}"),
            format!("uid:0 device.revoke {}", alice.device),
            format!("uid:0 token.revoke {id}"),
            "uid:0 user.delete alice@alpha.test".to_owned(),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn info_says_what_the_binary_said() {
    let home = Home::open();
    let info = home.actions.perform(&owner(), "info", "").await.unwrap();
    let info: Value = serde_json::from_str(&info).unwrap();
    let fields: Vec<&String> = info.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["client_address", "client_pin", "domain", "federation_address", "version"]);
}

#[tokio::test(start_paused = true)]
async fn an_invite_names_a_domain_or_says_any() {
    let home = Home::open();
    for arguments in
        [json!({}), json!({ "domain": "beta.test", "any": true }), json!({ "domain": "not a domain" })]
    {
        assert_eq!(perform(&home, "peer.invite", &arguments).await.unwrap_err().code, ErrorCode::Malformed);
    }
    let made = perform(&home, "peer.invite", &json!({ "domain": "beta.test" })).await.unwrap();
    assert!(made["token"].as_str().unwrap().starts_with("qpqinvite1."));
    assert!(made["expires"].is_string());
    assert_eq!(home.audited().await, ["uid:0 peer.invite beta.test"]);
    assert_eq!(perform(&home, "peer.list", &json!({})).await.unwrap(), json!({ "peers": [] }));
    let unknown = perform(&home, "peer.show", &json!({ "domain": "beta.test" })).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::NotFound);
}
