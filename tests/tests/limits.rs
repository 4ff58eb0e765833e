//! Limits bite in words, say when to try again, and lose nothing. They are lowered by configuration here.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, ensure};
use qpq_client::{Message, SendState};
use qpq_core::Address;
use qpq_schemas::client_capnp::key_packages;
use qpq_tests::{HomeDomain, Resident, eventually, story, wire};

const SOON: Duration = Duration::from_mins(1);
/// Refused messages are offered again when the domain said so, which may be half a minute.
const LATER: Duration = Duration::from_mins(2);
const FEW: &[(&str, &str)] = &[("QPQ_LIMITS_MAILBOX_MESSAGES", "3")];

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.text.as_str()).collect()
}

#[test]
fn a_full_queue_refuses_in_a_conversation_of_two_and_loses_nothing() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain_with("alpha", FEW).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &alpha).await?;
        bob.sleep().await;
        for n in 1..=3 {
            alice.say("bob@alpha.test", &n.to_string()).await?;
        }
        let fourth = alice.send("bob@alpha.test", "4").await?;
        ensure!(fourth.state == SendState::Queued, "{fourth:?}");
        ensure!(fourth.waits.is_some_and(|reason| !reason.is_empty()), "why it waits is told");
        alice.wake();
        bob.wake();
        let heard = bob.hear(4, LATER).await?;
        ensure!(texts(&heard) == ["1", "2", "3", "4"], "{heard:?}");
        Ok(())
    })
}

#[test]
fn a_full_queue_at_another_domain_returns_to_the_sender_and_loses_nothing() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let beta = world.domain_with("beta", FEW).await?;
        qpq_tests::peer(&alpha, &beta).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &beta).await?;
        bob.sleep().await;
        for n in 1..=5 {
            alice.send("bob@beta.test", &n.to_string()).await?;
        }
        alice.wake();
        bob.wake();
        let heard = bob.hear(5, LATER).await?;
        let once: BTreeSet<_> = texts(&heard).into_iter().collect();
        ensure!(heard.len() == 5 && once.len() == 5, "each once: {heard:?}");
        ensure!(texts(&heard).starts_with(&["1", "2", "3"]), "{heard:?}");
        Ok(())
    })
}

#[test]
fn in_a_larger_group_who_falls_behind_is_cut_off_and_taken_in_anew() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let beta = world.domain_with("beta", FEW).await?;
        qpq_tests::peer(&alpha, &beta).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &beta).await?;
        let carol = Resident::register(world, "carol", &beta).await?;
        alice.client().group_create("team").await?;
        alice.client().group_add("team", &[bob.address().clone(), carol.address().clone()]).await?;
        alice.wake();
        carol.wake();
        bob.wake();
        alice.say("team", "0").await?;
        bob.hear(1, SOON).await?;
        carol.hear(1, SOON).await?;
        bob.sleep().await;
        let said: Vec<_> = (1..=6).map(|n| n.to_string()).collect();
        for text in &said {
            alice.say("team", text).await?;
            let heard = carol.hear(1, SOON).await?;
            ensure!(texts(&heard) == [text.as_str()], "{heard:?}");
        }
        bob.wake();
        eventually("bob is told that he was cut off", SOON, async || {
            let shown = bob.client().group_show("team").await?;
            Ok((shown.summary.state == "needs_resync").then_some(()))
        })
        .await?;
        ensure!(bob.send("team", "can you hear me?").await.is_err(), "who is cut off can't send");
        alice.client().group_add("team", &[bob.address().clone()]).await?;
        alice.say("team", "welcome back").await?;
        eventually("bob hears again", SOON, async || {
            Ok(bob.take().await?.iter().any(|message| message.text == "welcome back").then_some(()))
        })
        .await?;
        bob.say("team", "thanks").await?;
        carol.hear(2, SOON).await?;
        Ok(())
    })
}

#[test]
fn too_many_messages_a_minute_wait_and_then_go_out_in_order() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain_with("alpha", &[("QPQ_LIMITS_SUBMITS_PER_MINUTE", "6")]).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &alpha).await?;
        bob.wake();
        let mut queued = 0;
        for n in 0..9 {
            let sent = alice.send("bob@alpha.test", &n.to_string()).await?;
            queued += usize::from(sent.state == SendState::Queued);
        }
        ensure!((1..=6).contains(&queued), "{queued} of 9 messages waited");
        alice.wake();
        let heard = bob.hear(9, LATER).await?;
        ensure!(texts(&heard) == ["0", "1", "2", "3", "4", "5", "6", "7", "8"], "{heard:?}");
        Ok(())
    })
}

