//! Accounts' keys in their domains' logs, with real servers and clients: who talks to whom has verified them, and an older log is
//! noticed.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{fs, path::Path};

use anyhow::ensure;
use qpq_client::ClientError;
use qpq_core::Secret;
use qpq_tests::{HomeDomain, Person, Resident, peer, story};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

async fn shows(person: &Person, verb: &[&str]) -> anyhow::Result<Value> {
    person.qpq(&[&["--json", "keys"], verb].concat())?.succeed().await?.json()
}

#[test]
fn whoever_writes_to_somebody_elsewhere_has_verified_their_keys() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = (world.domain("alpha").await?, world.domain("beta").await?);
        peer(&alpha, &beta).await?;
        // Each is the witness of the other, by itself.
        for domain in [&alpha, &beta] {
            domain.witnessed().await?;
        }
        let alice = Person::new(world, "alice", &alpha)?;
        let bob = Person::new(world, "bob", &beta)?;
        alice.register(&alpha).await?;
        bob.register(&beta).await?;
        alice.say(&bob.address().to_string(), "hello").await?;
        bob.hears(&["hello"]).await?;
        let shown = shows(&alice, &["show", &bob.address().to_string()]).await?;
        ensure!(
            shown["log"]["version"] == 0
                && shown["log"]["level"] == "peer"
                && shown["log"]["status"] == "active",
            "{shown}"
        );
        let shown = shows(&bob, &["show", &alice.address().to_string()]).await?;
        ensure!(shown["log"]["version"] == 0, "{shown}");

        // Another device is another version: of the one who has it, and of who asks.
        let laptop = Person::with_home(world, "alice", &alpha, "laptop")?;
        laptop.logging_in()?.succeed().await?;
        for device in [&alice, &laptop] {
            let history = shows(device, &["history"]).await?;
            let reasons: Vec<_> =
                history["versions"].as_array().into_iter().flatten().map(|row| &row["reason"]).collect();
            ensure!(reasons == ["registration", "devices"] && history["alarm"].is_null(), "{history}");
        }
        let shown = shows(&bob, &["show", &alice.address().to_string()]).await?;
        ensure!(shown["log"]["version"] == 1, "{shown}");
        bob.say(&alice.address().to_string(), "and back").await?;
        alice.hears(&["and back"]).await?;

        let found = alpha.admin(&["log", "verify"]).await?;
        ensure!(found["ok"] == true && found["entries"] == 4, "two CONFIGs and two versions: {found}");
        let witnesses = alpha.admin(&["log", "witness", "list"]).await?;
        let witness = &witnesses["witnesses"][0];
        ensure!(
            witness["name"] == "beta.test/kt-witness/v1"
                && witness["named"] == true
                && witness["failed"].is_null(),
            "{witnesses}"
        );
        ensure!(alpha.admin(&["log", "evidence", "list"]).await?["evidence"] == serde_json::json!([]));
        alpha.restart().await?;
        ensure!(shows(&bob, &["show", &alice.address().to_string()]).await?["log"]["version"] == 1);
        Ok(())
    })
}

fn databases(directory: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("homeserver.db")) {
            found.push(path);
        }
    }
    Ok(found)
}

#[test]
fn an_older_copy_of_a_log_is_refused_by_whoever_saw_the_newer_one() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Person::new(world, "alice", &alpha)?;
        let bob = Person::new(world, "bob", &alpha)?;
        alice.register(&alpha).await?;
        bob.register(&alpha).await?;
        alpha.stop().await?;
        let kept = world.path().join("kept");
        fs::create_dir(&kept)?;
        for path in databases(alpha.directory())? {
            if let Some(name) = path.file_name() {
                fs::copy(&path, kept.join(name))?;
            }
        }
        alpha.start().await?;
        Person::with_home(world, "alice", &alpha, "laptop")?.logging_in()?.succeed().await?;
        ensure!(shows(&bob, &["show", &alice.address().to_string()]).await?["log"]["version"] == 1);
        shows(&alice, &["history"]).await?;

        alpha.stop().await?;
        for path in databases(alpha.directory())? {
            fs::remove_file(path)?;
        }
        for path in databases(&kept)? {
            if let Some(name) = path.file_name() {
                fs::copy(&path, alpha.directory().join(name))?;
            }
        }
        alpha.start().await?;
        bob.logging_in()?.succeed().await?;
        let refused = bob.qpq(&["keys", "show", &alice.address().to_string()])?.run().await?;
        ensure!(
            refused.code != Some(0)
                && refused.stderr.contains("the log had 4 entries and says now that it has 3"),
            "{refused:?}"
        );
        // Its owner sees that a version is forgotten, and sends nothing.
        alice.logging_in()?.succeed().await?;
        is_kept_from_sending(&alice, &bob, "has forgotten versions").await?;
        let history = shows(&alice, &["history"]).await?;
        ensure!(
            history["alarm"].as_str().is_some_and(|alarm| alarm.contains("has forgotten versions")),
            "{history}"
        );
        Ok(())
    })
}

