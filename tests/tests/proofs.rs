//! Delivery proofs: what each domain signs about a message, brought back to its sender, and checked by anybody offline.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use qpq_tests::{Person, Program, World, eventually, peer, story};
use serde_json::Value;

const SOON: Duration = Duration::from_mins(1);

/// What a person has of a message, as `qpq proof` prints it: (domain, role), and the file that it wrote.
async fn proven(
    world: &World,
    person: &Person,
    message: &str,
) -> anyhow::Result<(Vec<(String, String)>, PathBuf)> {
    let file = world.path().join(format!("{message}.json"));
    let path = file.to_str().context("the path is not UTF-8")?;
    let lines: Vec<Value> = person.qpq(&["proof", message, path, "--json"])?.succeed().await?.json_lines()?;
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    ensure!(lines.iter().all(|line| line["valid"] == true), "{lines:?}");
    Ok((lines.iter().map(|line| (text(line, "domain"), text(line, "role"))).collect(), file))
}

/// Waits until exactly these domains have signed.
async fn until_proven(
    world: &World,
    person: &Person,
    message: &str,
    expected: &[(&str, &str)],
) -> anyhow::Result<PathBuf> {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(domain, role)| ((*domain).to_owned(), (*role).to_owned())).collect();
    eventually("the receipts come back", SOON, async || {
        let (found, file) = proven(world, person, message).await?;
        ensure!(found.iter().all(|proof| expected.contains(proof)), "{found:?}");
        Ok((found == expected).then_some(file))
    })
    .await
}

/// `qpq verify-proof`, without any home.
fn verify(file: &std::path::Path) -> anyhow::Result<Program> {
    Ok(Program::new("qpq")?.arg("verify-proof").arg(file))
}

#[test]
fn both_domains_of_a_message_prove_it_and_anybody_can_check() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let (alice, bob) = (world.person("alice", &alpha).await?, world.person("bob", &beta).await?);
        // Alice's domain orders the conversation.
        let sent = alice.say("bob@beta.test", "hello").await?;
        bob.hears(&["hello"]).await?;
        let both = [("alpha.test", "accepted"), ("beta.test", "stored")];
        let file = until_proven(world, &alice, &sent.message_id, &both).await?;
        let checked = verify(&file)?.succeed().await?;
        ensure!(checked.stdout.contains("beta.test stored"), "{checked}");
        ensure!(checked.stdout.contains("alpha.test is said to know the key"), "{checked}");

        // Bob answers: beta takes it over, and alpha stores it in the conversation's log.
        let answer = bob.say("alice@alpha.test", "hello yourself").await?;
        alice.hears(&["hello yourself"]).await?;
        let both = [("beta.test", "accepted"), ("alpha.test", "stored")];
        until_proven(world, &bob, &answer.message_id, &both).await?;

        // It isn't bob's message, and nobody's else.
        let other = bob.qpq(&["proof", &sent.message_id, "none.json"])?;
        other.refuse(1, &["has sent no message"]).await?;

        // Another message, another text, another recipient: nothing of that is proven.
        let text = std::fs::read_to_string(&file)?;
        let forged = file.with_extension("forged");
        for (from, to) in [
            (sent.message_id.as_str(), answer.message_id.as_str()),
            ("\"recipient\": \"beta.test\"", "\"recipient\": \"alpha.test\""),
        ] {
            ensure!(text.contains(from), "{from} is not in {text}");
            std::fs::write(&forged, text.replace(from, to))?;
            let refused = verify(&forged)?.refuse(1, &["proofs don't hold"]).await?;
            ensure!(refused.stdout.contains("INVALID"), "{refused}");
        }
        let mut other: Value = serde_json::from_str(&text)?;
        other["ciphertextSha256"] = Value::from("00".repeat(32));
        std::fs::write(&forged, other.to_string())?;
        verify(&forged)?.refuse(1, &["proofs don't hold"]).await?;
        std::fs::write(&forged, "{\"format\": \"\\u001b[2Jother\"}")?;
        let escaped = verify(&forged)?.refuse(1, &["it is no proof file"]).await?;
        ensure!(!escaped.stderr.contains('\u{1b}'), "a file can't move the cursor: {escaped:?}");
        std::fs::write(&forged, "{\"format\": \"other\"}")?;
        verify(&forged)?.refuse(1, &["it is no proof file of format `qpq/proof/v1`"]).await?;
        verify(&world.path().join("nothing.json"))?.refuse(1, &["could not read"]).await?;
        Ok(())
    })
}

#[test]
fn receipts_survive_restarts_and_absences() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let (alice, bob) = (world.person("alice", &alpha).await?, world.person("bob", &beta).await?);
        alice.say("bob@beta.test", "first").await?;
        bob.hears(&["first"]).await?;
        beta.kill().await?;
        let sent = alice.say("bob@beta.test", "while you were away").await?;
        let (found, _) = proven(world, &alice, &sent.message_id).await?;
        ensure!(found == [("alpha.test".to_owned(), "accepted".to_owned())], "{found:?}");
        alpha.kill().await?;
        beta.start().await?;
        alpha.start().await?;
        bob.hears(&["while you were away"]).await?;
        let both = [("alpha.test", "accepted"), ("beta.test", "stored")];
        until_proven(world, &alice, &sent.message_id, &both).await?;
        Ok(())
    })
}

#[test]
fn a_hub_elsewhere_brings_the_members_receipts_to_the_senders_home() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let gamma = world.domain("gamma").await?;
        peer(&gamma, &alpha).await?;
        peer(&gamma, &beta).await?;
        let (alice, bob) = (world.person("alice", &alpha).await?, world.person("bob", &beta).await?);
        let carol = world.person("carol", &gamma).await?;
        carol.creates_group("team").await?;
        carol.adds("team", &[&alice, &bob]).await?;
        carol.say("team", "welcome").await?;
        alice.hears(&["welcome"]).await?;
        bob.hears(&["welcome"]).await?;
        let sent = alice.say("team", "thank you").await?;
        carol.hears(&["thank you"]).await?;
        bob.hears(&["thank you"]).await?;
        let all = [("alpha.test", "accepted"), ("beta.test", "stored"), ("gamma.test", "stored")];
        let file = until_proven(world, &alice, &sent.message_id, &all).await?;
        verify(&file)?.succeed().await?;
        // Nothing of it counts as a message.
        ensure!(alice.reads().await?.is_empty());
        Ok(())
    })
}
