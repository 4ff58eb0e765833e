//! Keys that people compare, and proofs of them that they hand on, with real servers and clients.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::fs;

use anyhow::{Context as _, ensure};
use qpq_tests::{HomeDomain, Person, peer, site::fetch, story};
use qpq_transparency_tree::{
    SignedCheckpoint, VerifierKey,
    audit::Audit,
    binding_record::BindingRecord,
    policy::Policy,
    proof_file::ProofFile,
    tile::{BundleId, unbundle},
    vrf::VrfPublic,
};
use serde_json::Value;

async fn keys(person: &Person, verb: &[&str]) -> anyhow::Result<Value> {
    person.qpq(&[&["--json", "keys"], verb].concat())?.succeed().await?.json()
}

async fn number(person: &Person, other: &Person) -> anyhow::Result<String> {
    let found = keys(person, &["verify", &other.address().to_string()]).await?;
    ensure!(found["log"]["status"] == "active" && found["changed"] == false, "{found}");
    let number = found["safety_number"].as_str().context("no safety number")?;
    ensure!(number.split(' ').count() == 12 && number.len() == 71, "{found}");
    Ok(number.to_owned())
}

#[test]
fn two_people_see_the_same_safety_number_until_a_key_changes() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = (world.domain("alpha").await?, world.domain("beta").await?);
        peer(&alpha, &beta).await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        let carol = world.person("carol", &beta).await?;
        alice.say(&bob.address().to_string(), "hello").await?;
        bob.hears(&["hello"]).await?;
        bob.say(&alice.address().to_string(), "and back").await?;
        alice.hears(&["and back"]).await?;

        let before = number(&alice, &bob).await?;
        ensure!(number(&bob, &alice).await? == before);
        ensure!(number(&bob, &carol).await? != before);
        let shown = bob.qpq(&["keys", "verify", &alice.address().to_string()])?.succeed().await?.stdout;
        let digits = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        ensure!(digits(&shown).contains(&before) && shown.contains("version 0"), "{shown}");
        let own = alice.qpq(&["keys", "verify", &alice.address().to_string()])?;
        own.refuse(1, &["is yourself"]).await?;

        let laptop = Person::with_home(world, "alice", &alpha, "laptop")?;
        laptop.logging_in()?.succeed().await?;
        let password = alice.password_file().to_str().context("no text")?;
        keys(&alice, &["rotate", "--password-file", password]).await?;
        let after = number(&bob, &alice).await?;
        ensure!(after != before && number(&alice, &bob).await? == after);
        // A number of a key that counts no more, or of one that was asked for long ago, would look like an attack.
        let from_before = laptop.qpq(&["keys", "verify", &bob.address().to_string()])?;
        from_before.refuse(1, &["another identity key"]).await?;
        beta.stop().await?;
        let unasked = alice.qpq(&["keys", "verify", &bob.address().to_string()])?;
        unasked.refuse(1, &["can't be reached"]).await?;
        Ok(())
    })
}

/// A domain whose log is public, and where.
async fn published(domain: &HomeDomain) -> anyhow::Result<std::net::SocketAddr> {
    domain.stop().await?;
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    domain.set("QPQ_PUBLIC_LISTEN", &free.to_string());
    domain.start().await?;
    Ok(free)
}

#[test]
fn a_proof_of_somebodys_keys_convinces_others_and_is_of_the_published_log() -> anyhow::Result<()> {
    story(async |world| {
        let beta = world.domain("beta").await?;
        let place = published(&beta).await?;
        let bob = world.person("bob", &beta).await?;
        let carol = world.person("carol", &beta).await?;
        let (whose, file) = (bob.address().to_string(), world.path().join("bob.proof"));
        let path = file.to_str().context("no text")?;
        let exported = keys(&carol, &["export-proof", &whose, path]).await?;
        let bytes = fs::read(&file)?;
        let printed = carol.qpq(&["keys", "export-proof", &whose])?.succeed().await?.stdout;
        ensure!(printed.as_bytes() == bytes && exported["proof"] == printed, "{printed}");

        // Somebody else, with the log's key from the domain itself.
        let key: VerifierKey =
            beta.admin(&["log", "status"]).await?["key"].as_str().context("no key")?.parse()?;
        ensure!(exported["log_key"] == key.to_string(), "{exported}");
        let proof = ProofFile::parse(&bytes)?;
        let record = BindingRecord::from_bytes(proof.extra.as_deref().context("no record")?)?;
        let policy = Policy::of_log(key.clone(), &[]);
        proof.verify(&record.entry.leaf_hash(), &policy)?;
        ensure!(record.is_committed_to() && record.label.address().to_string() == whose);
        let config = beta.admin(&["log", "entry", "0"]).await?;
        let mut domain_keys = config["config"]["keys"].as_array().into_iter().flatten();
        let vrf = domain_keys.find(|key| key["use"] == "vrf").and_then(|key| key["key"].as_str());
        let vrf = data_encoding::HEXLOWER.decode(vrf.context("no VRF key")?.as_bytes())?;
        let vrf = VrfPublic::from_bytes(vrf.as_slice().try_into()?).context("a weak VRF key")?;
        ensure!(record.is_placed_by(&vrf));
        let shown = keys(&carol, &["show", &whose]).await?;
        ensure!(shown["pinned"] == record.value.value.identity().to_string(), "{shown}");

        // The log goes on, and what it publishes then still has the proof's tree as its beginning.
        world.person("dora", &beta).await?;
        let signed = SignedCheckpoint::parse(&fetch(place, "/kt/v1/checkpoint").await?)?;
        signed.signed_by(&key)?;
        let head = proof.checkpoint.head();
        ensure!(signed.head().size > head.size, "dora is logged");
        let bundle = BundleId::of(0, signed.head().size).context("no entries")?;
        let bytes = fetch(place, &format!("/kt/v1/{bundle}")).await?;
        let entries = unbundle(&bytes)?;
        let (then, since) = entries.split_at(usize::try_from(head.size)?);
        let mut audit = Audit::new();
        audit.take(then)?;
        audit.finish(head)?;
        audit.take(since)?;
        audit.finish(signed.head())?;
        ensure!(then[usize::try_from(proof.index)?] == record.entry.to_bytes());

        let unknown = carol.qpq(&["keys", "export-proof", "nobody@beta.test"])?;
        unknown.refuse(1, &["could not ask for nobody@beta.test"]).await?;
        Ok(())
    })
}
