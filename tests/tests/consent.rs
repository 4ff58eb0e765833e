//! Who has to be accepted first: asked for, answered, declined; and what another domain can find out meanwhile.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use qpq_core::{Clock as _, SystemClock, limits};
use qpq_schemas::{common_capnp::claimed_user, federation_capnp::link};
use qpq_tests::{
    HomeDomain, Person, Received, Resident, World, eventually, peer, story, stranger,
    wire::{self, FederationLink, Wire},
};
use serde_json::Value;

const SOON: Duration = Duration::from_mins(1);
const CONSENT: [(&str, &str); 1] = [("QPQ_FEDERATION_DIRECTORY", "consent")];

/// Who waits for this person's answer.
async fn requests(person: &Person) -> anyhow::Result<Vec<String>> {
    let listed: Vec<Value> = person.qpq(&["requests", "list", "--json"])?.succeed().await?.json_lines()?;
    let from = |request: &Value| request["address"].as_str().map(str::to_owned);
    listed.iter().map(|request| from(request).with_context(|| format!("no address in {request}"))).collect()
}

async fn accepts(person: &Person, address: &str) -> anyhow::Result<Value> {
    person.qpq(&["requests", "accept", address, "--json"])?.succeed().await?.json()
}

/// Both look for news until `listener` has heard `count` messages.
async fn until_heard(speaker: &Person, listener: &Person, count: usize) -> anyhow::Result<Vec<Received>> {
    let mut heard = Vec::new();
    eventually("what was kept arrives", SOON, async || {
        speaker.reads().await?;
        heard.extend(listener.reads().await?);
        Ok((heard.len() >= count).then_some(()))
    })
    .await?;
    Ok(heard)
}

fn texts(received: &[Received]) -> Vec<&str> {
    received.iter().map(|message| message.text.as_str()).collect()
}

#[test]
fn what_is_written_to_somebody_waits_for_their_consent_over_restarts() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains_with(&CONSENT).await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        let asked = alice.qpq(&["send", "bob@beta.test", "first"])?.succeed().await?;
        ensure!(asked.stdout.starts_with("requested msg_"), "{asked}");
        ensure!(asked.stderr.contains("bob@beta.test has to accept you first"), "{asked}");
        let second = alice.send("bob@beta.test", "second").await?;
        ensure!(second.state == "requested" && second.group.is_none(), "{second:?}");

        let looked = bob.qpq(&["recv"])?.succeed().await?;
        ensure!(looked.stdout.is_empty() && looked.stderr.contains("alice@alpha.test asks"), "{looked}");
        alpha.restart().await?;
        beta.restart().await?;
        ensure!(requests(&bob).await? == ["alice@alpha.test"], "one request for both messages");
        ensure!(alice.reads().await?.is_empty() && bob.reads().await?.is_empty());

        let accepted = accepts(&bob, "alice@alpha.test").await?;
        ensure!(accepted["asked"] == true, "{accepted}");
        let heard = until_heard(&alice, &bob, 2).await?;
        ensure!(texts(&heard) == ["first", "second"], "{heard:?}");
        ensure!(requests(&bob).await?.is_empty());

        // Who writes first has accepted: the answer needs nobody's consent.
        bob.say("alice@alpha.test", "hello").await?;
        alice.hears(&["hello"]).await?;
        ensure!(requests(&alice).await?.is_empty());
        bob.creates_group("plans").await?;
        bob.adds("plans", &[&alice]).await?;
        bob.say("plans", "come in").await?;
        alice.hears(&["come in"]).await?;
        Ok(())
    })
}

#[test]
fn a_client_that_stays_sends_by_itself_what_it_kept() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains_with(&CONSENT).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        alice.wake();
        eventually("alice is connected", SOON, async || Ok(alice.client().session().ok().map(drop))).await?;
        let bob = world.person("bob", &beta).await?;
        let sent = alice.send("bob@beta.test", "kept").await?;
        ensure!(sent.state == qpq_client::SendState::Requested, "{sent:?}");
        accepts(&bob, "alice@alpha.test").await?;
        bob.hears(&["kept"]).await?;
        let told = alice.client().accepted().await?;
        ensure!(told.len() == 1 && told[0].to_string() == "bob@beta.test", "{told:?}");
        Ok(())
    })
}

#[test]
fn when_both_write_first_nobody_has_to_ask() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains_with(&CONSENT).await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        ensure!(alice.send("bob@beta.test", "from alice").await?.state == "requested");
        bob.say("alice@alpha.test", "from bob").await?;
        ensure!(requests(&bob).await?.is_empty(), "writing to her has accepted her");
        alice.hears(&["from bob"]).await?;
        let heard = until_heard(&alice, &bob, 1).await?;
        ensure!(texts(&heard) == ["from alice"], "{heard:?}");
        Ok(())
    })
}

