//! Real clients: the library with MLS and its own encrypted store on both ends, from `send` to the text being shown.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    path::Path,
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use qpq_client::{Client, SendState};
use tokio::{sync::Notify, task::spawn_local};

use crate::{
    Plan,
    domains::HomeDomain,
    people::{self, Person},
    report::{self, number},
    statistics::{Latency, LatencyRounds, Rounds, per_second},
    stopwatch::Stopwatch,
};

/// Texts per second of the paced load, all pairs together.
const PER_SECOND: u32 = 10;
/// How long a text may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Texts taken at a time.
const TAKEN: u32 = 200;
/// Fills a text up, so that its ciphertext has about 1 KiB like the opaque payloads.
const FILLING: usize = 800;

/// Measures and prints.
pub(crate) async fn measure(
    plan: &Plan,
    place: &Path,
    alpha: &HomeDomain,
    beta: &HomeDomain,
) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (what, home) in [("local", alpha), ("federated", beta)] {
        report::progress(&format!("real clients, {what}"));
        let writers = people::crowd(alpha, place, &format!("{what}-writer"), plan.pairs).await?;
        let readers = people::crowd(home, place, &format!("{what}-reader"), plan.pairs).await?;
        let mut talks = Vec::new();
        for (writer, reader) in writers.iter().zip(&readers) {
            people::introduce(writer, reader).await?;
            talks.push(Rc::new(Talk::between(writer, reader)));
        }
        let alive: Vec<_> = writers.iter().chain(&readers).map(|person| person.client.go_live()).collect();
        for person in writers.iter().chain(&readers) {
            // Whoever is not connected only queues.
            connected(&person.client).await?;
        }
        let listening: Vec<_> = talks.iter().map(|talk| spawn_local(Rc::clone(talk).listen())).collect();
        let rates = throughput(plan, &talks).await?;
        let delays = latency(plan, &talks).await?;
        for task in listening {
            ensure!(!task.is_finished(), "a reader gave up: {:?}", task.await);
            task.abort();
        }
        drop((alive, talks));
        for person in writers.into_iter().chain(readers) {
            person.client.close().await;
        }
        rows.push((what, rates, delays));
    }
    let title =
        format!("Real clients: {} pairs, MLS with X-Wing, own stores, from `send` until shown", plan.pairs);
    let paced = format!("p50 at {PER_SECOND}/s, ms");
    report::table(&title, &["path", "texts per second", "least", "most", &paced, "p99, ms"]);
    for (what, rates, delays) in rows {
        let delay = delays.medians();
        let cells = [rates.median(), rates.least(), rates.most(), delay.p50, delay.p99].map(number);
        let cells: Vec<_> = std::iter::once(what.to_owned()).chain(cells).collect();
        report::row(&cells);
    }
    report::line(
        "\nEach writer waits for its homeserver's answer before it sends again. All clients share one thread of the load's process; a text costs several durable transactions at each client.",
    );
    Ok(())
}

async fn connected(client: &Client) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    while client.session().is_err() {
        ensure!(watch.elapsed() < PATIENCE, "{} did not connect", client.address()?);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// One writer and one reader.
struct Talk {
    writer: Client,
    reader: Client,
    target: String,
    sent: Cell<u64>,
    shown: Cell<u64>,
    /// Texts under way, by their number.
    under_way: RefCell<HashMap<u64, Stopwatch>>,
    took: RefCell<Vec<Duration>>,
    news: Notify,
}

impl Talk {
    fn between(writer: &Person, reader: &Person) -> Self {
        Self {
            writer: writer.client.clone(),
            reader: reader.client.clone(),
            target: reader.address.to_string(),
            sent: Cell::new(0),
            shown: Cell::new(0),
            under_way: RefCell::default(),
            took: RefCell::default(),
            news: Notify::new(),
        }
    }

    /// Reads until it is aborted.
    async fn listen(self: Rc<Self>) -> anyhow::Result<()> {
        loop {
            let messages = self.reader.wait_unread(TAKEN, PATIENCE).await?;
            let Some(last) = messages.last() else { continue };
            self.reader.mark_shown(last).await?;
            for message in &messages {
                let number: u64 = message.text.split(' ').next().unwrap_or_default().parse()?;
                let since = self.under_way.borrow_mut().remove(&number);
                let since = since.with_context(|| format!("text {number} was shown twice"))?;
                self.took.borrow_mut().push(since.elapsed());
                self.shown.update(|shown| shown + 1);
            }
            self.news.notify_waiters();
        }
    }

    async fn say(&self) -> anyhow::Result<()> {
        let number = self.sent.replace(self.sent.get() + 1);
        self.under_way.borrow_mut().insert(number, Stopwatch::start());
        let text = format!("{number} {}", "x".repeat(FILLING));
        let sent = self.writer.send(&self.target, &text).await?;
        ensure!(sent.state == SendState::Accepted, "a text was only queued: {:?}", sent.waits);
        Ok(())
    }

    /// Waits until everything was shown.
    async fn heard(&self) -> anyhow::Result<()> {
        loop {
            let news = self.news.notified();
            let missing = self.under_way.borrow().len();
            if missing == 0 {
                return Ok(());
            }
            tokio::time::timeout(PATIENCE, news)
                .await
                .with_context(|| format!("{missing} texts to {} were not shown", self.target))?;
        }
    }
}

async fn throughput(plan: &Plan, talks: &[Rc<Talk>]) -> anyhow::Result<Rounds> {
    let stop = Rc::new(Cell::new(false));
    let talking = talks.iter().map(|talk| {
        let (talk, stop) = (Rc::clone(talk), Rc::clone(&stop));
        async move {
            spawn_local(async move {
                while !stop.get() {
                    talk.say().await?;
                }
                talk.heard().await
            })
            .await?
        }
    });
    let measuring = async {
        let shown = || talks.iter().map(|talk| talk.shown.get()).sum::<u64>();
        tokio::time::sleep(plan.round()).await;
        let mut rounds = Rounds::default();
        for _ in 0..plan.rounds {
            let (watch, before) = (Stopwatch::start(), shown());
            tokio::time::sleep(plan.round()).await;
            rounds.push(per_second(shown() - before, watch.seconds()));
        }
        stop.set(true);
        anyhow::Ok(rounds)
    };
    let (_, rounds) = tokio::try_join!(try_join_all(talking), measuring)?;
    for talk in talks {
        talk.took.take();
    }
    Ok(rounds)
}

async fn latency(plan: &Plan, talks: &[Rc<Talk>]) -> anyhow::Result<LatencyRounds> {
    let count = usize::try_from(plan.seconds.saturating_mul(u64::from(PER_SECOND)))?.max(20);
    let mut rounds = LatencyRounds::default();
    for _ in 0..plan.rounds {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
        let mut calls = Vec::with_capacity(count);
        for talk in talks.iter().cycle().take(count) {
            ticks.tick().await;
            let talk = Rc::clone(talk);
            calls.push(spawn_local(async move { talk.say().await }));
        }
        for call in calls {
            call.await??;
        }
        let mut took = Vec::with_capacity(count);
        for talk in talks {
            talk.heard().await?;
            took.extend(talk.took.take());
        }
        rounds.push(Latency::of(took));
    }
    Ok(rounds)
}
