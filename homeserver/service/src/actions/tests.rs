//! Actions: complete faces, words for mistakes, audit rows.

use std::collections::BTreeSet;

use qpq_core::{ErrorCode, Millis};
use qpq_storage::AdminRole;
use serde_json::{Value, json};

use super::{Action, Actions, Argument, Guard, Kind, Need};
use crate::{
    Answered, Caller, Proof, Settings,
    fixture::{Home, Person},
};

fn owner() -> Caller {
    Caller::uid(0, qpq_core::RequestId::from_bytes([7; 16]))
}

async fn perform(home: &Home, verb: &str, arguments: &Value) -> Answered<Value> {
    let result = home.actions.perform(&owner(), verb, &arguments.to_string()).await?;
    Ok(serde_json::from_str(&result).unwrap())
}

/// What an action lacks, in words.
fn missing_faces(action: &Action) -> Vec<String> {
    let mut missing = Vec::new();
    let mut wants = |holds: bool, what: &str| {
        if !holds {
            missing.push(format!("{}: {what}", action.verb));
        }
    };
    let area = action.verb.split_once('.').map(|(area, _)| area);
    wants(action.verb.split('.').all(|word| !word.is_empty()), "its verb is `area.name`");
    wants(area.is_none_or(|area| Actions::about(area).is_some()), "nobody says what its area is about");
    wants(action.doc.ends_with('.') && action.doc.len() > 10, "it lacks its line of documentation");
    wants(
        action.route.starts_with('/') && action.route.len() > 1 || action.verb == "status",
        "it has no route",
    );
    let changes = action.audit.is_some();
    wants(
        changes == (action.guard != Guard::Session),
        "what changes something wants a proof, what reads doesn't",
    );
    wants(!changes || action.role >= AdminRole::Operator, "an auditor changes nothing");
    wants(
        action.audit.is_none_or(|text| text.len() > 5 && !text.ends_with('.')),
        "its audit text is no fragment",
    );
    let typed = match action.guard {
        Guard::Typed(name) => action.arguments.iter().any(|argument| argument.name == name),
        Guard::Session | Guard::Reauthentication => true,
    };
    wants(typed, "what is typed once more is none of its arguments");
    for argument in action.arguments {
        wants(argument.doc.len() > 5, "an argument lacks its line");
        wants(
            (argument.kind == Kind::Span) == argument.name.ends_with("_ms"),
            "spans, and only they, end in _ms",
        );
    }
    missing
}

#[test]
fn every_action_has_all_its_faces() {
    let mut verbs = BTreeSet::new();
    let mut changes = BTreeSet::new();
    for action in Actions::all() {
        assert!(verbs.insert(action.verb), "{} is there twice", action.verb);
        assert_eq!(missing_faces(action), Vec::<String>::new());
        assert!(action.audit.is_none() || changes.insert(action.route), "{} shares its route", action.verb);
    }
}

#[test]
fn an_action_without_a_face_is_noticed() {
    let whole =
        Action::new("user.dance", "Lets a user dance.", &[], |_, _| Box::pin(async { Ok(json!({})) }))
            .audited("let a user dance")
            .at("/users/dance");
    assert_eq!(missing_faces(&whole), Vec::<String>::new());
    for broken in [
        Action { verb: "dance.user", ..whole },
        Action { doc: "", ..whole },
        Action { route: "", ..whole },
        Action { audit: None, ..whole },
        Action { audit: Some(""), ..whole },
        Action { role: AdminRole::Auditor, ..whole },
        Action { guard: Guard::Session, ..whole },
        Action { guard: Guard::Typed("nothing"), ..whole },
        Action {
            arguments: &[Argument { name: "speed", doc: "", need: Need::Optional, kind: Kind::Text }],
            ..whole
        },
        Action {
            arguments: &[Argument { name: "speed", doc: "how fast", need: Need::Optional, kind: Kind::Span }],
            ..whole
        },
    ] {
        assert_eq!(missing_faces(&broken).len(), 1, "{broken:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_may_do_what_it_may_and_only_with_a_fresh_proof() {
    let home = Home::open();
    let admin = |role, proof| Caller { role, proof, ..owner() };
    let (now, fresh) = (home.now(), Proof::At(home.now()));
    for action in Actions::all() {
        for role in [AdminRole::Auditor, AdminRole::Operator, AdminRole::Owner] {
            let refused = admin(role, fresh).may(action, now).err().map(|refusal| refusal.code);
            let expected = (role < action.role).then_some(ErrorCode::RoleRefused);
            assert_eq!(refused, expected, "{} as {role}", action.verb);
        }
        let stale = admin(AdminRole::Owner, Proof::At(now.before(Millis::from_secs(601))));
        let refused = stale.may(action, now).err().map(|refusal| refusal.code);
        let expected = action.audit.map(|_| ErrorCode::ReauthenticationNeeded);
        assert_eq!(refused, expected, "{} long after the proof", action.verb);
        let ahead = admin(AdminRole::Owner, Proof::At(now.after(Millis(1))));
        let refused = ahead.may(action, now).err().map(|refusal| refusal.code);
        assert_eq!(refused, expected, "{} with a proof from the future", action.verb);
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
    let expected = [
        "admin_url",
        "client_address",
        "client_pin",
        "domain",
        "federation_address",
        "federation_key",
        "since",
        "version",
    ];
    assert_eq!(fields, expected);
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
    let listed = perform(&home, "peer.list", &json!({})).await.unwrap();
    assert_eq!((&listed["peers"], &listed["total"]), (&json!([]), &json!(0)));
    assert_eq!(listed["policy"], "allow-listed");
    let unknown = perform(&home, "peer.show", &json!({ "domain": "beta.test" })).await.unwrap_err();
    assert_eq!(unknown.code, ErrorCode::NotFound);
}