#[test]
fn a_decline_tells_the_asker_nothing_and_groups_say_it_in_words() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        // From the next question on; the peers of before get nothing unasked any more.
        beta.server(&["config", "set", "federation.directory", "consent"])?.succeed().await?;
        alice.creates_group("plans").await?;
        let add = ["group", "add", "plans", "bob@beta.test"];
        let refused = alice
            .qpq(&add)?
            .refuse(1, &["bob@beta.test has to accept you first", "nobody was added"])
            .await?;
        ensure!(requests(&bob).await? == ["alice@alpha.test"], "{refused}");

        bob.qpq(&["requests", "decline", "alice@alpha.test"])?.succeed().await?;
        ensure!(requests(&bob).await?.is_empty());
        let again = alice.qpq(&add)?.refuse(1, &["has to accept you first"]).await?;
        ensure!(again.stderr == refused.stderr, "{again}\n{refused}");
        ensure!(alice.send("bob@beta.test", "please").await?.state == "requested");
        ensure!(requests(&bob).await?.is_empty() && bob.reads().await?.is_empty());
        let unknown = bob.qpq(&["requests", "decline", "carol@alpha.test"])?;
        unknown.refuse(1, &["has not asked", "102"]).await?;

        // Bob thinks better of it: what she kept comes, and the group has him.
        accepts(&bob, "alice@alpha.test").await?;
        let heard = until_heard(&alice, &bob, 1).await?;
        ensure!(texts(&heard) == ["please"], "{heard:?}");
        alice.adds("plans", &[&bob]).await?;
        alice.say("plans", "here we are").await?;
        bob.hears(&["here we are"]).await?;
        Ok(())
    })
}

#[test]
fn members_of_one_group_see_each_other_without_having_accepted_each_other() -> anyhow::Result<()> {
    story(async |world| {
        let [alpha, beta, gamma] = three_domains(world).await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        let carol = world.person("carol", &gamma).await?;
        for friend in [&bob, &carol] {
            accepts(friend, "alice@alpha.test").await?;
        }
        alice.creates_group("plans").await?;
        alice.adds("plans", &[&bob, &carol]).await?;
        alice.say("plans", "hello both").await?;
        bob.hears(&["hello both"]).await?;
        carol.hears(&["hello both"]).await?;
        carol.say("plans", "hello bob").await?;
        bob.hears(&["hello bob"]).await?;
        ensure!(requests(&bob).await?.is_empty() && requests(&carol).await?.is_empty());

        // Bob was not accepted by carol's neighbour, whatever group she is in.
        let dan = world.person("dan", &gamma).await?;
        let add = bob.qpq(&["group", "add", "plans", "dan@gamma.test"])?;
        add.refuse(1, &["dan@gamma.test has to accept you first"]).await?;
        accepts(&dan, "bob@beta.test").await?;
        // The hub is alpha, which asks gamma about dan in bob's name.
        bob.adds("plans", &[&dan]).await?;
        bob.say("plans", "hello dan").await?;
        dan.hears(&["hello dan"]).await?;
        alice.hears(&["hello bob", "hello dan"]).await?;
        Ok(())
    })
}

async fn three_domains(world: &World) -> anyhow::Result<[HomeDomain; 3]> {
    let alpha = world.domain_with("alpha", &CONSENT).await?;
    let beta = world.domain_with("beta", &CONSENT).await?;
    let gamma = world.domain_with("gamma", &CONSENT).await?;
    for (inviting, accepting) in [(&alpha, &beta), (&beta, &gamma), (&alpha, &gamma)] {
        peer(inviting, accepting).await?;
    }
    Ok([alpha, beta, gamma])
}

/// A trusted link to `domain` as the peer, whose server is stopped: what follows is said in its name.
async fn as_peer(domain: &HomeDomain, peer: &HomeDomain) -> anyhow::Result<(FederationLink, link::Client)> {
    let dialled = Wire::dial(&peer.client_address(), peer.name(), peer.pin()).await?;
    let life = dialled.incarnation().await?;
    dialled.close().await;
    peer.stop().await?;
    let leaf = stranger::stolen_leaf(peer)?;
    let connected = FederationLink::dial(&domain.federation_address(), domain.name(), &leaf).await?;
    let mut request = connected.peering().hello_request();
    let mut hello = request.get().init_hello();
    hello.set_min_version(limits::PROTOCOL_VERSION);
    hello.set_max_version(limits::PROTOCOL_VERSION);
    hello.set_domain(peer.name().as_str());
    let mut trusted = hello.init_trusted();
    trusted.set_incarnation(&life);
    trusted.set_heads_digest(&[9; 32]);
    trusted.set_clock(SystemClock.now().as_millis());
    let answer = wire::within(request.send().promise).await?;
    let link = answer.get()?.get_link().context("the peer's own certificate got no link")?;
    Ok((connected, link))
}

