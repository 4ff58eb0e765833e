//! What waits for a domain that is away has a bound, and whoever is beyond it hears of it: real servers, real clients.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use qpq_client::{Message, SendState};
use qpq_tests::{HomeDomain, Resident, World, eventually, peer, story};

const SOON: Duration = Duration::from_mins(1);
/// Refused messages are offered again when the domain said so, which is after a minute.
const LATER: Duration = Duration::from_mins(2);
/// The least that can be set, and more messages than fit into it.
const LITTLE: &[(&str, &str)] = &[("QPQ_LIMITS_PEER_QUEUE_BYTES", "8388608")];
const MORE: usize = 45;

/// A text of 200,000 bytes that begins with a number.
fn long(number: usize) -> String {
    format!("{number}{}", " ".repeat(200_000))
}

/// What the texts begin with.
fn numbers(messages: &[Message]) -> Vec<usize> {
    messages.iter().filter_map(|message| message.text.trim_end().parse().ok()).collect()
}

async fn away(world: &World, settings: &[(&str, &str)]) -> anyhow::Result<(HomeDomain, HomeDomain)> {
    let alpha = world.domain_with("alpha", settings).await?;
    let beta = world.domain("beta").await?;
    peer(&alpha, &beta).await?;
    Ok((alpha, beta))
}

#[test]
fn a_bound_that_a_commit_does_not_fit_into_is_refused_in_words() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.dormant("alpha", &[]).await?;
        for bad in ["5000", "8388607", "1GiB", "-1", ""] {
            alpha.set("QPQ_LIMITS_PEER_QUEUE_BYTES", bad);
            let words = ["limits.peer-queue-bytes", "(from environment)", "8388608 or more"];
            alpha.server(&["serve"])?.refuse(2, &words).await?;
        }
        alpha.set("QPQ_LIMITS_PEER_QUEUE_BYTES", "8388608");
        alpha.start().await
    })
}

#[test]
fn a_sender_waits_when_too_much_waits_for_a_domain_and_nothing_is_lost() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = away(world, LITTLE).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &beta).await?;
        alice.say("bob@beta.test", "0").await?;
        bob.wake();
        bob.hear(1, SOON).await?;
        bob.sleep().await;
        beta.stop().await?;
        let mut queued = None;
        for number in 1..=MORE {
            let sent = alice.send("bob@beta.test", &long(number)).await?;
            if sent.state == SendState::Queued {
                queued.get_or_insert(sent);
            }
        }
        let queued = queued.context("everything was taken")?;
        let why = queued.waits.context("why it waits is told")?;
        ensure!(why.contains("beta.test"), "{why}");
        let findings = alpha.asked("/metrics").await?;
        ensure!(findings.contains("quicproquo_limits_hit_total{limit=\"peer-queue\"}"), "{findings}");
        let shown = alpha.admin(&["peer", "show", "beta.test"]).await?;
        let percent = shown["queue_percent"].as_u64().context("how full it is")?;
        ensure!((90..=100).contains(&percent), "{shown}");
        let report = alpha.server(&["doctor", "--json"])?.run().await?.stdout;
        ensure!(report.contains("peers.queue-full"), "{report}");
        beta.start().await?;
        bob.wake();
        alice.wake();
        let heard = numbers(&bob.hear(MORE, LATER).await?);
        ensure!(heard == (1..=MORE).collect::<Vec<_>>(), "in order, each once: {heard:?}");
        Ok(())
    })
}