/// One claim by hand: whether the package is the last resort, and its bytes.
async fn claim(
    packages: &key_packages::Client,
    target: &Address,
    nonce: u8,
) -> anyhow::Result<(bool, Vec<u8>)> {
    let mut request = packages.claim_request();
    let mut params = request.get();
    let group = [[nonce; 16].as_slice(), &1_u32.to_be_bytes(), b"alpha.test"].concat();
    params.set_group(&group);
    params.set_nonce(&[nonce; 16]);
    params.init_targets(1).set(0, target.to_string());
    let answer = wire::within(request.send().promise).await?;
    let answer = answer.get()?;
    ensure!(!answer.has_failure(), "{:?}", wire::refused(answer.get_failure()?)?);
    let user = answer.get_users()?.get(0);
    let keys = user.get_keys()?;
    ensure!(!keys.has_failure(), "{:?}", wire::refused(keys.get_failure()?)?);
    let package = user.get_packages()?.iter().next().context("no KeyPackage")?;
    Ok((package.get_last_resort(), package.get_key_package()?.to_vec()))
}

/// Alice's KeyPackages capability, by hand.
async fn packages_of(
    domain: &HomeDomain,
    resident: &Resident,
) -> anyhow::Result<(wire::Wire, key_packages::Client)> {
    resident.sleep().await;
    let wire = wire::Wire::dial(&domain.client_address(), domain.name(), domain.pin()).await?;
    let resumed = wire.resume(&resident.resumption_token().await?).await?;
    let session = resumed.map_err(|refused| anyhow::anyhow!("{refused:?}"))?.session;
    let packages = session.key_packages_request().send().pipeline.get_key_packages();
    Ok((wire, packages))
}

#[test]
fn when_one_time_key_packages_are_gone_the_last_resort_serves() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain_with("alpha", &[("QPQ_LIMITS_CLAIM_BURST", "1000")]).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &alpha).await?;
        bob.sleep().await;
        let (wire, packages) = packages_of(&alpha, &alice).await?;
        let mut taken = BTreeSet::new();
        let mut last_resort = None;
        for nonce in 1..=250 {
            let (is_last, package) = claim(&packages, bob.address(), nonce).await?;
            if is_last {
                last_resort = Some(package);
                break;
            }
            ensure!(taken.insert(package), "a one-time package was handed out twice");
        }
        let last_resort = last_resort.context("250 claims did not exhaust the stock")?;
        ensure!(!taken.is_empty(), "there were one-time packages first");
        let (again, same) = claim(&packages, bob.address(), 251).await?;
        ensure!(again && same == last_resort, "the last resort stays");
        wire.close().await;
        // Somebody else still reaches bob, and bob restocks when he is back.
        let carol = Resident::register(world, "carol", &alpha).await?;
        carol.say("bob@alpha.test", "by the last resort").await?;
        bob.wake();
        let heard = bob.hear(1, SOON).await?;
        ensure!(texts(&heard) == ["by the last resort"]);
        eventually("bob restocks", SOON, async || {
            let devices = alpha.admin(&["device", "list", "bob@alpha.test"]).await?;
            let mine = bob.client().devices().await?;
            ensure!(!devices.is_null());
            Ok(mine.iter().any(|device| device.key_packages > 5).then_some(()))
        })
        .await
    })
}

#[test]
fn a_claim_repeated_with_its_nonce_takes_nothing_more() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &alpha).await?;
        let (wire, packages) = packages_of(&alpha, &alice).await?;
        let first = claim(&packages, bob.address(), 1).await?;
        ensure!(claim(&packages, bob.address(), 1).await? == first, "a repeat gets the same");
        ensure!(claim(&packages, bob.address(), 2).await? != first, "another nonce gets another");
        wire.close().await;
        Ok(())
    })
}

#[test]
fn one_requester_does_not_empty_a_stock() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &alpha).await?;
        let (wire, packages) = packages_of(&alpha, &alice).await?;
        let mut one_time = 0;
        for nonce in 1..=20 {
            one_time += usize::from(!claim(&packages, bob.address(), nonce).await?.0);
        }
        ensure!((6..=7).contains(&one_time), "a burst of 6, then the last resort: {one_time}");
        wire.close().await;
        Ok(())
    })
}
