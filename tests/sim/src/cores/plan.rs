//! What a run will be like: domains, groups, what their users do, and which faults come when. Drawn from the seed
//! before anything happens.

use qpq_core::Millis;

use super::{
    clients::{Client, Want},
    hostile::Manner,
};
use crate::{
    dice::Dice,
    history::{DomainNo, Setting},
};

/// After contact, rows are acknowledged within this time: the 15 s that may lie between two contacts that count, and
/// what the calls and transactions of a full queue take.
const PROMPT_MS: u64 = 60_000;

/// A fault with its time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trouble {
    /// From here nothing reaches there for so long, and back neither if `both`.
    Cut { from: DomainNo, to: DomainNo, both: bool, lasts: u64 },
    /// The domain crashes, at once or in the middle of its next transaction, and is away for so long.
    Crash { domain: DomainNo, away: u64, writing: bool },
    /// Its transactions take seconds for so long.
    SlowDisk { domain: DomainNo, lasts: u64 },
    /// Some of its transactions fail for so long.
    BadDisk { domain: DomainNo, lasts: u64 },
    /// Its database is copied.
    BackUp { domain: DomainNo },
    /// The domain is put back to its last copy, in a new life, and is away for so long.
    Restore { domain: DomainNo, away: u64 },
    /// Its clock jumps by so many milliseconds.
    ClockJump { domain: DomainNo, by: i64 },
}

/// A run before it begins.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) setting: Setting,
    /// How each domain's clock differs from the observer's.
    pub(crate) skews: Vec<i64>,
    pub(crate) clients: Vec<(u64, Client)>,
    pub(crate) troubles: Vec<(u64, Trouble)>,
    /// When the faults end.
    pub(crate) heals_at: u64,
    /// Messages in a thousand that are lost, late, and repeated.
    pub(crate) loss: u64,
    pub(crate) late: u64,
    pub(crate) repeated: u64,
    /// Commits in a thousand whose caller goes away.
    pub(crate) gone: u64,
    pub(crate) manner: Option<Manner>,
    /// Rows in one batch at most.
    pub(crate) rows: usize,
}

impl Plan {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let honest = dice.index(4).saturating_add(2);
        let manner = (honest < 5 && dice.per_mille(300)).then(|| Manner::draw(dice));
        let domains = honest.saturating_add(usize::from(manner.is_some()));
        let heals_at = dice.between(20_000, 600_000);
        let groups = dice.index(3).saturating_add(1);
        let (mut hubs, mut members) = (Vec::new(), Vec::new());
        for _ in 0..groups {
            let hub = dice.index(honest);
            hubs.push(hub);
            members.push((0..honest).filter(|domain| *domain == hub || dice.per_mille(700)).collect());
        }
        let hostile = manner.is_some().then_some(honest);
        let setting = Setting { domains, hostile, hubs, members, prompt_ms: PROMPT_MS };
        Self {
            skews: (0..domains).map(|_| if dice.per_mille(200) { far(dice) } else { near(dice) }).collect(),
            clients: clients(dice, &setting, honest, heals_at),
            troubles: troubles(dice, &setting, honest, heals_at),
            loss: dice.below(150),
            late: dice.below(60),
            repeated: dice.below(80),
            gone: dice.below(300),
            rows: dice.index(7).saturating_add(2),
            setting,
            heals_at,
            manner,
        }
    }
}

fn near(dice: &mut Dice) -> i64 {
    signed(dice.below(4_000)).saturating_sub(2_000)
}

/// Up to two days off, in either direction.
fn far(dice: &mut Dice) -> i64 {
    let by = signed(dice.between(60_000, 172_800_000));
    if dice.per_mille(500) { by } else { by.saturating_neg() }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn clients(dice: &mut Dice, setting: &Setting, honest: usize, heals_at: u64) -> Vec<(u64, Client)> {
    let mut clients = Vec::new();
    let mut id = 0;
    for _ in 0..dice.between(10, 60) {
        id += 1;
        let group = dice.index(setting.hubs.len());
        let members = setting.members.get(group).map_or(&[][..], Vec::as_slice);
        let Some(domain) = members.get(dice.index(members.len())).copied() else { continue };
        let invites = members.get(dice.index(members.len())).copied().unwrap_or(domain);
        let want = match dice.below(100) {
            0..15 => Want::Commit { group, invites },
            15..30 => Want::Message { group, ttl: Some(Millis(dice.between(1_000, 120_000))) },
            _ => Want::Message { group, ttl: None },
        };
        clients.push((dice.below(heals_at), Client::new(domain, want, id)));
    }
    if let Some(peer) = setting.hostile {
        for _ in 0..dice.between(2, 8) {
            id += 1;
            clients.push((dice.below(heals_at), Client::new(dice.index(honest), Want::Note { peer }, id)));
        }
    }
    clients
}

fn troubles(dice: &mut Dice, setting: &Setting, honest: usize, heals_at: u64) -> Vec<(u64, Trouble)> {
    let mut troubles = Vec::new();
    for _ in 0..dice.below(10) {
        let domain = dice.index(honest);
        let to = domain.saturating_add(1).saturating_add(dice.index(honest.saturating_sub(1))) % honest;
        let trouble = match dice.below(10) {
            0..3 => {
                let lasts = dice.between(2_000, heals_at / 2);
                Trouble::Cut { from: domain, to, both: dice.per_mille(500), lasts }
            }
            3..6 => Trouble::Crash { domain, away: dice.between(50, 60_000), writing: dice.per_mille(500) },
            6..8 => Trouble::SlowDisk { domain, lasts: dice.between(5_000, 60_000) },
            8 => Trouble::BadDisk { domain, lasts: dice.between(2_000, 20_000) },
            _ => Trouble::ClockJump { domain, by: far(dice) },
        };
        troubles.push((dice.below(heals_at), trouble));
    }
    // A restored hub asks its members for the log; until it does, only other domains are restored.
    let domain = dice.index(honest);
    if dice.per_mille(400) && !setting.hubs.contains(&domain) {
        let at = dice.below(heals_at / 2);
        let later = at.saturating_add(dice.between(1_000, heals_at / 2));
        troubles.push((at, Trouble::BackUp { domain }));
        // A restore takes longer than what the old process had sent is on its way.
        troubles.push((later, Trouble::Restore { domain, away: dice.between(30_000, 90_000) }));
    }
    troubles
}
