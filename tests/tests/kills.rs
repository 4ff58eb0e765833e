//! `kill -9` again and again, at moments that a printed seed chooses, under load: the database opens every time, and what
//! was accepted is there.
//!
//! `QPQ_KILLS=200` asks for so many, however long they take (`cargo xtask kills`); without it, as many as fit into the
//! time that a test may take. `QPQ_SEED` repeats the moments of a run; the load is never the same.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]
#![expect(clippy::disallowed_methods, reason = "how long and with which seed is told by the environment")]

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use qpq_client::SendState;
use qpq_core::{Entropy as _, OsEntropy};
use qpq_tests::{HomeDomain, Resident, World, eventually, told};
use tokio::time::{Instant, sleep, timeout};

const GROUP: &str = "everybody";
const NAMES: [&str; 3] = ["alice", "bob", "carol"];
const WHOLE: Duration = Duration::from_mins(14);
/// How long kills go on when nobody says how many.
const WINDOW: Duration = Duration::from_secs(90);
/// And so many are needed for the test to mean anything.
const LEAST: usize = 25;
const MOST: usize = 200;
/// The latest moments of a kill: after the launch, after the server listens, and after it accepted something.
const STARTING: u64 = 120;
const LISTENING: u64 = 250;
const ACCEPTING: u64 = 80;
/// How long something may take to be accepted before the kill comes all the same.
const FIRST: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_mins(2);
const UNLIMITED: &[(&str, &str)] =
    &[("QPQ_LIMITS_SUBMITS_PER_MINUTE", "1000000"), ("QPQ_LIMITS_MAILBOX_MESSAGES", "100000")];

/// `SplitMix64`: moments that a seed repeats.
struct Moments(u64);

impl Moments {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[derive(Default)]
struct Numbers {
    /// How many were given out; a kill may have swallowed one before it was queued.
    next: usize,
    accepted: Vec<usize>,
    heard: BTreeMap<String, Vec<usize>>,
}

struct Speaker {
    resident: Resident,
    numbers: RefCell<Numbers>,
}

impl Speaker {
    async fn new(world: &World, name: &str, home: &HomeDomain) -> anyhow::Result<Self> {
        Ok(Self { resident: Resident::register(world, name, home).await?, numbers: RefCell::default() })
    }

    /// Sends until the homeserver is gone.
    async fn speak(&self) -> anyhow::Result<()> {
        loop {
            let number = {
                let mut numbers = self.numbers.borrow_mut();
                numbers.next += 1;
                numbers.next
            };
            let sent = self.resident.send(GROUP, &number.to_string()).await?;
            if sent.state == SendState::Accepted {
                // Messages of a conversation leave in order: those that waited went before it.
                self.numbers.borrow_mut().accepted.push(number);
            }
        }
    }

    async fn listen(&self) -> anyhow::Result<()> {
        loop {
            let messages = self.resident.take().await?;
            if messages.is_empty() {
                return Ok(());
            }
            let mut numbers = self.numbers.borrow_mut();
            for message in messages {
                numbers.heard.entry(message.from.to_string()).or_default().push(message.text.parse()?);
            }
        }
    }

