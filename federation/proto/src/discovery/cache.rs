//! What name servers said, kept for as long as they allow within our bounds.
//!
//! Bounded in number and time: a domain with a short life of its records must not make us ask at every dial, one with a
//! long life must not hide a move for days, and answers about many names must not fill the memory. Errors are kept too,
//! shortly.

use std::collections::BTreeMap;

use qpq_core::{Millis, Timestamp};

use super::{Answer, Heard, Question};

/// Answers that are kept.
pub(super) const ENTRIES: usize = 1_000;
/// Records.
const RECORDS: (Millis, Millis) = (Millis::from_secs(30), Millis::from_secs(3_600));
/// That there is nothing.
const NOTHING: (Millis, Millis) = (Millis::from_secs(15), Millis::from_secs(300));
/// That there was no answer which could be used.
const FAILURE: Millis = Millis::from_secs(10);

/// What is known without asking again.
#[derive(Debug, Default)]
pub struct Cache {
    entries: BTreeMap<Question, Entry>,
}

#[derive(Debug)]
struct Entry {
    heard: Heard,
    since: Timestamp,
    until: Timestamp,
}

impl Cache {
    /// What was said about this, if it still counts. A clock that was set back since makes it unknown.
    pub fn known(&self, question: &Question, now: Timestamp) -> Option<&Heard> {
        let entry = self.entries.get(question)?;
        (entry.since <= now && now < entry.until).then_some(&entry.heard)
    }

    /// Keeps what was said.
    pub fn keep(&mut self, question: Question, heard: Heard, now: Timestamp) {
        if !self.entries.contains_key(&question) && self.entries.len() >= ENTRIES {
            self.make_room(now);
        }
        let until = now.after(lifetime(&heard));
        self.entries.insert(question, Entry { heard, since: now, until });
    }

    /// What was said led nowhere: it is asked again, but not at once if it is fresh.
    pub fn doubt(&mut self, question: &Question, now: Timestamp) {
        if self.entries.get(question).is_some_and(|entry| now.since(entry.since) >= RECORDS.0) {
            self.entries.remove(question);
        }
    }

    /// Drops what no longer counts, else what ends first.
    fn make_room(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| entry.since <= now && now < entry.until);
        while self.entries.len() >= ENTRIES {
            let first = self.entries.iter().min_by_key(|(_, entry)| entry.until).map(|(key, _)| key.clone());
            let Some(first) = first else { return };
            self.entries.remove(&first);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// How long something that was said counts.
pub(super) fn lifetime(heard: &Heard) -> Millis {
    let within = |(least, most): (Millis, Millis)| heard.ttl.max(least).min(most);
    match heard.answer {
        Answer::Services(_) | Answer::Addresses(_) => within(RECORDS),
        Answer::Nothing => within(NOTHING),
        Answer::Failed(_) => FAILURE,
    }
}