async fn is_kept_from_sending(sender: &Person, to: &Person, why: &str) -> anyhow::Result<()> {
    let kept = sender.qpq(&["send", &to.address().to_string(), "this must wait"])?.run().await?;
    ensure!(format!("{}{}", kept.stdout, kept.stderr).contains(why), "{kept:?}");
    Ok(())
}

#[test]
fn a_rotated_key_is_followed_and_a_reset_can_be_refused() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = (world.domain("alpha").await?, world.domain("beta").await?);
        peer(&alpha, &beta).await?;
        let alice = Person::new(world, "alice", &alpha)?;
        let bob = Person::new(world, "bob", &beta)?;
        alice.register(&alpha).await?;
        bob.register(&beta).await?;
        alice.say(&bob.address().to_string(), "hello").await?;
        bob.hears(&["hello"]).await?;
        let laptop = Person::with_home(world, "alice", &alpha, "laptop")?;
        laptop.logging_in()?.succeed().await?;
        let before = shows(&bob, &["show", &alice.address().to_string()]).await?;

        let password = alice.password_file().display().to_string();
        let rotated = shows(&alice, &["rotate", "--password-file", &password]).await?;
        ensure!(rotated["version"] == 2, "{rotated}");
        let after = shows(&bob, &["show", &alice.address().to_string()]).await?;
        ensure!(after["log"]["version"] == 2 && after["changed"] == false, "nobody is asked: {after}");
        ensure!(after["pinned"] != before["pinned"], "{after}");
        alice.say(&bob.address().to_string(), "with another key").await?;
        bob.hears(&["with another key"]).await?;
        bob.say(&alice.address().to_string(), "I see").await?;
        alice.hears(&["I see"]).await?;
        // The other device sees that the key is another one, and gets it with the password.
        is_kept_from_sending(&laptop, &bob, "another identity key").await?;
        laptop.logging_in()?.succeed().await?;
        for device in [&alice, &laptop] {
            let history = shows(device, &["history"]).await?;
            ensure!(
                history["alarm"].is_null() && history["versions"][2]["reason"] == "rotation",
                "{history}"
            );
        }

        let announced = shows(&laptop, &["reset", "--password-file", &password]).await?;
        ensure!(announced["state"] == "announced", "{announced}");
        let early = laptop.qpq(&["keys", "reset", "--password-file", &password])?.run().await?;
        ensure!(early.stderr.contains("24 hours after it was announced"), "{early:?}");
        is_kept_from_sending(&alice, &bob, "somebody asked for").await?;
        let shown = shows(&bob, &["show", &alice.address().to_string()]).await?;
        ensure!(
            shown["pinned"] == after["pinned"] && shown["changed"] == false,
            "it changes nothing yet: {shown}"
        );
        shows(&alice, &["cancel-reset"]).await?;
        let history = shows(&alice, &["history"]).await?;
        ensure!(
            history["alarm"].is_null() && history["versions"][4]["reason"] == "reset_cancelled",
            "{history}"
        );
        alice.say(&bob.address().to_string(), "it was not me").await?;
        let found = alpha.admin(&["log", "verify"]).await?;
        ensure!(found["ok"] == true && found["entries"] == 7, "{found}");
        Ok(())
    })
}

/// The database of a server that is stopped.
async fn database(domain: &HomeDomain) -> anyhow::Result<SqliteConnection> {
    let key = fs::read_to_string(domain.directory().join("keys/database"))?;
    let options = SqliteConnectOptions::new()
        .filename(domain.directory().join("homeserver.db"))
        .pragma("key", format!("\"x'{}'\"", key.trim()));
    Ok(SqliteConnection::connect_with(&options).await?)
}

