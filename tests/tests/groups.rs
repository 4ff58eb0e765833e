//! Groups under contention, identities that change, and clients that are killed.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, ensure};
use qpq_tests::{
    HomeDomain, Person, Program, Received, Resident, World, eventually,
    preload::{ClockAhead, SlowFlush},
    story,
};
use tokio::process::Command;

const SOON: Duration = Duration::from_mins(1);

#[test]
fn three_members_committing_at_once_agree_on_one_order() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let mut members = Vec::new();
        for (name, domain) in [
            ("alice", &alpha),
            ("bob", &beta),
            ("carol", &beta),
            ("dave", &alpha),
            ("erin", &beta),
            ("frank", &alpha),
        ] {
            members.push(Resident::register(world, name, domain).await?);
        }
        let [alice, bob, carol, dave, erin, frank] = members.as_slice() else { anyhow::bail!("six members") };
        alice.client().group_create("crowd").await?;
        alice.client().group_add("crowd", &[bob.address().clone(), carol.address().clone()]).await?;
        for member in &members {
            member.wake();
        }
        for member in [bob, carol] {
            eventually("the first three are in", SOON, async || {
                Ok(member.client().group_show("crowd").await.ok().map(drop))
            })
            .await?;
        }
        let (one, two, three) =
            ([dave.address().clone()], [erin.address().clone()], [frank.address().clone()]);
        let (by_alice, by_bob, by_carol) = tokio::join!(
            alice.client().group_add("crowd", &one),
            bob.client().group_add("crowd", &two),
            carol.client().group_add("crowd", &three),
        );
        by_alice?;
        by_bob?;
        by_carol?;

        let everybody: BTreeSet<_> = members.iter().map(|member| member.address().clone()).collect();
        let mut epochs = BTreeSet::new();
        for member in &members {
            let epoch = eventually("everybody sees six members", SOON, async || {
                let Ok(shown) = member.client().group_show("crowd").await else { return Ok(None) };
                let users: BTreeSet<_> = shown.members.iter().map(|row| row.address.clone()).collect();
                Ok(shown.epoch.filter(|_| users == everybody))
            })
            .await?;
            epochs.insert(epoch);
        }
        ensure!(epochs.len() <= 2, "epochs differ for good only in a fork: {epochs:?}");
        for member in &members {
            member.say("crowd", &format!("{} is here", member.address())).await?;
        }
        for member in &members {
            let heard = member.hear(members.len() - 1, SOON).await?;
            let from: BTreeSet<_> = heard.iter().map(|message| message.from.clone()).collect();
            ensure!(heard.len() == 5 && from.len() == 5, "{} heard {heard:?}", member.address());
        }
        Ok(())
    })
}

#[test]
fn a_changed_identity_key_stops_sending_until_it_is_accepted() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        alice.say("bob@beta.test", "the first bob").await?;
        bob.hears(&["the first bob"]).await?;
        beta.admin(&["user", "delete", "bob@beta.test"]).await?;
        let impostor = Person::with_home(world, "bob", &beta, "another-bob")?;
        // That the name will be somebody else's is announced for a day, so that nobody gets it unseen.
        let early = impostor.registering(Some(&beta.token().await?))?;
        early.refuse(1, &["was somebody's before"]).await?;
        let tomorrow = ClockAhead::compile(world, 25 * 3_600)?.settings();
        let then = |program: Program| {
            tomorrow.iter().fold(program, |program, (name, value)| program.env(name, value))
        };
        beta.witnessed().await?;
        for domain in [&alpha, &beta] {
            for (name, value) in &tomorrow {
                domain.set(name, value);
            }
            domain.restart().await?;
        }
        then(impostor.registering(Some(&beta.token().await?))?).succeed().await?;

        let refused = alice.qpq(&["send", "bob@beta.test", "who are you?", "--json"])?;
        then(refused)
            .refuse(1, &["identity key of bob@beta.test has changed", "qpq keys accept bob@beta.test"])
            .await?;
        let shown = then(alice.qpq(&["keys", "show", "bob@beta.test", "--json"])?).succeed().await?;
        let report: serde_json::Value = shown.json()?;
        ensure!(report["log"]["version"] == 3, "registration, closure, announcement, reset: {report}");
        ensure!(report["pinned"].is_string() && report["presented"].is_string(), "{report}");
        ensure!(report["pinned"] != report["presented"], "both keys are printed: {report}");
        then(alice.qpq(&["keys", "accept", "bob@beta.test"])?).succeed().await?;
        let report: serde_json::Value =
            then(alice.qpq(&["keys", "show", "bob@beta.test", "--json"])?).succeed().await?.json()?;
        ensure!(report["pinned"] == report["presented"], "{report}");
        Ok(())
    })
}

