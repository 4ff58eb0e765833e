//! A database that went back: a peer's proof stops the server before it tells anybody what isn't true any more, its admin lets it
//! go on in a new life, and what its peers still hold comes back.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use qpq_client::SendState;
use qpq_tests::{HomeDomain, Resident, eventually, story};
use serde_json::Value;

const SOON: Duration = Duration::from_mins(1);

/// Copies a data directory of a server that doesn't run, without the sockets below `run`.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

/// Puts a domain's directory back to a copy.
fn put_back(domain: &HomeDomain, copied: &Path) -> anyhow::Result<()> {
    fs::remove_dir_all(domain.directory())?;
    copy(copied, domain.directory())
}

/// Waits until everything that a domain has for another is there.
async fn drained(from: &HomeDomain, to: &HomeDomain) -> anyhow::Result<()> {
    eventually("the queue is empty", SOON, async || {
        let shown = from.admin(&["peer", "show", to.name().as_str()]).await?;
        let queued = shown.get("queued").and_then(Value::as_u64).context("no `queued`")?;
        Ok((queued == 0).then_some(()))
    })
    .await
}

async fn texts(resident: &Resident, count: usize) -> anyhow::Result<Vec<String>> {
    Ok(resident.hear(count, SOON).await?.into_iter().map(|message| message.text).collect())
}

/// Starts a server that was put back, and lets it go on in a new life after it has stopped at a peer's proof.
async fn begins_anew(beta: &HomeDomain) -> anyhow::Result<()> {
    beta.launch()?;
    let status = beta.ended().await?;
    ensure!(status.code().is_some_and(|code| code != 0), "{status}:\n{}", beta.said());
    ensure!(beta.said().contains("this database is older than what was sent from it"), "{}", beta.said());
    beta.admin(&["incarnation", "begin", "--reason", "the only copy", "--confirm", beta.name().as_str()])
        .await?;
    beta.start().await
}

#[test]
fn a_hub_that_was_put_back_uses_no_place_in_its_logs_twice() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let (alice, bob) = (
            Resident::register(world, "alice", &alpha).await?,
            Resident::register(world, "bob", &beta).await?,
        );
        let to_alice = alice.address().to_string();
        alice.wake();
        bob.wake();
        // Who begins a conversation makes their domain its hub.
        bob.send(&to_alice, "one").await?;
        ensure!(texts(&alice, 1).await? == ["one"]);
        beta.stop().await?;
        let copied = world.path().join("beta.copy");
        copy(beta.directory(), &copied)?;
        beta.start().await?;
        for text in ["lost at the hub", "lost there, too"] {
            bob.send(&to_alice, text).await?;
        }
        ensure!(texts(&alice, 2).await?.len() == 2);
        drained(&beta, &alpha).await?;
        bob.sleep().await;
        beta.stop().await?;
        put_back(&beta, &copied)?;
        begins_anew(&beta).await?;
        bob.wake();
        let texts_after = ["after it", "and again", "and once more"];
        for text in texts_after {
            bob.send(&to_alice, text).await?;
        }
        ensure!(texts(&alice, 3).await? == texts_after, "places in the log were used twice");
        Ok(())
    })
}

