//! Who may come in, for how long, and that nothing is taken twice.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};
use qpq_schemas::client_capnp::{delivery, groups, session, submit_answer};
use qpq_tests::{HomeDomain, Person, Resident, eventually, story, wire};

const SOON: Duration = Duration::from_mins(1);

async fn session_of(
    domain: &HomeDomain,
    token: &[u8],
) -> anyhow::Result<(wire::Wire, session::Client, Vec<u8>)> {
    let wire = wire::Wire::dial(&domain.client_address(), domain.name(), domain.pin()).await?;
    let resumed = wire.resume(token).await?.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
    Ok((wire, resumed.session, resumed.token))
}

/// The code with which a resumption token is refused.
async fn refusal_of(domain: &HomeDomain, token: &[u8]) -> anyhow::Result<u16> {
    let wire = wire::Wire::dial(&domain.client_address(), domain.name(), domain.pin()).await?;
    let refused = wire.resume(token).await?.err().context("the token was accepted")?;
    wire.close().await;
    ensure!(!refused.text.is_empty());
    Ok(refused.code)
}

/// What a call on the session says now: its code, 0 for success.
async fn ask(session: &session::Client) -> anyhow::Result<u16> {
    let account = session.account_request().send().pipeline.get_account();
    let answer = wire::within(account.show_request().send().promise).await?;
    let answer = answer.get()?;
    Ok(if answer.has_failure() { answer.get_failure()?.get_code() } else { 0 })
}

#[test]
fn a_wrong_password_and_an_unknown_name_are_answered_alike() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = world.person("alice", &alpha).await?;
        let elsewhere = Person::with_home(world, "alice", &alpha, "elsewhere")?;
        fs::write(elsewhere.password_file(), "not the password\n")?;
        let wrong = elsewhere.logging_in()?.refuse(1, &["wrong name or password"]).await?;
        let nobody = Person::new(world, "nobody", &alpha)?;
        let unknown = nobody.logging_in()?.refuse(1, &["wrong name or password"]).await?;
        ensure!(wrong.stderr == unknown.stderr, "the words differ: {wrong} {unknown}");
        fs::copy(alice.password_file(), elsewhere.password_file())?;
        elsewhere.logging_in()?.succeed().await?;
        Ok(())
    })
}

#[test]
fn an_unknown_users_answer_has_the_size_of_a_known_ones() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        Resident::register(world, "alice", &alpha).await?;
        let wire = wire::Wire::dial(&alpha.client_address(), alpha.name(), alpha.pin()).await?;
        let mut sizes = Vec::new();
        for name in ["alice", "nobody"] {
            let mut request = wire.homeserver().log_in_request();
            let mut params = request.get();
            params.set_address(format!("{name}@alpha.test"));
            params.set_request(&ke1()?);
            let asked = tokio::time::Instant::now();
            let answer = wire::within(request.send().promise).await?;
            ensure!(asked.elapsed() >= Duration::from_millis(100), "answered faster than the time floor");
            let answer = answer.get()?;
            ensure!(!answer.has_failure() && answer.has_login(), "{name}");
            sizes.push(answer.get_response()?.len());
        }
        ensure!(sizes.first() == sizes.last(), "{sizes:?}");
        wire.close().await;
        Ok(())
    })
}

/// The first message of an OPAQUE login.
fn ke1() -> anyhow::Result<Vec<u8>> {
    let mut entropy = qpq_core::OsEntropy::new()?;
    let start = opaque_ke::ClientLogin::<qpq_core::opaque::Suite>::start(&mut entropy, b"some password");
    Ok(start.map_err(|error| anyhow::anyhow!("{error}"))?.message.serialize().to_vec())
}

#[test]
fn a_resumption_token_works_once() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        alice.sleep().await;
        let token = alice.resumption_token().await?;
        let (wire, session, next) = session_of(&alpha, &token).await?;
        ensure!(ask(&session).await? == 0 && next != token);
        ensure!([201, 202].contains(&refusal_of(&alpha, &token).await?), "a used token was accepted");
        wire.close().await;
        ensure!([201, 202].contains(&refusal_of(&alpha, &[0; 32]).await?), "an invented token was accepted");
        Ok(())
    })
}