/// What a homeserver keeps of an account's identity key: the public one, and the private one under the password.
async fn kept_identity(domain: &HomeDomain) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let mut database = database(domain).await?;
    let kept = sqlx::query_as("SELECT identity_key, sealed_identity FROM accounts WHERE localpart = 'alice'")
        .fetch_one(&mut database)
        .await?;
    database.close().await?;
    Ok(kept)
}

#[test]
fn an_identity_key_from_before_a_rotation_is_not_taken_back() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Person::new(world, "alice", &alpha)?;
        let bob = Person::new(world, "bob", &alpha)?;
        alice.register(&alpha).await?;
        bob.register(&alpha).await?;
        alpha.stop().await?;
        let (key, sealed) = kept_identity(&alpha).await?;
        alpha.start().await?;
        let password = alice.password_file().display().to_string();
        shows(&alice, &["rotate", "--password-file", &password]).await?;
        let before: Value = alice.qpq(&["--json", "whoami"])?.succeed().await?.json()?;

        alpha.stop().await?;
        let mut database = database(&alpha).await?;
        sqlx::query("UPDATE accounts SET identity_key = ?, sealed_identity = ? WHERE localpart = 'alice'")
            .bind(key)
            .bind(sealed)
            .execute(&mut database)
            .await?;
        database.close().await?;
        alpha.start().await?;
        // Who knows the log keeps what is there; who knows nothing sees that the log names another key.
        let refused = "is not the one its log names";
        alice.logging_in()?.refuse(1, &[refused]).await?;
        let after: Value = alice.qpq(&["--json", "whoami"])?.succeed().await?.json()?;
        ensure!(after["identity_key"] == before["identity_key"], "{before} became {after}");
        let laptop = Person::with_home(world, "alice", &alpha, "laptop")?;
        laptop.logging_in()?.refuse(1, &[refused]).await?;
        is_kept_from_sending(&laptop, &bob, "its log proves").await?;
        // Others see that directory and log don't go together.
        bob.qpq(&["keys", "show", &alice.address().to_string()])?.refuse(1, &["its log proves"]).await?;
        is_kept_from_sending(&bob, &alice, "its log proves").await
    })
}

#[test]
fn a_device_that_is_ended_leaves_the_log_at_once() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Person::new(world, "alice", &alpha)?;
        let bob = Person::new(world, "bob", &alpha)?;
        alice.register(&alpha).await?;
        bob.register(&alpha).await?;
        let laptop = Person::with_home(world, "alice", &alpha, "laptop")?;
        laptop.logging_in()?.succeed().await?;
        let who: Value = laptop.qpq(&["--json", "whoami"])?.succeed().await?.json()?;
        let Some(device) = who["device"].as_str() else { anyhow::bail!("{who}") };
        alice.qpq(&["devices", "revoke", device])?.succeed().await?;
        let shown = shows(&bob, &["show", &alice.address().to_string()]).await?;
        ensure!(shown["log"]["version"] == 2, "registration, laptop, no laptop: {shown}");
        let history = shows(&alice, &["history"]).await?;
        ensure!(history["versions"][2]["devices"] == 1 && history["alarm"].is_null(), "{history}");
        Ok(())
    })
}

#[test]
fn a_client_that_logs_in_by_itself_takes_no_other_identity_key() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let laptop = Resident::log_in(world, "alice", &alpha, "laptop").await?;
        let before = alice.client().whoami().await?.identity_key;
        alice.sleep().await;
        let password = Secret::new("password of alice".to_owned());
        laptop.client().keys_rotate(&password).await?;
        laptop.sleep().await;
        let list = alpha.admin(&["session", "list", "alice@alpha.test"]).await?.to_string();
        for id in list.split('"').filter(|word| word.starts_with("ses_")) {
            alpha.admin(&["session", "revoke", id]).await?;
        }
        let by_itself = alice.client().connect().await;
        ensure!(matches!(by_itself, Err(ClientError::IdentityMoved { .. })), "{by_itself:?}");
        ensure!(alice.client().whoami().await?.identity_key == before);
        // A person who logs in sees what comes of it: the rotation is signed by the key that was here.
        alice.client().login(alice.address(), &qpq_tests::server_of(&alpha)?, &password).await?;
        let history = alice.client().keys_history().await?;
        let reasons: Vec<_> = history.versions.iter().map(|row| row.reason).collect();
        ensure!(reasons == ["registration", "devices", "rotation"] && history.alarm.is_none(), "{history:?}");
        let now = alice.client().whoami().await?.identity_key;
        ensure!(now != before && now == laptop.client().whoami().await?.identity_key);
        Ok(())
    })
}

