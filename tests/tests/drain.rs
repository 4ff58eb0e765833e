//! SIGTERM under load: it is said before it is done, the process ends in time, nothing accepted is lost, and clients
//! come back by themselves.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{cell::Cell, time::Duration};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use qpq_client::SendState;
use qpq_tests::{HomeDomain, Resident, World, eventually, story, wire::Wire};
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

const SOON: Duration = Duration::from_mins(1);
/// How long it is said before clients are sent away.
const NOTICE: Duration = Duration::from_secs(1);
const DEADLINE: Duration = Duration::from_secs(10);
/// For the last packets, the writer, and a machine that builds at the same time.
const PLUS_A_LITTLE: Duration = Duration::from_secs(5);
const SETTINGS: &[(&str, &str)] = &[
    ("QPQ_DRAIN_NOTICE", "1s"),
    ("QPQ_DRAIN_DEADLINE", "10s"),
    ("QPQ_LIMITS_SUBMITS_PER_MINUTE", "1000000"),
    ("QPQ_LIMITS_MAILBOX_MESSAGES", "100000"),
];

/// Somebody who sends without a pause, numbers as texts.
struct Sender {
    resident: Resident,
    sent: Cell<usize>,
    accepted: Cell<usize>,
}

impl Sender {
    async fn new(world: &World, name: &str, home: &HomeDomain) -> anyhow::Result<Self> {
        let resident = Resident::register(world, name, home).await?;
        Ok(Self { resident, sent: Cell::new(0), accepted: Cell::new(0) })
    }

    async fn send(&self, to: &str) -> anyhow::Result<()> {
        let number = self.sent.replace(self.sent.get() + 1);
        if self.resident.send(to, &number.to_string()).await?.state == SendState::Accepted {
            self.accepted.set(self.accepted.get() + 1);
        }
        Ok(())
    }

    async fn send_until(&self, to: &str, enough: &Cell<bool>) -> anyhow::Result<()> {
        while !enough.get() {
            self.send(to).await?;
            // While nobody takes anything, what is queued must not grow without end.
            if self.resident.client().session().is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }
}

/// The status of `/readyz`; `None` when nobody answers any more.
async fn readiness(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.split(' ').nth(1).map(str::to_owned)
}

/// Stops the server under load, looks at the order of what can be seen from outside, and tells how long it took.
async fn stops_in_order(alpha: &HomeDomain, senders: &[Sender]) -> anyhow::Result<Duration> {
    let address = std::fs::read_to_string(alpha.directory().join("run/admin-address"))?.trim().to_owned();
    ensure!(readiness(&address).await.as_deref() == Some("200"));
    let stranger = Wire::dial(&alpha.client_address(), alpha.name(), alpha.pin()).await?;
    let began = Instant::now();
    alpha.signal(Signal::TERM)?;
    while readiness(&address).await.context("the probe's port went first")? != "503" {
        ensure!(began.elapsed() < NOTICE, "`/readyz` does not say it first");
    }
    for sender in senders {
        sender.resident.client().session().context("a client was cut before `/readyz` said it")?;
    }
    let info = stranger.homeserver().info_request().send().promise.await?;
    ensure!(info.get()?.get_info()?.get_draining(), "`info` does not say it");
    let reason = stranger.connection().closed().await;
    ensure!(reason.contains("stopping"), "{reason}");
    ensure!(began.elapsed() >= NOTICE, "clients were sent away before the notice was over");
    let status = alpha.ended().await?;
    let took = began.elapsed();
    ensure!(status.code() == Some(0), "{status}");
    ensure!(took < NOTICE + DEADLINE + PLUS_A_LITTLE, "it took {took:?}");
    Ok(took)
}

#[test]
fn a_stop_under_load_loses_nothing_and_clients_come_back() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains_with(SETTINGS).await?;
        let bob = Resident::register(world, "bob", &beta).await?;
        bob.wake();
        let mut senders = Vec::new();
        for name in ["alice", "carol", "dave"] {
            let sender = Sender::new(world, name, &alpha).await?;
            sender.resident.wake();
            eventually("the client is connected", SOON, async || {
                Ok(sender.resident.client().session().ok().map(drop))
            })
            .await?;
            senders.push(sender);
        }
        let to = bob.address().to_string();
        let enough = Cell::new(false);
        let accepted = || senders.iter().map(|sender| sender.accepted.get()).collect::<Vec<_>>();
        let load = try_join_all(senders.iter().map(|sender| sender.send_until(&to, &enough)));
        let stop = async {
            let under_way = async || Ok(accepted().iter().all(|accepted| *accepted >= 5).then_some(()));
            eventually("all of them send", SOON, under_way).await?;
            let took = stops_in_order(&alpha, &senders).await?;
            println!("stopped under load within {took:?}");
            let before = accepted();
            alpha.start().await?;
            eventually("each client is back by itself and sends", SOON, async || {
                let more = accepted().iter().zip(&before).all(|(now, then)| now > then);
                Ok(more.then_some(()))
            })
            .await?;
            enough.set(true);
            anyhow::Ok(())
        };
        futures::future::try_join(load, stop).await?;

        let total: usize = senders.iter().map(|sender| sender.sent.get()).sum();
        let heard = bob.hear(total, SOON).await?;
        for sender in &senders {
            let address = sender.resident.address();
            let of_them = heard.iter().filter(|message| message.from == *address);
            let numbers = of_them.map(|message| message.text.parse()).collect::<Result<Vec<usize>, _>>()?;
            let expected: Vec<usize> = (0..sender.sent.get()).collect();
            ensure!(numbers == expected, "bob heard {numbers:?} from {address}");
        }
        println!("{total} messages, {} of them accepted at once", accepted().iter().sum::<usize>());
        Ok(())
    })
}
