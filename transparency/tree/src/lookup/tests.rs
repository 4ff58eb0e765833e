use qpq_core::Millis;

use super::*;
use crate::{
    config::DomainKey,
    sample::{Has, Person, SampleLog, device},
    vrf::VrfSecret,
};

mod honest;
mod lies;

const HOUR: Millis = FRESH;
const DAY: Millis = TOO_OLD;

/// A client and what it keeps between two lookups.
#[derive(Clone)]
struct Client {
    log: PinnedLog,
    known: Option<KnownLabel>,
    asker: Asker,
}

impl Client {
    fn new(log: &SampleLog) -> Self {
        let log = PinnedLog::first_seen(log.signer.verifier().clone());
        Self { log, known: None, asker: Asker::Foreign }
    }

    fn has(&self) -> Has {
        Has::of(&self.log, self.known.as_ref())
    }

    fn judges(
        &self,
        person: &Person,
        answer: &LookupAnswer,
        now: Timestamp,
    ) -> Result<Verified, LookupError> {
        let question = Question { label: &person.label, asker: self.asker, known: self.known.as_ref() };
        verify(&self.log, &question, answer, now)
    }

    /// Asks an honest log and keeps what it learns.
    fn asks(&mut self, log: &SampleLog, person: &Person) -> Verified {
        let answer = log.answer(&person.label, self.has());
        let verified = self.judges(person, &answer, log.now).unwrap();
        self.log = verified.log.clone();
        self.known = verified.label;
        verified
    }
}

fn keys(verified: &Verified) -> &AccountValue {
    match &verified.binding {
        Binding::Keys(value) => value,
        none @ (Binding::Absent | Binding::Closed) => panic!("no keys but {none:?}"),
    }
}