#[test]
fn whose_place_in_the_log_was_taken_reads_on_before_they_sign_again() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let laptop = Resident::log_in(world, "alice", &alpha, "laptop").await?;
        laptop.client().keys_reset(&Secret::new("password of alice".to_owned())).await?;
        // Both stand at the same place; who comes second reads that there is nothing left to say no to.
        let (one, two) =
            tokio::join!(alice.client().keys_cancel_reset(), laptop.client().keys_cancel_reset());
        let (made, late) = if one.is_ok() { (one, two) } else { (two, one) };
        ensure!(made? == 3 && matches!(late, Err(ClientError::NoReset)), "{late:?}");
        for device in [&alice, &laptop] {
            device.sleep().await;
            let history = device.client().keys_history().await?;
            ensure!(history.versions.len() == 4 && history.alarm.is_none(), "{history:?}");
        }
        Ok(())
    })
}

#[test]
fn two_devices_that_log_in_at_once_are_both_in_the_log() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Person::new(world, "alice", &alpha)?;
        alice.register(&alpha).await?;
        let [one, two] = [
            Person::with_home(world, "alice", &alpha, "one")?,
            Person::with_home(world, "alice", &alpha, "two")?,
        ];
        let (first, second) = (one.logging_in()?, two.logging_in()?);
        let (first, second) = tokio::join!(first.succeed(), second.succeed());
        first?;
        second?;
        // Whichever was second has signed again, where its version stands now.
        let history = shows(&alice, &["history"]).await?;
        let devices: Vec<_> =
            history["versions"].as_array().into_iter().flatten().map(|row| &row["devices"]).collect();
        ensure!(devices == [1, 2, 3] && history["alarm"].is_null(), "{history}");
        Ok(())
    })
}

#[test]
fn a_revoked_key_ends_conversations_that_run() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = (world.domain("alpha").await?, world.domain("beta").await?);
        peer(&alpha, &beta).await?;
        let alice = Person::new(world, "alice", &alpha)?;
        let bob = Person::new(world, "bob", &beta)?;
        alice.register(&alpha).await?;
        bob.register(&beta).await?;
        alice.say(&bob.address().to_string(), "hello").await?;
        bob.hears(&["hello"]).await?;
        bob.say(&alice.address().to_string(), "and back").await?;
        alice.hears(&["and back"]).await?;

        alice.qpq(&["keys", "revoke"])?.refuse(1, &["--yes", "keys reset"]).await?;
        let revoked = shows(&alice, &["revoke", "--yes"]).await?;
        ensure!(revoked["version"] == 1, "{revoked}");
        is_kept_from_sending(&alice, &bob, "you have revoked your identity key").await?;
        alice.qpq(&["keys", "revoke", "--yes"])?.refuse(1, &["you have revoked"]).await?;
        is_kept_from_sending(&bob, &alice, "revoked their identity key").await?;
        let shown = shows(&bob, &["show", &alice.address().to_string()]).await?;
        ensure!(shown["log"]["status"] == "revoked" && shown["in_log"] == "logged", "{shown}");
        // What a person wants to send in a group is told the same, without another look.
        let groups: Value = bob.qpq(&["--json", "group", "list"])?.succeed().await?.json()?;
        let Some(group) = groups["group"].as_str() else { anyhow::bail!("{groups}") };
        bob.qpq(&["send", group, "and there"])?.refuse(1, &["revoked their identity key"]).await?;

        // The way out: another key, announced like any reset.
        let history = shows(&alice, &["history"]).await?;
        ensure!(history["alarm"].is_null() && history["versions"][1]["reason"] == "revocation", "{history}");
        let password = alice.password_file().display().to_string();
        alice
            .qpq(&["keys", "rotate", "--password-file", &password])?
            .refuse(1, &["you have revoked"])
            .await?;
        let announced = shows(&alice, &["reset", "--password-file", &password]).await?;
        ensure!(announced["state"] == "announced", "{announced}");
        is_kept_from_sending(&alice, &bob, "somebody asked for").await?;
        let cancelled = shows(&alice, &["cancel-reset"]).await?;
        ensure!(cancelled["version"] == 3, "{cancelled}");
        is_kept_from_sending(&alice, &bob, "you have revoked your identity key").await
    })
}