#[test]
fn an_expired_resumption_token_is_refused() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain_with("alpha", &[("QPQ_LIMITS_RESUMPTION_LIFETIME", "2s")]).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        alice.sleep().await;
        let token = alice.resumption_token().await?;
        eventually("the token expires", SOON, async || {
            Ok((!alice.client().whoami().await?.logged_in).then_some(()))
        })
        .await?;
        ensure!(refusal_of(&alpha, &token).await? == 201);
        Ok(())
    })
}

#[test]
fn an_expired_session_says_so_and_is_resumed() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain_with("alpha", &[("QPQ_LIMITS_SESSION_LIFETIME", "3s")]).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        alice.sleep().await;
        let (wire, session, next) = session_of(&alpha, &alice.resumption_token().await?).await?;
        eventually("the session expires", SOON, async || Ok((ask(&session).await? == 201).then_some(())))
            .await?;
        wire.close().await;
        let (wire, session, _) = session_of(&alpha, &next).await?;
        ensure!(ask(&session).await? == 0);
        wire.close().await;
        Ok(())
    })
}

#[test]
fn a_revoked_session_ends_at_once_and_can_not_be_resumed() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &alpha).await?;
        bob.sleep().await;
        let token = bob.resumption_token().await?;
        let (wire, session, next) = session_of(&alpha, &token).await?;
        ensure!(ask(&session).await? == 0);
        for address in ["bob@alpha.test", "alice@alpha.test"] {
            let list = alpha.admin(&["session", "list", address]).await?.to_string();
            let ids: Vec<_> =
                list.split('"').filter(|word| word.starts_with("ses_")).map(ToOwned::to_owned).collect();
            ensure!(!ids.is_empty(), "{list}");
            for id in ids {
                alpha.admin(&["session", "revoke", &id]).await?;
            }
        }
        eventually("the live session ends", SOON, async || {
            // Its calls are refused, or its connection is gone.
            Ok(ask(&session).await.map_or(true, |code| code == 202).then_some(()))
        })
        .await?;
        wire.close().await;
        ensure!([201, 202].contains(&refusal_of(&alpha, &next).await?));
        alice.qpq(&["send", "bob@alpha.test", "hello"])?.refuse(1, &["qpq login"]).await?;
        alice.logging_in()?.succeed().await?;
        alice.say("bob@alpha.test", "hello").await?;
        Ok(())
    })
}

#[test]
fn a_revoked_device_is_out() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = world.person("alice", &alpha).await?;
        let phone = Person::with_home(world, "alice", &alpha, "alices-phone")?;
        phone.logging_in()?.succeed().await?;
        let devices = alice.qpq(&["devices", "list", "--json"])?.succeed().await?.stdout;
        let own: serde_json::Value = phone.qpq(&["whoami", "--json"])?.succeed().await?.json()?;
        let id = own["device"].as_str().context("whoami names no device")?;
        ensure!(devices.contains(id), "{devices}");
        alice.qpq(&["devices", "revoke", id])?.succeed().await?;
        phone.qpq(&["recv"])?.refuse(1, &["login"]).await?;
        phone.logging_in()?.refuse(1, &["revoked"]).await?;
        alice.qpq(&["recv"])?.succeed().await?;
        Ok(())
    })
}

/// One submit by hand: the position in the log, or the code of the failure.
async fn submit(
    groups: &groups::Client,
    group: &[u8],
    id: &[u8],
    message: &[u8],
) -> anyhow::Result<Result<u64, u16>> {
    let mut request = groups.submit_request();
    let mut item = request.get().init_messages(1).get(0);
    item.set_id(id);
    item.set_group(group);
    item.set_message(message);
    let answer = wire::within(request.send().promise).await?;
    let answer = answer.get()?;
    if answer.has_failure() {
        return Ok(Err(answer.get_failure()?.get_code()));
    }
    match answer.get_answers()?.get(0).which()? {
        submit_answer::AtHub(accepted) => Ok(Ok(accepted?.get_seq())),
        submit_answer::AtHome(_) => anyhow::bail!("the hub is here"),
        submit_answer::Failure(failure) => Ok(Err(failure?.get_code())),
    }
}

