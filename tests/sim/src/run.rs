//! One seed's run: what was promised and kept, which faults occurred, and the story for whoever wants to read it.

use crate::{
    faults::Counts,
    history::{Event, Setting, check},
};

/// What came of one seed.
#[derive(Debug, Clone)]
pub struct Run {
    /// The promise that was broken, in words; `None`: all were kept.
    pub broken: Option<String>,
    /// How often each fault occurred.
    pub counts: Counts,
    /// Entries that became durable in logs.
    pub logged: u64,
    /// A number that is the same for the same history.
    pub mark: u64,
    /// Everything that happened, line by line, if it was asked for.
    pub trace: Vec<String>,
}

impl Run {
    /// Judges a history.
    pub(crate) fn judged(setting: &Setting, history: &[Event], counts: Counts, trace: Vec<String>) -> Self {
        let logged = history.iter().filter(|event| matches!(event, Event::Logged { .. })).count();
        Self {
            broken: check(setting, history).err().map(|violation| violation.to_string()),
            counts,
            logged: u64::try_from(logged).unwrap_or(u64::MAX),
            mark: mark(history),
            trace,
        }
    }

    /// Lets something else that must be the same count in the mark.
    pub(crate) const fn marked(mut self, what: u64) -> Self {
        self.mark ^= what;
        self
    }

    /// A run that could not even begin.
    pub(crate) fn broken(why: String) -> Self {
        Self { broken: Some(why), counts: Counts::default(), logged: 0, mark: 0, trace: Vec::new() }
    }
}

/// FNV-1a over the shape of a history: cheap, and different when two runs differ.
fn mark(history: &[Event]) -> u64 {
    let mut mark = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |number: u64| {
        for byte in number.to_le_bytes() {
            mark = (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for event in history {
        match event {
            Event::Numbered { seq, id, at, .. } => [1, *seq, *id, *at].into_iter().for_each(&mut add),
            Event::Kept { through, at, .. } => [2, *through, *at].into_iter().for_each(&mut add),
            Event::Applied { seq, id, .. } => [3, *seq, *id].into_iter().for_each(&mut add),
            Event::Logged { id, .. } => [4, *id].into_iter().for_each(&mut add),
            Event::Accepted { id, .. } => [5, *id].into_iter().for_each(&mut add),
            Event::Granted { id, .. } => [6, *id].into_iter().for_each(&mut add),
            Event::Failed { id } => [7, *id].into_iter().for_each(&mut add),
            Event::Contact { at, .. } => [8, *at].into_iter().for_each(&mut add),
            Event::Welcomed { commit, .. } => [9, *commit].into_iter().for_each(&mut add),
            Event::Rewound { to, .. } => [11, *to].into_iter().for_each(&mut add),
            Event::Alarm { .. }
            | Event::Held { .. }
            | Event::Snapshot { .. }
            | Event::Restored { .. }
            | Event::GapShown { .. }
            | Event::Healed { .. } => add(10),
        }
    }
    mark
}