#[test]
fn in_a_larger_group_a_domain_that_was_away_is_left_behind_and_taken_in_anew() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = away(world, LITTLE).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let anna = Resident::register(world, "anna", &alpha).await?;
        let bob = Resident::register(world, "bob", &beta).await?;
        alice.client().group_create("team").await?;
        alice.client().group_add("team", &[anna.address().clone(), bob.address().clone()]).await?;
        alice.wake();
        anna.wake();
        bob.wake();
        alice.say("team", "0").await?;
        anna.hear(1, SOON).await?;
        bob.hear(1, SOON).await?;
        bob.sleep().await;
        beta.stop().await?;
        for number in 1..=MORE {
            alice.say("team", &long(number)).await?;
        }
        ensure!(numbers(&anna.hear(MORE, SOON).await?).len() == MORE, "the others hear everything");
        // What is marked at the hub outlives it.
        alpha.restart().await?;
        beta.start().await?;
        bob.wake();
        eventually("bob is told that he was left behind", SOON, async || {
            let shown = bob.client().group_show("team").await?;
            Ok((shown.summary.state == "needs_resync").then_some(()))
        })
        .await?;
        ensure!(bob.send("team", "can you hear me?").await.is_err(), "who was left behind can't send");
        eventually("alice takes bob in anew", SOON, async || {
            Ok(alice.client().group_add("team", &[bob.address().clone()]).await.ok())
        })
        .await?;
        alice.say("team", "welcome back").await?;
        eventually("bob hears again", SOON, async || {
            Ok(bob.take().await?.iter().any(|message| message.text == "welcome back").then_some(()))
        })
        .await?;
        bob.say("team", "thanks").await?;
        eventually("anna hears bob", SOON, async || {
            Ok(anna.take().await?.iter().any(|message| message.text == "thanks").then_some(()))
        })
        .await?;
        Ok(())
    })
}

#[test]
fn a_commit_for_a_domain_that_is_away_for_too_long_is_not_kept_for_ever() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = away(world, &[("QPQ_LIMITS_PEER_QUEUE_AGE", "1s")]).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let anna = Resident::register(world, "anna", &alpha).await?;
        let bob = Resident::register(world, "bob", &beta).await?;
        alice.client().group_create("team").await?;
        alice.client().group_add("team", &[bob.address().clone()]).await?;
        alice.wake();
        bob.wake();
        alice.say("team", "0").await?;
        bob.hear(1, SOON).await?;
        bob.sleep().await;
        beta.stop().await?;
        alice.client().group_add("team", &[anna.address().clone()]).await?;
        eventually("the commit has ended", SOON, async || {
            let run = alpha.admin(&["job", "run", "expire-relay"]).await?;
            Ok(run.to_string().contains("1 row given up").then_some(()))
        })
        .await?;
        beta.start().await?;
        bob.wake();
        eventually("bob is told that he was left behind", SOON, async || {
            let shown = bob.client().group_show("team").await?;
            Ok((shown.summary.state == "needs_resync").then_some(()))
        })
        .await
    })
}

/// Ends a peering and waits until what waited is given back.
async fn forgets(domain: &HomeDomain, other: &str) -> anyhow::Result<()> {
    domain.admin(&["peer", "remove", other]).await?;
    domain.admin(&["job", "run", "expire-relay"]).await.map(drop)
}

async fn hears_that_it_did_not_arrive(sender: &Resident, other: &str) -> anyhow::Result<()> {
    sender.wake();
    let reason = eventually("the sender hears of it", SOON, async || {
        Ok(sender.client().undelivered().await?.into_iter().next().map(|told| told.reason))
    })
    .await?;
    ensure!(reason.contains(other) && reason.contains("no peer"), "{reason}");
    Ok(())
}

#[test]
fn senders_hear_that_what_waited_for_a_removed_peer_did_not_arrive() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = away(world, &[]).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &beta).await?;
        alice.say("bob@beta.test", "0").await?;
        bob.wake();
        bob.hear(1, SOON).await?;
        // Bob's message waits on its way to the hub, alice's on its way from it.
        alpha.stop().await?;
        bob.say("alice@alpha.test", "too late").await?;
        forgets(&beta, "alpha.test").await?;
        hears_that_it_did_not_arrive(&bob, "alpha.test").await?;
        beta.stop().await?;
        alpha.start().await?;
        alice.say("bob@beta.test", "too late").await?;
        forgets(&alpha, "beta.test").await?;
        hears_that_it_did_not_arrive(&alice, "beta.test").await
    })
}
