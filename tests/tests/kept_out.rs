//! Who is kept out hears why: on a connection that is cut, at the door, in another domain. And it ends.

use std::time::Duration;

use anyhow::ensure;
use qpq_tests::{Person, Resident, eventually, story};
use tokio::time::{Instant, timeout};

const SOON: Duration = Duration::from_mins(1);
/// A ban is felt within this time.
const AT_ONCE: Duration = Duration::from_secs(1);

#[test]
fn a_ban_ends_the_connection_with_its_reason_and_takes_nothing_away() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = world.person("alice", &alpha).await?;
        let mallory = Resident::register(world, "mallory", &alpha).await?;
        let elsewhere = Person::with_home(world, "mallory", &alpha, "elsewhere")?;
        std::fs::write(elsewhere.password_file(), "password of mallory\n")?;
        mallory.client().sync().await?;
        alice.say("mallory@alpha.test", "before").await?;
        let session = mallory.client().session()?;
        let ended = async { (session.link().closed().await, Instant::now()) };
        let ban = async {
            let order =
                ["user", "ban", "mallory@alpha.test", "--reason", "sold <b>spam</b>", "--expires", "15s"];
            Ok::<_, anyhow::Error>((alpha.admin(&order).await?, Instant::now()))
        };
        let ((words, cut_at), banned) = timeout(SOON, async { tokio::join!(ended, ban) }).await?;
        let (banned, banned_at) = banned?;
        ensure!(banned["banned"][0]["sessions_ended"] == 1, "{banned}");
        ensure!(cut_at.saturating_duration_since(banned_at) < AT_ONCE, "the session was cut too late");
        ensure!(words.contains("sold <b>spam</b>"), "the connection ended with other words: {words}");

        elsewhere.logging_in()?.refuse(1, &["sold <b>spam</b>", "211", "until"]).await?;
        mallory.client().disconnect().await;
        let refused = mallory.client().connect().await.err().map(|error| error.to_string());
        let told = |words: &String| words.contains("sold <b>spam</b>");
        ensure!(refused.as_ref().is_some_and(told), "resuming was answered with {refused:?}");
        alice.say("mallory@alpha.test", "meanwhile").await?;

        eventually("the ban is lifted", SOON, async || {
            let bans = alpha.admin(&["ban", "list"]).await?;
            Ok((bans["total"] == 0).then_some(()))
        })
        .await?;
        elsewhere.logging_in()?.succeed().await?;
        mallory.wake();
        let heard = mallory.hear(2, SOON).await?;
        ensure!(heard.iter().map(|message| message.text.as_str()).eq(["before", "meanwhile"]), "{heard:?}");
        let log = alpha.admin(&["audit", "list", "--target", "mallory@alpha.test"]).await?.to_string();
        ensure!(log.contains("user.ban") && log.contains("job:lift-bans"), "{log}");
        Ok(())
    })
}

#[test]
fn a_block_is_told_in_words_and_what_waited_arrives_after_it() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let carol = world.person("carol", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        alice.creates_group("trio").await?;
        alice.adds("trio", &[&bob, &carol]).await?;
        alice.say("trio", "first").await?;
        bob.hears(&["first"]).await?;

        alpha.admin(&["peer", "block", "beta.test", "--reason", "a flood of spam"]).await?;
        let shown = alpha.admin(&["peer", "show", "beta.test"]).await?;
        ensure!(shown["state"] == "blocked" && shown["blocked"]["reason"] == "a flood of spam", "{shown}");
        let asked = alpha.admin(&["peer", "would-allow", "beta.test"]).await?;
        ensure!(asked["allowed"] == false, "{asked}");
        // In a group, the others read on, and the blocked domain's part waits.
        alice.say("trio", "waits").await?;
        carol.hears(&["first", "waits"]).await?;
        let shown = alpha.admin(&["peer", "show", "beta.test"]).await?;
        ensure!(shown["queued"].as_u64().is_some_and(|queued| queued > 0), "{shown}");
        alice.qpq(&["send", "bob@beta.test", "hello"])?.refuse(1, &["bob@beta.test"]).await?;

        alpha.admin(&["peer", "unblock", "beta.test"]).await?;
        bob.hears(&["waits"]).await?;
        alice.say("bob@beta.test", "hello again").await?;
        bob.hears(&["hello again"]).await?;
        Ok(())
    })
}

#[test]
fn a_banned_user_of_another_domain_is_refused_with_the_reason() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let eve = Resident::register(world, "eve", &beta).await?;
        eve.client().sync().await?;
        // Alice's domain orders their conversation.
        alice.say("eve@beta.test", "welcome").await?;
        eve.wake();
        eve.hear(1, SOON).await?;
        alpha.admin(&["user", "ban", "eve@beta.test", "--reason", "insults"]).await?;
        // The refusal travels back as a row, so the own domain may have taken the message first.
        let refused = match eve.send("alice@alpha.test", "you again").await {
            Ok(_) => {
                eventually("eve is told", SOON, async || {
                    Ok(eve.client().undelivered().await?.into_iter().next().map(|told| told.reason))
                })
                .await?
            }
            Err(error) => error.to_string(),
        };
        ensure!(refused.contains("eve@beta.test") && refused.contains("insults"), "{refused}");
        alpha.admin(&["user", "unban", "eve@beta.test"]).await?;
        eve.say("alice@alpha.test", "sorry").await?;
        alice.hears(&["sorry"]).await?;
        Ok(())
    })
}
