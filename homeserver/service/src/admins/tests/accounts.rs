//! What owners do to accounts, and what must hold whatever they do.

use super::*;

#[tokio::test(start_paused = true)]
async fn roles_bound_what_an_admin_does_to_others() {
    let home = Home::open();
    let ann = first(&home).await;
    let (bob, cat) = (added(&home, "bob", "operator").await, added(&home, "cat", "auditor").await);
    for someone in [&bob, &cat] {
        for (verb, arguments) in [
            ("admin.add", json!({ "name": "eve", "role": "owner" })),
            ("admin.remove", json!({ "name": "ann" })),
            ("admin.role", json!({ "name": someone.name, "role": "owner" })),
            ("admin.recover", json!({ "name": "ann" })),
            ("admin.session-revoke", json!({ "id": ann.signed_in().session })),
        ] {
            let refused = perform(&home, &someone.caller(), verb, arguments).await;
            assert_eq!(code(refused), ErrorCode::RoleRefused, "{verb} by {}", someone.name);
        }
        let listed = perform(&home, &someone.caller(), "admin.list", json!({})).await.unwrap();
        assert_eq!(listed["admins"].as_array().unwrap().len(), 3);
    }
    let listed = perform(&home, &ann.caller(), "admin.list", json!({})).await.unwrap();
    let line = &listed["admins"][0];
    for (field, value) in [
        ("name", json!("ann")),
        ("role", json!("owner")),
        ("passkeys", json!(1)),
        ("password", json!(false)),
        ("totp", json!(false)),
        ("recovery_codes_left", json!(10)),
        ("sessions", json!(1)),
        ("created_by", json!("setup-link")),
    ] {
        assert_eq!(line[field], value, "{field}");
    }
    assert!(!listed.to_string().contains("argon2"));
}

#[tokio::test(start_paused = true)]
async fn nobody_takes_their_own_right_away() {
    let home = Home::open();
    let ann = first(&home).await;
    added(&home, "bob", "owner").await;
    for (verb, arguments) in [
        ("admin.remove", json!({ "name": "ann" })),
        ("admin.role", json!({ "name": "ann", "role": "auditor" })),
    ] {
        let refused = perform(&home, &ann.caller(), verb, arguments).await;
        assert_eq!(code(refused), ErrorCode::NotAllowed, "{verb}");
    }
    assert!(home.admins.session(ann.welcome.session.cookie.expose()).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_last_owner_stays_whoever_asks() {
    let home = Home::open();
    first(&home).await;
    added(&home, "bob", "operator").await;
    // Was added and never came: nobody to rely on.
    socket(&home, "admin.add", json!({ "name": "cat", "role": "owner" })).await.unwrap();
    for (verb, arguments) in [
        ("admin.remove", json!({ "name": "ann" })),
        ("admin.role", json!({ "name": "ann", "role": "operator" })),
    ] {
        assert_eq!(code(socket(&home, verb, arguments).await), ErrorCode::NotAllowed, "{verb}");
    }
    let before = home.audited().await.len();
    socket(&home, "admin.remove", json!({ "name": "cat" })).await.unwrap();
    socket(&home, "admin.role", json!({ "name": "bob", "role": "owner" })).await.unwrap();
    socket(&home, "admin.remove", json!({ "name": "ann" })).await.unwrap();
    assert_eq!(
        home.audited().await[before..],
        ["uid:0 admin.remove cat", "uid:0 admin.role bob owner", "uid:0 admin.remove ann"]
    );
    assert_eq!(code(socket(&home, "admin.remove", json!({ "name": "ann" })).await), ErrorCode::NotFound);
}

#[tokio::test(start_paused = true)]
async fn two_owners_who_remove_each_other_leave_one() {
    let home = Home::open();
    let ann = first(&home).await;
    let bob = added(&home, "bob", "owner").await;
    let (ann, bob) = (ann.caller(), bob.caller());
    let (one, two) = tokio::join!(
        perform(&home, &ann, "admin.remove", json!({ "name": "bob" })),
        perform(&home, &bob, "admin.remove", json!({ "name": "ann" })),
    );
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|ok| **ok).count(), 1);
    let listed = socket(&home, "admin.list", json!({})).await.unwrap();
    assert_eq!(listed["admins"].as_array().unwrap().len(), 1);
    let removals = home.audited().await.iter().filter(|row| row.contains("admin.remove")).count();
    assert_eq!(removals, 1);
}

#[tokio::test(start_paused = true)]
async fn who_was_removed_meanwhile_does_nothing_more() {
    let home = Home::open();
    first(&home).await;
    let (bob, _cat) = (added(&home, "bob", "owner").await, added(&home, "cat", "owner").await);
    socket(&home, "admin.remove", json!({ "name": "bob" })).await.unwrap();
    assert_eq!(home.admins.session(bob.welcome.session.cookie.expose()).await.unwrap(), None);
    for (verb, arguments) in [
        ("admin.add", json!({ "name": "eve", "role": "owner" })),
        ("admin.remove", json!({ "name": "cat" })),
        ("admin.role", json!({ "name": "cat", "role": "auditor" })),
        ("admin.recover", json!({ "name": "cat" })),
    ] {
        assert_eq!(
            code(perform(&home, &bob.caller(), verb, arguments).await),
            ErrorCode::RoleRefused,
            "{verb}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_is_given_once_and_a_role_is_another_one() {
    let home = Home::open();
    first(&home).await;
    let again = socket(&home, "admin.add", json!({ "name": "ANN", "role": "auditor" })).await;
    assert_eq!(code(again), ErrorCode::NameTaken);
    let same = socket(&home, "admin.role", json!({ "name": "ann", "role": "owner" })).await;
    assert_eq!(code(same), ErrorCode::NotAllowed);
    let strange = socket(&home, "admin.add", json!({ "name": "bob", "role": "king" })).await;
    assert_eq!(code(strange), ErrorCode::Malformed);
    assert_eq!(code(socket(&home, "admin.recover", json!({ "name": "bob" })).await), ErrorCode::NotFound);
    assert_eq!(home.audited().await, ["admin:ann admin.setup ann"]);
}

#[tokio::test(start_paused = true)]
async fn sessions_are_listed_and_end_at_once() {
    let home = Home::open();
    let ann = first(&home).await;
    home.wait(Millis(1));
    let bob = added(&home, "bob", "auditor").await;
    let listed = socket(&home, "admin.session-list", json!({})).await.unwrap();
    let names: Vec<&Value> =
        listed["sessions"].as_array().unwrap().iter().map(|line| &line["name"]).collect();
    assert_eq!(names, ["bob", "ann"]);
    let listed = socket(&home, "admin.session-list", json!({ "name": "bob" })).await.unwrap();
    assert_eq!(listed["sessions"][0]["agent"], "Browser<script>");
    assert_eq!(listed["sessions"][0]["address"], "192.0.2.1");
    let id = &listed["sessions"][0]["id"];
    assert_eq!(
        code(socket(&home, "admin.session-list", json!({ "name": "eve" })).await),
        ErrorCode::NotFound
    );
    perform(&home, &ann.caller(), "admin.session-revoke", json!({ "id": id })).await.unwrap();
    assert_eq!(home.admins.session(bob.welcome.session.cookie.expose()).await.unwrap(), None);
    let again = perform(&home, &ann.caller(), "admin.session-revoke", json!({ "id": id })).await;
    assert_eq!(code(again), ErrorCode::NotFound);
}
