//! What a run of the whole protocol will be like, drawn before anything happens.

use std::time::Duration;

use super::net::Weather;
use crate::{
    dice::Dice,
    history::{DomainNo, Id, Setting},
};

/// After contact, rows are acknowledged within this time: handshakes, calls and transactions of a full queue included.
const PROMPT_MS: u64 = 60_000;

/// A fault with its time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    Cut {
        from: DomainNo,
        to: DomainNo,
        both: bool,
        lasts: Duration,
    },
    Crash {
        domain: DomainNo,
        polls: u64,
        away: Duration,
    },
    SlowDisk {
        domain: DomainNo,
        lasts: Duration,
    },
    BadDisk {
        domain: DomainNo,
        lasts: Duration,
    },
    ClockJump {
        domain: DomainNo,
        by: i64,
    },
    /// The database is copied.
    BackUp {
        domain: DomainNo,
    },
    /// The process ends, and its domain comes back from the copy in a new life.
    Restore {
        domain: DomainNo,
        away: Duration,
    },
}

/// A message that somebody sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Send {
    pub(crate) from: DomainNo,
    pub(crate) to: DomainNo,
    /// Which of the streams between the two.
    pub(crate) stream: u8,
    pub(crate) id: Id,
}

/// A run before it begins.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) setting: Setting,
    pub(crate) skews: Vec<i64>,
    pub(crate) sends: Vec<(Duration, Send)>,
    pub(crate) troubles: Vec<(Duration, Trouble)>,
    pub(crate) heals_at: Duration,
    pub(crate) weather: Weather,
}

impl Plan {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let honest = dice.index(4).saturating_add(2);
        let hostile = (honest < 5 && dice.per_mille(400)).then_some(honest);
        let domains = honest.saturating_add(usize::from(hostile.is_some()));
        let heals_ms = dice.between(15_000, 120_000);
        let (mut hubs, mut members) = (Vec::new(), Vec::new());
        for _from in 0..domains {
            for to in 0..domains {
                hubs.push(to);
                members.push(vec![to]);
            }
        }
        let setting = Setting { domains, hostile, hubs, members, prompt_ms: PROMPT_MS };
        let mut sends = Vec::new();
        for id in 1..=dice.between(20, 80) {
            let from = dice.index(honest);
            let send = Send { from, to: other(dice, from, honest), stream: small(dice.below(3)), id };
            sends.push((Duration::from_millis(dice.below(heals_ms)), send));
        }
        Self {
            skews: (0..domains).map(|_| skew(dice)).collect(),
            troubles: troubles(dice, honest, heals_ms),
            weather: Weather { loss: dice.below(120), late: dice.below(40) },
            heals_at: Duration::from_millis(heals_ms),
            sends,
            setting,
        }
    }
}

fn other(dice: &mut Dice, domain: DomainNo, domains: usize) -> DomainNo {
    domain.saturating_add(1).saturating_add(dice.index(domains.saturating_sub(1))) % domains
}

fn small(value: u64) -> u8 {
    u8::try_from(value).unwrap_or(0)
}

fn skew(dice: &mut Dice) -> i64 {
    if dice.per_mille(300) { far(dice) } else { i64::try_from(dice.below(4_000)).unwrap_or(0) - 2_000 }
}

fn far(dice: &mut Dice) -> i64 {
    let by = i64::try_from(dice.between(60_000, 172_800_000)).unwrap_or(0);
    if dice.per_mille(500) { by } else { by.saturating_neg() }
}

fn troubles(dice: &mut Dice, domains: usize, heals_ms: u64) -> Vec<(Duration, Trouble)> {
    let mut troubles = Vec::new();
    for _ in 0..dice.between(2, 9) {
        let domain = dice.index(domains);
        let mut lasts = |low, high| Duration::from_millis(dice.between(low, high));
        let lasting = lasts(2_000, heals_ms / 2);
        let trouble = match dice.below(10) {
            0..3 => {
                let to = other(dice, domain, domains);
                Trouble::Cut { from: domain, to, both: dice.per_mille(500), lasts: lasting }
            }
            3..7 => {
                let away = Duration::from_millis(dice.between(50, 40_000));
                Trouble::Crash { domain, polls: dice.below(60), away }
            }
            7 => Trouble::SlowDisk { domain, lasts: lasting },
            8 => Trouble::BadDisk { domain, lasts: lasting },
            _ => Trouble::ClockJump { domain, by: far(dice) },
        };
        troubles.push((Duration::from_millis(dice.below(heals_ms)), trouble));
    }
    if dice.per_mille(400) {
        let domain = dice.index(domains);
        let at = dice.below(heals_ms / 2);
        let later = at.saturating_add(dice.between(1_000, heals_ms / 2));
        troubles.push((Duration::from_millis(at), Trouble::BackUp { domain }));
        // A restore takes longer than what the old process had sent is on its way.
        let away = Duration::from_millis(dice.between(30_000, 90_000));
        troubles.push((Duration::from_millis(later), Trouble::Restore { domain, away }));
    }
    troubles
}