    /// Whether everything that was accepted from `other` is here, once and in order.
    fn check(&self, other: &Self) -> anyhow::Result<bool> {
        let from = other.resident.address().to_string();
        let numbers = self.numbers.borrow();
        let heard = numbers.heard.get(&from).map(Vec::as_slice).unwrap_or_default();
        ensure!(
            heard.is_sorted_by(|one, next| one < next),
            "{} heard {heard:?} from {from}",
            self.resident.address()
        );
        Ok(other.numbers.borrow().accepted.iter().all(|number| heard.binary_search(number).is_ok()))
    }
}

fn accepted(speakers: &[Speaker]) -> usize {
    speakers.iter().map(|speaker| speaker.numbers.borrow().accepted.len()).sum()
}

/// One life of the server, cut off at a moment that the seed chooses: one in four while it starts, one in four while
/// clients come back, and the others in the midst of what they send.
async fn live_and_die(alpha: &HomeDomain, speakers: &[Speaker], moments: &mut Moments) -> anyhow::Result<()> {
    alpha.launch()?;
    let (phase, chance) = (moments.below(4), moments.below(u64::MAX));
    if phase == 0 {
        sleep(Duration::from_millis(chance % STARTING)).await;
        return alpha.kill().await;
    }
    alpha.listens().await?;
    let before = accepted(speakers);
    let moment = async {
        if phase == 1 {
            return sleep(Duration::from_millis(chance % LISTENING)).await;
        }
        let sends = async {
            while accepted(speakers) == before {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(FIRST, sends).await.ok();
        sleep(Duration::from_millis(chance % ACCEPTING)).await;
    };
    tokio::select! {
        ended = try_join_all(speakers.iter().map(Speaker::speak)) => drop(ended?),
        () = moment => {}
    }
    alpha.kill().await?;
    // Who was connected to it would wait for it to show life.
    for speaker in speakers {
        speaker.resident.client().disconnect().await;
    }
    Ok(())
}

/// All that was accepted arrives, with a server that is left alone.
async fn everything_is_there(speakers: &[Speaker]) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut complete = true;
        for listener in speakers {
            listener.resident.client().sync().await?;
            listener.listen().await?;
            for speaker in speakers.iter().filter(|speaker| !std::ptr::eq(*speaker, listener)) {
                complete &= listener.check(speaker)?;
            }
        }
        if complete {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "something that was accepted is missing");
    }
}

#[test]
fn killed_at_any_moment_the_database_opens_and_has_what_was_accepted() -> anyhow::Result<()> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>()).transpose();
    let wanted = number("QPQ_KILLS").context("QPQ_KILLS is no number")?;
    let seed = match number("QPQ_SEED").context("QPQ_SEED is no number")? {
        Some(seed) => seed,
        None => OsEntropy::new()?.below(u64::MAX),
    };
    let most = wanted.map_or(Ok(MOST), usize::try_from)?;
    println!("QPQ_SEED={seed}");
    told(WHOLE, async |world| {
        let alpha = world.domain_with("alpha", UNLIMITED).await?;
        let mut speakers = Vec::new();
        for name in NAMES {
            speakers.push(Speaker::new(world, name, &alpha).await?);
        }
        let (alice, others) = speakers.split_first().context("nobody speaks")?;
        let members: Vec<_> = others.iter().map(|other| other.resident.address().clone()).collect();
        alice.resident.client().group_create(GROUP).await?;
        alice.resident.client().group_add(GROUP, &members).await?;
        for other in others {
            eventually("the invited are in the group", PATIENCE, async || {
                // The group's name is a message of hers.
                alice.resident.client().sync().await?;
                other.resident.client().sync().await?;
                Ok(other.resident.client().group_show(GROUP).await.ok().map(drop))
            })
            .await?;
        }
        alpha.kill().await?;
        for speaker in &speakers {
            speaker.resident.client().disconnect().await;
        }

        let (mut moments, mut kills, began) = (Moments(seed), 0, Instant::now());
        while kills < most && (wanted.is_some() || began.elapsed() < WINDOW) {
            live_and_die(&alpha, &speakers, &mut moments).await.with_context(|| format!("kill {kills}"))?;
            kills += 1;
        }
        let took = began.elapsed();
        alpha.start().await?;
        everything_is_there(&speakers).await?;
        let accepted = accepted(&speakers);
        println!(
            "{kills} kills within {took:?}, {accepted} messages accepted between them: all there, once, in order"
        );
        ensure!(kills >= LEAST.min(most), "{kills} kills within {took:?} are too few");
        ensure!(2 * accepted >= kills, "{accepted} messages are no load for {kills} kills");
        alpha.server(&["audit", "verify"])?.succeed().await?;
        Ok(())
    })
}
