use ed25519_dalek::SigningKey;
use qpq_core::{Millis, Secret};
use qpq_transparency::LogSeeds;
use qpq_transparency_tree::{KeyName, audit::Audit, tile::unbundle};
use serde_json::{Value, json};

use super::*;
use crate::{Caller, fixture::Home};

pub(crate) fn keys(log: u8, vrf: u8) -> LogKeys {
    let seeds = LogSeeds { log: Secret::new([log; 32]), vrf: Secret::new([vrf; 32]) };
    LogKeys::new(&"alpha.test".parse().unwrap(), &seeds)
}

fn federation(n: u8) -> FederationKey {
    FederationKey::from_bytes(SigningKey::from_bytes(&[n; 32]).verifying_key().to_bytes())
}

pub(crate) async fn opened(home: &Home, federation_key: u8) -> TreeHead {
    open_log(&home.ground, keys(1, 2), federation(federation_key)).await.unwrap()
}

async fn shows(home: &Home, verb: &str, arguments: Value) -> Answered<Value> {
    home.actions.perform_value(&Caller::uid(0, home.ground.new_request()), verb, arguments).await
}

#[tokio::test]
async fn a_log_begins_with_what_the_domain_says_of_itself() {
    let home = Home::open();
    let first = opened(&home, 3).await;
    assert_eq!(first.size, 1);
    assert_eq!(opened(&home, 3).await, first, "what is logged already is not logged again");
    home.wait(Millis::from_days(1));
    assert_eq!(opened(&home, 4).await.size, 2, "another key is said");

    let log = Transparency::new(Arc::clone(&home.ground));
    let note = log.checkpoint().await.unwrap().unwrap();
    let signed = SignedCheckpoint::parse(note.as_bytes()).unwrap();
    assert_eq!(signed.checkpoint().origin, KeyName::of_log(home.ground.domain()));
    assert_eq!(signed.signed_by(keys(1, 2).log().verifier()), Ok(()));
    let bundle = log.tile(&"tile/entries/000.p/2".parse().unwrap()).await.unwrap().unwrap();
    let mut audit = Audit::new();
    audit.take(&unbundle(&bundle).unwrap()).unwrap();
    assert_eq!(audit.finish(signed.head()), Ok(()));
    let narrower = log.tile(&"tile/0/000.p/1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(narrower.len(), 32);
    for beyond in
        ["tile/0/000", "tile/0/000.p/3", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/1"]
    {
        assert_eq!(log.tile(&beyond.parse().unwrap()).await.unwrap(), None, "{beyond}");
    }
}

#[tokio::test]
async fn another_key_does_not_continue_a_log() {
    let home = Home::open();
    let head = opened(&home, 3).await;
    for (stranger, what) in [(keys(9, 2), "not signed by our key"), (keys(1, 9), "`keys/vrf` was replaced")] {
        let refused = open_log(&home.ground, stranger, federation(3)).await;
        let StorageError::Corrupt { what: said, .. } = refused.unwrap_err() else { panic!("corrupt") };
        assert!(said.contains(what), "{said}");
    }
    assert_eq!(opened(&home, 3).await, head);
}

#[tokio::test]
async fn admins_see_the_log() {
    let home = Home::open();
    let none = shows(&home, "log.status", json!({})).await.unwrap_err();
    assert!(none.text.contains("keeps no key-transparency log"), "{}", none.text);
    let none = shows(&home, "log.entry", json!({ "index": "0" })).await.unwrap_err();
    assert!(none.text.contains("keeps no key-transparency log"), "{}", none.text);
    opened(&home, 3).await;
    let status = shows(&home, "log.status", json!({})).await.unwrap();
    assert_eq!(status["origin"], json!("alpha.test/kt/v1"));
    assert_eq!((&status["size"], &status["level"]), (&json!(1), &json!("logged")));
    let uses: Vec<&str> =
        status["config"]["keys"].as_array().unwrap().iter().filter_map(|key| key["use"].as_str()).collect();
    assert_eq!(uses, ["log", "vrf", "federation"]);
    let head = shows(&home, "log.head", json!({})).await.unwrap();
    assert!(head["note"].as_str().unwrap().starts_with("alpha.test/kt/v1\n1\n"));
    let entry = shows(&home, "log.entry", json!({ "index": "0" })).await.unwrap();
    assert_eq!(
        (&entry["kind"], &entry["version"], &entry["erased"]),
        (&json!(Kind::Config.to_string()), &json!(0), &json!(false))
    );
    assert_eq!(entry["config"], status["config"]);
    for (index, said) in
        [("1", "no entry 1: its last one is 0"), ("one", "can't be `one`"), ("-1", "can't be `-1`")]
    {
        let refused = shows(&home, "log.entry", json!({ "index": index })).await.unwrap_err();
        assert!(refused.text.contains(said), "{}", refused.text);
    }
    let verified = shows(&home, "log.verify", json!({})).await.unwrap();
    assert_eq!(verified, json!({ "ok": true, "entries": 1, "labels": 1, "broken": null }));
}
