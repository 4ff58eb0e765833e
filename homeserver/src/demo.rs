//! `qpq-server demo`: two or more domains, three users, one conversation, on this machine.
//!
//! Nothing here is simulated: each domain is a child process `qpq-server serve` with its own data directory, each user
//! a child process `qpq`, and nothing is between the two domains but UDP on loopback. Every step is a command
//! that the reader could have typed.

mod domains;
mod people;
mod transcript;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use serde_json::Value;

use self::{domains::RunningDomain, people::Person};

/// How long one message may take to arrive before the demo counts as failed.
const ARRIVAL: Duration = Duration::from_secs(20);

/// How long the domains may take to sign each other's logs.
const WITNESSED: Duration = Duration::from_mins(1);

/// Runs the demo with so many domains; `exit` ends it after the conversation, otherwise it stays up until Ctrl-C.
pub(crate) async fn run(exit: bool, domains: u8) -> anyhow::Result<()> {
    let programs = Programs::find()?;
    let place =
        tempfile::Builder::new().prefix("quicproquo-demo-").tempdir().context("no temporary directory")?;

    transcript::heading("The domains start, each its own process, data directory and certificate authority");
    let alpha = RunningDomain::start(&programs, place.path(), "alpha.test").await?;
    let beta = RunningDomain::start(&programs, place.path(), "beta.test").await?;
    let mut others = Vec::new();
    for name in ["gamma.test", "delta.test"].iter().take(usize::from(domains).saturating_sub(2)) {
        others.push(RunningDomain::start(&programs, place.path(), name).await?);
    }
    let all: Vec<&RunningDomain> = [&alpha, &beta].into_iter().chain(&others).collect();
    for domain in &all {
        transcript::domain(domain);
    }

    transcript::heading("They become peers by two commands, and witness each other's key-transparency logs");
    for (index, inviter) in (1..).zip(&all) {
        for accepter in all.iter().skip(index) {
            peer(inviter, accepter).await?;
        }
    }
    for domain in &all {
        // Of two peers one witnesses: a majority takes three.
        let peers = all.len().saturating_sub(1);
        let count = if peers < 3 { 1 } else { peers };
        transcript::witnessed(domain, &witnessed(domain, count).await?);
    }

    transcript::heading("Three people register, each with a device of their own");
    let alice = Person::register(&programs, place.path(), "alice", &alpha).await?;
    let bob = Person::register(&programs, place.path(), "bob", &beta).await?;
    let carol = Person::register(&programs, place.path(), "carol", &beta).await?;
    for person in [&alice, &bob, &carol] {
        transcript::person(person);
    }

    transcript::heading("Alice and bob talk, end to end encrypted, across the two domains");
    exchange(&alice, bob.address(), &[&bob], "Hello bob, does this reach beta.test?").await?;
    exchange(&bob, alice.address(), &[&alice], "It does. And back?").await?;
    exchange(&alice, bob.address(), &[&bob], "Loud and clear.").await?;

    transcript::heading("Carol joins a group of both domains");
    alice.qpq(&["group", "create", "lunch"]).await?;
    alice.qpq(&["group", "add", "lunch", bob.address(), carol.address()]).await?;
    exchange(&alice, "lunch", &[&bob, &carol], "Lunch at noon?").await?;
    exchange(&carol, "lunch", &[&alice, &bob], "Yes, and I bring cake.").await?;
    exchange(&bob, "lunch", &[&alice, &carol], "Then I am there.").await?;

    transcript::heading("What carried it");
    transcript::link(&alpha, &alpha.admin(&["peer", "show", beta.name()]).await?);
    transcript::link(&beta, &beta.admin(&["peer", "show", alpha.name()]).await?);
    for person in [&alice, &bob, &carol] {
        transcript::connection(person, &person.qpq(&["whoami"]).await?);
    }
    transcript::storage(&alpha);
    transcript::storage(&beta);

    transcript::heading("What alice's device has verified of bob's keys");
    let shown = alice.qpq(&["keys", "show", bob.address()]).await?;
    let witnesses = beta.admin(&["log", "witness", "list"]).await?;
    transcript::verified(&bob, &shown, witnesses["witnesses"].as_array().map_or(0, Vec::len));

    if exit {
        stop([alpha, beta].into_iter().chain(others)).await?;
        transcript::end(
            "The conversation is complete; all domains stopped cleanly and everything was removed.",
        );
        return Ok(());
    }
    transcript::heading("Try it: the domains stay up until Ctrl-C");
    for person in [&alice, &bob, &carol] {
        transcript::try_it(person);
    }
    interrupted().await?;
    stop([alpha, beta].into_iter().chain(others)).await?;
    transcript::end("Stopped; everything was removed.");
    Ok(())
}

async fn stop(domains: impl Iterator<Item = RunningDomain>) -> anyhow::Result<()> {
    for domain in domains {
        domain.stop().await?;
    }
    Ok(())
}

async fn peer(inviter: &RunningDomain, accepter: &RunningDomain) -> anyhow::Result<()> {
    let invite = inviter.admin(&["peer", "invite", accepter.name()]).await?;
    let token = invite["token"].as_str().context("`peer invite` printed no token")?;
    transcript::command(inviter, &["peer", "invite", accepter.name()]);
    accepter.admin(&["peer", "accept", token]).await?;
    transcript::command(accepter, &["peer", "accept", "TOKEN"]);
    Ok(())
}

/// Waits until a domain's log has so many witnesses, and as many of them as it needs have signed all of it.
async fn witnessed(domain: &RunningDomain, count: usize) -> anyhow::Result<Value> {
    let deadline = tokio::time::Instant::now() + WITNESSED;
    loop {
        let status = domain.admin(&["log", "status"]).await?;
        let named = status["config"]["witnesses"].as_array().map_or(0, Vec::len);
        if named == count && status["cosigned"] == status["size"] {
            return Ok(status);
        }
        if tokio::time::Instant::now() > deadline {
            bail!("the log of {} is not witnessed by its {count} peers: {status}", domain.name());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One message: sent, received by everybody who should, word for word.
async fn exchange(from: &Person, to: &str, readers: &[&Person], text: &str) -> anyhow::Result<()> {
    let sent = from.qpq(&["send", to, text]).await?;
    if sent["state"] != "accepted" {
        bail!("{}'s message was not accepted by its homeserver: {sent}", from.address());
    }
    for reader in readers {
        let got = reader.receive(ARRIVAL).await?;
        if got["text"] != text || got["from"] != from.address() {
            bail!("{} should have read `{text}` from {}, but read {got}", reader.address(), from.address());
        }
        transcript::message(reader, &got);
    }
    Ok(())
}

async fn interrupted() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("can't wait for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}

/// The two programs.
#[derive(Debug)]
struct Programs {
    server: PathBuf,
    client: PathBuf,
}

impl Programs {
    fn find() -> anyhow::Result<Self> {
        let server = std::env::current_exe().context("this program does not know where it lies")?;
        let client = server.with_file_name("qpq");
        if !client.exists() {
            bail!("`{}` is missing: `cargo xtask demo` builds both programs", client.display());
        }
        Ok(Self { server, client })
    }
}
