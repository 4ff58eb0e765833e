//! People talk: within one domain, between two, in groups, and across an outage of their server.

use std::time::Duration;

use anyhow::ensure;
use qpq_tests::{Received, eventually, story};

/// Long enough for a message to cross two domains on a busy machine.
const SOON: Duration = Duration::from_secs(40);

fn texts(received: &[Received]) -> Vec<&str> {
    received.iter().map(|message| message.text.as_str()).collect()
}

#[test]
fn two_people_of_one_domain_talk_both_ways() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &alpha).await?;
        alice.say("bob@alpha.test", "Hello Bob").await?;
        bob.hears(&["Hello Bob"]).await?;
        bob.say("alice@alpha.test", "Hello Alice").await?;
        alice.hears(&["Hello Alice"]).await?;
        Ok(())
    })
}

#[test]
fn two_people_of_two_domains_talk_both_ways() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        for (question, answer) in [("One?", "Yes, one."), ("Two?", "Yes, two.")] {
            alice.say("bob@beta.test", question).await?;
            bob.hears(&[question]).await?;
            bob.say("alice@alpha.test", answer).await?;
            alice.hears(&[answer]).await?;
        }
        Ok(())
    })
}

#[test]
fn a_message_tells_who_sent_it_where_and_when() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        let sent = alice.say("bob@beta.test", "A text\nwith two lines and \"quotes\" — ✓").await?;
        let received = bob.recv(SOON, 1).await?;
        let [message] = received.as_slice() else { anyhow::bail!("one message was expected: {received:?}") };
        ensure!(message.from == "alice@alpha.test");
        ensure!(message.text == "A text\nwith two lines and \"quotes\" — ✓");
        ensure!(message.message_id == sent.message_id && Some(&message.group) == sent.group.as_ref());
        ensure!(message.epoch >= 1, "bob was added by the first commit: {message:?}");
        ensure!(!message.sent_at.is_null());
        ensure!(bob.reads().await?.is_empty(), "a message is printed once");
        ensure!(alice.reads().await?.is_empty(), "nobody hears herself");
        Ok(())
    })
}

#[test]
fn a_group_over_two_domains_hears_everything_in_one_order() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        let carol = world.person("carol", &beta).await?;
        alice.creates_group("plans").await?;
        alice.adds("plans", &[&bob]).await?;
        alice.say("plans", "before carol").await?;
        bob.hears(&["before carol"]).await?;
        alice.adds("plans", &[&carol]).await?;
        alice.say("plans", "welcome carol").await?;
        let heard = carol.hears(&["welcome carol"]).await?;
        ensure!(
            heard.iter().all(|message| message.epoch >= 2),
            "carol joined by the second commit: {heard:?}"
        );
        carol.say("plans", "thanks").await?;
        alice.hears(&["thanks"]).await?;
        bob.hears(&["welcome carol", "thanks"]).await?;
        Ok(())
    })
}

#[test]
fn a_member_of_the_other_domain_may_add_as_well() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        let carol = world.person("carol", &alpha).await?;
        alice.creates_group("plans").await?;
        alice.adds("plans", &[&bob]).await?;
        alice.say("plans", "hello").await?;
        bob.hears(&["hello"]).await?;
        bob.adds("plans", &[&carol]).await?;
        bob.say("plans", "carol is here").await?;
        carol.hears(&["carol is here"]).await?;
        alice.hears(&["carol is here"]).await?;
        Ok(())
    })
}

#[test]
fn what_was_written_while_the_server_was_down_goes_out_once_with_the_next_command() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        alice.say("bob@beta.test", "first").await?;
        bob.hears(&["first"]).await?;
        alpha.stop().await?;
        for text in ["second", "third"] {
            let sent = alice.send("bob@beta.test", text).await?;
            ensure!(sent.state == "queued", "{sent:?}");
        }
        alpha.start().await?;
        ensure!(alice.reads().await?.is_empty());
        bob.hears(&["second", "third"]).await?;
        alice.reads().await?;
        alice.say("bob@beta.test", "fourth").await?;
        bob.hears(&["fourth"]).await?;
        Ok(())
    })
}

#[test]
fn what_is_sent_to_a_domain_that_is_down_arrives_when_it_is_back() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        alice.say("bob@beta.test", "you are there").await?;
        bob.hears(&["you are there"]).await?;
        beta.kill().await?;
        let sent: Vec<_> = (1..=5).map(|n| format!("while you were away {n}")).collect();
        for text in &sent {
            alice.say("bob@beta.test", text).await?;
        }
        beta.start().await?;
        bob.hears(&sent.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        Ok(())
    })
}

#[test]
fn two_conversations_begun_at_the_same_moment_are_both_read_and_one_is_used() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        let (from_alice, from_bob) =
            tokio::join!(alice.send("bob@beta.test", "from alice"), bob.send("alice@alpha.test", "from bob"));
        let (from_alice, from_bob) = (from_alice?, from_bob?);
        let heard = texts(&alice.recv(SOON, 1).await?).join(",");
        ensure!(heard == "from bob", "alice heard {heard}");
        let heard = texts(&bob.recv(SOON, 1).await?).join(",");
        ensure!(heard == "from alice", "bob heard {heard}");
        let (again_alice, again_bob) = (
            alice.say("bob@beta.test", "again alice").await?,
            bob.say("alice@alpha.test", "again bob").await?,
        );
        ensure!(again_alice.group == again_bob.group, "they use two groups: {again_alice:?} {again_bob:?}");
        // Whoever saw the other's group in time has made none.
        let smaller = [&from_alice.group, &from_bob.group].into_iter().flatten().min();
        ensure!(
            again_alice.group.as_ref() == smaller,
            "{:?} is not the smaller id, {smaller:?} is",
            again_alice.group
        );
        alice.hears(&["again bob"]).await?;
        bob.hears(&["again alice"]).await?;
        Ok(())
    })
}

#[test]
fn a_second_device_takes_part_in_conversations_that_begin_later() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &alpha).await?;
        let phone = qpq_tests::Person::with_home(world, "bob", &alpha, "bobs-phone")?;
        let told = phone.logging_in()?.succeed().await?;
        let said = format!("{}{}", told.stdout, told.stderr);
        ensure!(said.contains("device"), "login says what a new device can't read yet: {said}");
        alice.say("bob@alpha.test", "to all of you").await?;
        bob.hears(&["to all of you"]).await?;
        phone.hears(&["to all of you"]).await?;
        phone.say("alice@alpha.test", "from the phone").await?;
        alice.hears(&["from the phone"]).await?;
        bob.hears(&["from the phone"]).await?;
        Ok(())
    })
}

#[test]
fn a_peer_that_was_removed_is_not_spoken_to_any_more() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        world.person("bob", &beta).await?;
        alpha.admin(&["peer", "remove", "beta.test"]).await?;
        alice.qpq(&["send", "bob@beta.test", "hello", "--json"])?.refuse(1, &["beta.test"]).await?;
        let left = alpha.admin(&["peer", "list"]).await?;
        ensure!(
            !left.to_string().contains("\"beta.test\"") || left.to_string().contains("removed"),
            "{left}"
        );
        Ok(())
    })
}

#[test]
fn an_idle_domain_reports_an_empty_queue_to_its_peer() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        alice.say("bob@beta.test", "hello").await?;
        bob.hears(&["hello"]).await?;
        eventually("alpha's queue to beta is empty", SOON, async || {
            let peer = alpha.admin(&["peer", "show", "beta.test"]).await?;
            let queued = peer.get("queued").and_then(serde_json::Value::as_u64);
            Ok((queued == Some(0)).then_some(()))
        })
        .await
    })
}