#[test]
fn a_replayed_submit_counts_once_and_its_id_serves_no_other_payload() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &alpha).await?;
        let sent = alice.say("bob@alpha.test", "only once").await?;
        let group = sent.group.context("no group")?.to_bytes();
        bob.wake();
        bob.hear(1, SOON).await?;
        alice.sleep().await;
        let (wire, session, _) = session_of(&alpha, &alice.resumption_token().await?).await?;
        let groups = session.groups_request().send().pipeline.get_groups();

        let mut request = groups.log_request();
        request.get().set_group(&group);
        request.get().set_max_items(100);
        let log = wire::within(request.send().promise).await?;
        let mut found = None;
        for delivery in log.get()?.get_deliveries()? {
            if let delivery::Application(message) = delivery.which()? {
                let (message, seq) = (message?, delivery.get_position()?.get_seq());
                if message.get_id()? == sent.message_id.as_bytes() {
                    found = Some((seq, message.get_message()?.to_vec()));
                }
            }
        }
        let (seq, message) = found.context("the message is not in the log")?;
        for _ in 0..3 {
            let again = submit(&groups, &group, sent.message_id.as_bytes(), &message).await?;
            ensure!(again == Ok(seq), "a repeat gets the stored answer: {again:?}, not {seq}");
        }
        let mut other = message.clone();
        if let Some(last) = other.last_mut() {
            *last ^= 1;
        }
        let reused = submit(&groups, &group, sent.message_id.as_bytes(), &other).await?;
        ensure!(reused == Err(103), "{reused:?}");
        let malformed = submit(&groups, &group, &[1; 16], b"no MLS message").await?;
        ensure!(malformed == Err(100), "{malformed:?}");
        let short = submit(&groups, &group, &[1; 3], &message).await?;
        ensure!(short == Err(100), "{short:?}");
        let large = submit(&groups, &group, &[2; 16], &vec![0; 300 * 1_024]).await?;
        ensure!(matches!(large, Err(100 | 101)), "{large:?}");
        wire.close().await;
        bob.sleep().await;
        bob.client().sync().await?;
        ensure!(bob.take().await?.is_empty(), "bob heard it twice");
        Ok(())
    })
}

#[test]
fn who_is_no_member_reads_and_writes_nothing() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &alpha).await?;
        let mallory = Resident::register(world, "mallory", &alpha).await?;
        let sent = alice.say("bob@alpha.test", "between us").await?;
        let group = sent.group.context("no group")?.to_bytes();
        bob.sleep().await;
        mallory.sleep().await;
        let (wire, session, _) = session_of(&alpha, &mallory.resumption_token().await?).await?;
        let groups = session.groups_request().send().pipeline.get_groups();
        let mut request = groups.log_request();
        request.get().set_group(&group);
        request.get().set_max_items(100);
        let log = wire::within(request.send().promise).await?;
        let code = wire::refused(log.get()?.get_failure()?)?.code;
        ensure!([102, 403].contains(&code), "{code}");
        let refused = submit(&groups, &group, &[3; 16], &[0, 1, 0, 2]).await?;
        ensure!(matches!(refused, Err(100 | 102 | 403)), "{refused:?}");
        wire.close().await;
        Ok(())
    })
}

#[test]
fn clients_reconnect_after_their_server_was_restarted() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let bob = Resident::register(world, "bob", &beta).await?;
        alice.wake();
        bob.wake();
        for (n, domain) in [&alpha, &beta, &alpha, &beta].into_iter().enumerate() {
            alice.send("bob@beta.test", &format!("before {n}")).await?;
            bob.hear(1, SOON).await?;
            if n < 2 {
                domain.restart().await?;
            } else {
                domain.crash().await?;
            }
            alice.send("bob@beta.test", &format!("after {n}")).await?;
            let heard = bob.hear(1, SOON).await?;
            ensure!(heard.iter().all(|message| message.text == format!("after {n}")), "{heard:?}");
        }
        Ok(())
    })
}