/// Runs `qpq recv` and kills it after `lifetime`; what it printed until then.
async fn killed_after(person: &Person, slow: &SlowFlush, lifetime: Duration) -> anyhow::Result<String> {
    let mut program = person.qpq(&["recv", "--json"])?;
    for (name, value) in slow.settings() {
        program = program.env(name, value);
    }
    let (command, output) = program.into_file_output(person.home())?;
    run_and_kill(command, lifetime).await?;
    Ok(std::fs::read_to_string(output)?)
}

async fn run_and_kill(mut command: Command, lifetime: Duration) -> anyhow::Result<()> {
    let mut child = command.spawn().context("could not start qpq")?;
    if tokio::time::timeout(lifetime, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(())
}

async fn talkers(world: &World) -> anyhow::Result<(HomeDomain, Person, Person)> {
    let alpha = world.domain("alpha").await?;
    let alice = world.person("alice", &alpha).await?;
    let bob = world.person("bob", &alpha).await?;
    alice.say("bob@alpha.test", "0").await?;
    bob.hears(&["0"]).await?;
    Ok((alpha, alice, bob))
}

#[test]
fn a_client_killed_between_decrypting_and_storing_loses_nothing() -> anyhow::Result<()> {
    story(async |world| {
        let (_alpha, alice, bob) = talkers(world).await?;
        // Each commit of bob's store takes a long time, so that most kills meet one half done.
        let slow = SlowFlush::compile(world, 120)?;
        let mut said = Vec::new();
        let mut heard: Vec<String> = Vec::new();
        for round in 0_u64..8 {
            for n in 0..2 {
                let text = format!("{round}.{n}");
                alice.say("bob@alpha.test", &text).await?;
                said.push(text);
            }
            let printed = killed_after(&bob, &slow, Duration::from_millis(350 + 110 * round)).await?;
            // A line that was cut by the kill was not printed.
            let whole = printed.lines().filter_map(|line| serde_json::from_str::<Received>(line).ok());
            heard.extend(whole.map(|message| message.text));
        }
        heard.extend(bob.reads().await?.into_iter().map(|message| message.text));
        // What was printed in the moment of a kill may be printed once more; nothing is missing, nothing overtakes.
        heard.dedup();
        let mut seen = BTreeSet::new();
        heard.retain(|text| seen.insert(text.clone()));
        ensure!(heard == said, "{heard:?} instead of {said:?}");
        alice.say("bob@alpha.test", "and on").await?;
        bob.hears(&["and on"]).await?;
        Ok(())
    })
}

#[test]
fn a_client_killed_while_it_sends_sends_once() -> anyhow::Result<()> {
    story(async |world| {
        let (_alpha, alice, bob) = talkers(world).await?;
        let slow = SlowFlush::compile(world, 60)?;
        for round in 0_u64..8 {
            let mut program = alice.qpq(&["send", "bob@alpha.test", &format!("round {round}"), "--json"])?;
            for (name, value) in slow.settings() {
                program = program.env(name, value);
            }
            let (command, _) = program.into_file_output(alice.home())?;
            run_and_kill(command, Duration::from_millis(250 + 150 * round)).await?;
        }
        // Whatever was taken in before the kill goes out now.
        alice.say("bob@alpha.test", "the end").await?;
        let mut heard = Vec::new();
        while heard.last().is_none_or(|text| text != "the end") {
            heard.extend(bob.recv(SOON, 1).await?.into_iter().map(|message| message.text));
            ensure!(heard.len() <= 9, "{heard:?}");
        }
        let once: BTreeSet<_> = heard.iter().collect();
        ensure!(once.len() == heard.len(), "something was sent twice: {heard:?}");
        let mut ordered = heard.clone();
        ordered.pop();
        ordered.sort();
        ensure!(heard.get(..ordered.len()) == Some(ordered.as_slice()), "out of order: {heard:?}");
        Ok(())
    })
}