#[test]
fn what_only_its_users_still_have_is_offered_again() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let (alice, bob) = (
            Resident::register(world, "alice", &alpha).await?,
            Resident::register(world, "bob", &beta).await?,
        );
        let carol = Resident::register(world, "carol", &beta).await?;
        let (to_bob, to_carol) = (bob.address().to_string(), carol.address().to_string());
        alice.wake();
        bob.wake();
        // Alpha orders this conversation, beta the other.
        let begun = alice.send(&to_bob, "one").await?.group.context("no conversation")?.to_string();
        ensure!(texts(&bob, 1).await? == ["one"]);
        carol.wake();
        bob.send(&to_carol, "to carol").await?;
        ensure!(texts(&carol, 1).await? == ["to carol"]);
        carol.sleep().await;
        drained(&beta, &alpha).await?;
        bob.sleep().await;
        beta.stop().await?;
        let copied = world.path().join("beta.copy");
        copy(beta.directory(), &copied)?;
        beta.start().await?;

        bob.wake();
        bob.send(&begun, "at alpha").await?;
        ensure!(texts(&alice, 1).await? == ["at alpha"]);
        drained(&beta, &alpha).await?;
        alpha.stop().await?;
        // Beta accepts it and can't hand it on; nobody has read the other.
        let queued = bob.send(&begun, "on beta's disk only").await?;
        ensure!(queued.state == SendState::Accepted, "{queued:?}");
        let unread = bob.send(&to_carol, "in beta's log only").await?;
        ensure!(unread.state == SendState::Accepted, "{unread:?}");
        bob.sleep().await;
        beta.stop().await?;

        put_back(&beta, &copied)?;
        alpha.start().await?;
        begins_anew(&beta).await?;
        bob.wake();
        ensure!(texts(&alice, 1).await? == ["on beta's disk only"], "what bob still had was lost");
        carol.wake();
        ensure!(texts(&carol, 1).await? == ["in beta's log only"]);
        // What came after it comes after it, and what alpha had is not there twice.
        bob.send(&begun, "after it").await?;
        ensure!(texts(&alice, 1).await? == ["after it"]);
        bob.send(&to_carol, "after it").await?;
        ensure!(texts(&carol, 1).await? == ["after it"]);
        Ok(())
    })
}

#[test]
fn a_server_that_was_put_back_stops_at_a_peers_proof_and_goes_on_in_a_new_life() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let (alice, bob) = (
            Resident::register(world, "alice", &alpha).await?,
            Resident::register(world, "bob", &beta).await?,
        );
        let (to_alice, to_bob) = (alice.address().to_string(), bob.address().to_string());
        alice.wake();
        bob.wake();
        alice.send(&to_bob, "one").await?;
        ensure!(texts(&bob, 1).await? == ["one"]);
        bob.send(&to_alice, "two").await?;
        ensure!(texts(&alice, 1).await? == ["two"]);

        beta.stop().await?;
        let copied = world.path().join("beta.copy");
        copy(beta.directory(), &copied)?;
        beta.start().await?;
        bob.send(&to_alice, "three").await?;
        ensure!(texts(&alice, 1).await? == ["three"]);
        drained(&alpha, &beta).await?;
        bob.sleep().await;
        // Only beta's disk has it besides alpha, which was told that it is stored.
        alice.send(&to_bob, "four").await?;
        drained(&alpha, &beta).await?;
        beta.stop().await?;

        put_back(&beta, &copied)?;
        beta.launch()?;
        let status = beta.ended().await?;
        ensure!(status.code().is_some_and(|code| code != 0), "{status}:\n{}", beta.said());
        ensure!(beta.said().contains("this database is older than what was sent from it"), "{}", beta.said());
        let again = beta.server(&["serve"])?.run().await?;
        ensure!(again.code != Some(0) && again.stderr.contains("incarnation begin"), "{again:?}");
        let begin = ["incarnation", "begin", "--reason", "the only copy", "--confirm"];
        let wrong = beta.server(&[&begin[..], &["alpha.test"]].concat())?.run().await?;
        ensure!(wrong.code != Some(0) && wrong.stderr.contains("belongs to `beta.test`"), "{wrong:?}");
        beta.admin(&[&begin[..], &["beta.test"]].concat()).await?;

        beta.start().await?;
        bob.wake();
        ensure!(texts(&bob, 1).await? == ["four"], "what alpha still held did not come back");
        bob.send(&to_alice, "five").await?;
        ensure!(texts(&alice, 1).await? == ["five"]);
        alice.send(&to_bob, "six").await?;
        ensure!(texts(&bob, 1).await? == ["six"]);
        let once_more = beta.server(&[&begin[..], &["beta.test"]].concat())?;
        drained(&beta, &alpha).await?;
        beta.stop().await?;
        let unasked = once_more.run().await?;
        ensure!(unasked.code != Some(0) && unasked.stderr.contains("can be served as it is"), "{unasked:?}");
        Ok(())
    })
}
