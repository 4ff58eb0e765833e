//! Nothing that one peer does slows another peer's traffic: each kind of misbehaviour, beside the same misbehaviour towards
//! somebody else.
//!
//! Attacker, victim and bystander share this machine's cores, so a plain "with and without" would measure the machine. The
//! comparison is therefore with the *same* flood aimed at a third homeserver: what remains is what happens inside of the one
//! that serves both peers. Rounds of both kinds alternate; of each pair the medians are compared. The number of pairs is fixed,
//! and what is judged is how many of them are above the bound: one pair says little on a machine that does other things, too.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use qpq_tests::{
    HomeDomain, Resident, World,
    hostile::{Attack, Attacker, Impostor, Target},
    lane::Lane,
    peer, told,
};
use tokio::time::Instant;

/// Messages of one round, and how far apart they are sent.
const ROUND: usize = 20;
const PACE: Duration = Duration::from_millis(15);
/// Pairs of rounds for each attack.
const PAIRS: usize = 11;
/// With so many pairs above the bound the median is above it, and not by chance: of eleven tosses of a coin nine or more fall
/// on one side in 3 of 100 times.
const CERTAIN: usize = 9;
/// How long one message may take before everything is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much slower the other peer's messages may get.
const SLOWER: f64 = 1.2;
const STORY: Duration = Duration::from_mins(8);

#[expect(clippy::print_stderr, reason = "figures are for people")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Beta talks to alpha. Gamma is a peer of alpha and of delta, and misbehaves towards either.
struct Scene {
    lane: Lane,
    alpha: HomeDomain,
    delta: HomeDomain,
    gamma: Impostor,
    _beta: HomeDomain,
    _people: [Resident; 2],
}

impl Scene {
    async fn begin(world: &World) -> anyhow::Result<Self> {
        let raised =
            [("QPQ_LIMITS_MAILBOX_MESSAGES", "100000"), ("QPQ_LIMITS_SUBMITS_PER_MINUTE", "1000000")];
        let alpha = world.domain_with("alpha", &raised).await?;
        let beta = world.domain_with("beta", &raised).await?;
        let gamma = world.domain("gamma").await?;
        let delta = world.domain("delta").await?;
        peer(&alpha, &beta).await?;
        peer(&alpha, &gamma).await?;
        peer(&delta, &gamma).await?;
        // From here on who speaks as gamma is not its server.
        let gamma = Impostor::of(&gamma).await?;
        let bob = Resident::register(world, "bob", &beta).await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        let lane = Lane::between(&bob, &alice).await?;
        Ok(Self { lane, alpha, delta, gamma, _beta: beta, _people: [bob, alice] })
    }

    /// How long each message of a round took from its submit at beta until its delivery at alpha.
    async fn round(&self) -> anyhow::Result<Vec<Duration>> {
        let mut ticks = tokio::time::interval(PACE);
        let before = self.lane.receiver().count();
        let mut sent_at = Vec::with_capacity(ROUND);
        for _ in 0..ROUND {
            ticks.tick().await;
            sent_at.push(Instant::now());
            self.lane.submit(1).await?;
        }
        self.lane.receiver().until(before + ROUND, PATIENCE).await?;
        sent_at
            .into_iter()
            .enumerate()
            .map(|(place, sent)| {
                let delivered = self.lane.receiver().delivered_at(before + place);
                Ok(delivered.context("a message is missing")?.saturating_duration_since(sent))
            })
            .collect()
    }

    async fn under(&self, attack: Attack, target: &HomeDomain) -> anyhow::Result<(Vec<Duration>, u64)> {
        let attacker = Attacker::begin(attack, Target::of(target), self.gamma.clone())?;
        attacker.has_begun().await?;
        let took = self.round().await;
        let did = attacker.end().await?;
        ensure!(did > 0, "{attack:?} did nothing");
        Ok((took?, did))
    }
}

/// What was measured beside an attack.
#[derive(Default)]
struct Pairs {
    beside: Vec<Duration>,
    elsewhere: Vec<Duration>,
    quiet: Vec<Duration>,
    /// Of each pair, sorted.
    ratios: Vec<f64>,
    blows: u64,
}

impl Pairs {
    async fn measure(&mut self, scene: &Scene, attack: Attack) -> anyhow::Result<()> {
        let (elsewhere, _) = scene.under(attack, &scene.delta).await?;
        let (beside, blows) = scene.under(attack, &scene.alpha).await?;
        // What else the machine does is the same for both halves of a pair.
        self.ratios.push(median(&beside) / median(&elsewhere));
        self.ratios.sort_by(f64::total_cmp);
        self.blows += blows;
        self.elsewhere.extend(elsewhere);
        self.beside.extend(beside);
        self.quiet.extend(scene.round().await?);
        Ok(())
    }

    fn ratio(&self) -> f64 {
        self.ratios.get(self.ratios.len() / 2).copied().unwrap_or(f64::INFINITY)
    }
}

impl std::fmt::Display for Pairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [beside, elsewhere, quiet] =
            [&self.beside, &self.elsewhere, &self.quiet].map(|took| median(took));
        write!(
            f,
            "{beside:.1} ms beside it, {elsewhere:.1} ms beside the same at another domain ({:.2} times, median of {} pairs), \
             {quiet:.1} ms without; {} blows",
            self.ratio(),
            self.ratios.len(),
            self.blows
        )
    }
}

fn median(took: &[Duration]) -> f64 {
    let mut took = took.to_vec();
    took.sort_unstable();
    took.get(took.len() / 2).map_or(f64::NAN, Duration::as_secs_f64) * 1_000.0
}

#[test]
#[ignore = "takes the whole machine for two minutes: the gate runs it with those that need a name server"]
fn nothing_that_one_peer_does_slows_another_peers_messages() -> anyhow::Result<()> {
    told(STORY, async |world| {
        let scene = Scene::begin(world).await?;
        scene.round().await?;
        let mut slowed = Vec::new();
        for attack in Attack::ALL {
            let mut pairs = Pairs::default();
            for _ in 0..PAIRS {
                pairs.measure(&scene, attack).await?;
            }
            say(&format!("{attack:?}: {pairs}"));
            if pairs.ratios.iter().filter(|ratio| **ratio > SLOWER).count() >= CERTAIN {
                slowed.push((attack, pairs.ratio()));
            }
        }
        ensure!(slowed.is_empty(), "another peer's messages got slower: {slowed:?}");
        ensure!(
            scene.alpha.resident_bytes()? < 600 << 20,
            "alpha has grown to {} MiB",
            scene.alpha.resident_bytes()? >> 20
        );
        scene.alpha.info().await.map(drop)
    })
}
