//! `qpq-sim`: plays seeds and says what came of them. `cargo xtask sim` builds and starts it.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use qpq_sim::{BUGS, Campaign, FAULTS, Machine, Replay};

/// Seeds that are played to find a planted bug, at most.
const PLANTED_CORE_SEEDS: u64 = 5_000;
const PLANTED_FULL_SEEDS: u64 = 60;

#[derive(Debug, Parser)]
#[command(name = "qpq-sim", about = "Whole networks of domains under seeded faults")]
struct Arguments {
    /// How many seeds the machine of the pure cores plays.
    #[arg(long, default_value_t = 20_000)]
    core_seeds: u64,
    /// How many seeds the machine of the whole protocol plays.
    #[arg(long, default_value_t = 100)]
    full_seeds: u64,
    /// The first seed; without it one is drawn from the clock.
    #[arg(long)]
    seed: Option<u64>,
    /// Plays one seed and tells its story: core:SEED or full:SEED.
    #[arg(long, value_name = "MACHINE:SEED")]
    replay: Option<Replay>,
    /// Puts each known mistake into the code, one after the other, and shows that it is found.
    #[arg(long)]
    planted: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let kept = match (arguments.replay, arguments.planted) {
        (Some(replay), _) => replayed(replay),
        (None, true) => planted(arguments.seed.unwrap_or(1)),
        (None, false) => {
            let base = arguments.seed.unwrap_or_else(drawn);
            let machines = [(Machine::Core, arguments.core_seeds), (Machine::Full, arguments.full_seeds)];
            // Both have their say, whatever the first says.
            machines
                .map(|(machine, seeds)| seeds == 0 || campaign(machine, base, seeds))
                .iter()
                .all(|kept| *kept)
        }
    };
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn campaign(machine: Machine, base: u64, seeds: u64) -> bool {
    say(&format!("{machine}: {seeds} seeds from {base}"));
    let campaign = Campaign::play(machine, base, seeds, None, stopwatch);
    let seconds = campaign.took.as_secs_f64().max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let rate = campaign.seeds as f64 / seconds;
    say(&format!(
        "{machine}: {} seeds in {seconds:.1} s, {rate:.0} a second, {} entries of logs",
        campaign.seeds, campaign.logged
    ));
    for fault in FAULTS.into_iter().filter(|fault| machine.knows(*fault)) {
        say(&format!("{machine}: {:>10}  {fault}", campaign.counts.of(fault)));
    }
    if let Some((seed, why)) = &campaign.broken {
        say(&format!("{machine}: seed {seed} FAILED: {why}"));
        say(&format!("play it again: cargo xtask sim --replay {}", Replay { machine, seed: *seed }));
        return false;
    }
    let missing = campaign.missing(machine);
    for fault in &missing {
        say(&format!("{machine}: FAILED: `{fault}` never occurred, so nothing was shown about it"));
    }
    missing.is_empty()
}

fn replayed(replay: Replay) -> bool {
    let run = replay.machine.play(replay.seed, None, true);
    run.trace.iter().for_each(|line| say(line));
    match &run.broken {
        Some(why) => say(&format!("{replay} FAILED: {why}")),
        None => say(&format!("{replay} kept every promise")),
    }
    run.broken.is_none()
}

fn planted(base: u64) -> bool {
    if !cfg!(feature = "planted") {
        say("this build can't plant bugs: cargo xtask sim --planted makes one that can");
        return false;
    }
    let (mut planted, mut missed) = (0, 0);
    for (machine, seeds) in [(Machine::Core, PLANTED_CORE_SEEDS), (Machine::Full, PLANTED_FULL_SEEDS)] {
        for bug in BUGS.into_iter().filter(|bug| machine.can_have(*bug)) {
            planted += 1;
            let campaign = Campaign::play(machine, base, seeds, Some(bug), stopwatch);
            if let Some((seed, why)) = campaign.broken {
                say(&format!("{machine}: `{bug}` caught by seed {seed}: {why}"));
            } else {
                missed += 1;
                say(&format!("{machine}: `{bug}` FAILED: not caught by {seeds} seeds"));
            }
        }
    }
    say(&format!("{} of {planted} planted bugs caught", planted - missed));
    missed == 0
}

/// A first seed for who names none.
fn drawn() -> u64 {
    u64::try_from(stopwatch().as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "measures the machine itself; no run sees it")]
fn stopwatch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[expect(clippy::print_stdout, reason = "the one place where the simulation speaks")]
fn say(line: &str) {
    println!("{line}");
}