/// The bytes of the answer about one user.
async fn resolves(link: &link::Client, requester: &str, address: &str) -> anyhow::Result<Vec<u8>> {
    let mut request = link.resolve_user_request();
    request.get().set_requester(requester);
    request.get().init_addresses(1).set(0, address);
    let answer = wire::within(request.send().promise).await?;
    let users = answer.get()?.get_users()?;
    ensure!(users.len() == 1);
    let mut message = capnp::message::Builder::new_default();
    message.set_root_canonical(users.get(0))?;
    Ok(capnp::serialize::write_message_to_words(&message))
}

/// The answer to a claim on one user's KeyPackages.
async fn claims<T>(
    link: &link::Client,
    requester: &str,
    nonce: u8,
    target: &str,
    read: impl FnOnce(claimed_user::Reader<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut request = link.proxy_fetch_key_packages_request();
    let mut params = request.get();
    params.set_requester(requester);
    params.set_group(&qpq_core::GroupId::new([9; 16], 1, "beta.test".parse()?).to_bytes());
    params.set_nonce(&[nonce; 16]);
    params.init_targets(1).set(0, target);
    let answer = wire::within(request.send().promise).await?;
    let users = answer.get()?.get_users()?;
    ensure!(users.len() == 1);
    read(users.get(0))
}

fn canonical(user: claimed_user::Reader<'_>) -> anyhow::Result<Vec<u8>> {
    let mut message = capnp::message::Builder::new_default();
    message.set_root_canonical(user)?;
    Ok(capnp::serialize::write_message_to_words(&message))
}

#[test]
fn the_answers_about_a_user_are_the_same_bytes_before_and_after_there_is_one() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains_with(&CONSENT).await?;
        let (connected, link) = as_peer(&alpha, &beta).await?;
        let (eve, mallory) = ("eve@beta.test", "mallory@beta.test");
        let unknown = resolves(&link, eve, "alice@alpha.test").await?;
        let unclaimed = claims(&link, eve, 1, "alice@alpha.test", canonical).await?;
        let alice = world.person("alice", &alpha).await?;
        for asker in [eve, mallory] {
            ensure!(resolves(&link, asker, "alice@alpha.test").await? == unknown, "{asker}");
            ensure!(claims(&link, asker, 1, "alice@alpha.test", canonical).await? == unclaimed, "{asker}");
        }
        ensure!(requests(&alice).await? == [mallory], "eve's question was noted before there was a user");
        // Over there somebody else's name proves nothing.
        let pretended = resolves(&link, "bob@gamma.test", "alice@alpha.test").await?;
        ensure!(pretended == unknown);
        accepts(&alice, mallory).await?;
        ensure!(resolves(&link, mallory, "alice@alpha.test").await? != unknown);
        ensure!(resolves(&link, eve, "alice@alpha.test").await? == unknown);
        connected.close().await;
        Ok(())
    })
}

#[test]
fn beyond_the_quota_another_domain_gets_the_last_resort_only() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let (connected, link) = as_peer(&alpha, &beta).await?;
        let taken = async |requester: &'static str, nonce: u8| {
            let target = alice.address().to_string();
            claims(&link, requester, nonce, &target, |user| {
                let packages = user.get_packages()?;
                ensure!(packages.len() == 1, "{} packages", packages.len());
                Ok((packages.get(0).get_key_package()?.to_vec(), packages.get(0).get_last_resort()))
            })
            .await
        };
        let mut seen = Vec::new();
        for nonce in 0..6 {
            let (package, last_resort) = taken("eve@beta.test", nonce).await?;
            ensure!(!last_resort && !seen.contains(&package), "claim {nonce}");
            seen.push(package);
        }
        for nonce in 6..8 {
            ensure!(taken("eve@beta.test", nonce).await?.1, "claim {nonce}");
        }
        let (again, _) = taken("eve@beta.test", 0).await?;
        ensure!(seen.first() == Some(&again), "a repeat takes nothing more");
        ensure!(!taken("mallory@beta.test", 0).await?.1, "others have a quota of their own");
        connected.close().await;
        Ok(())
    })
}
