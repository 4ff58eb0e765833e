//! Committers, a store and crashes, played in one thread: whatever the order, each epoch has one winner.

use std::collections::BTreeMap;

use proptest::prelude::*;
use qpq_core::DeviceId;

use super::*;

/// What the store keeps; survives crashes.
#[derive(Debug, Default)]
struct Disk {
    epoch: u64,
    log: Vec<(u64, MessageId)>,
    records: BTreeMap<MessageId, Recorded>,
}

/// Whether the store compares the epoch before it writes: `Forgotten` is the planted bug.
#[derive(Clone, Copy, Debug, PartialEq)]
enum CompareAndSet {
    Kept,
    Forgotten,
}

/// What happens to a store call.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// It failed and nothing was kept.
    NotPersisted,
    /// It failed although it was kept.
    PersistedAnyway,
    /// The process dies while the call is on its way; it takes effect after the restart, or never.
    CrashThenPersist,
    CrashAndLose,
}

#[derive(Clone, Debug)]
enum Step {
    /// A client submits its commit number `id` for the epoch that it believes in.
    Submit { id: u8, lag: u64, tampered: bool },
    /// The driver does what the core says, with this fate for store calls.
    Drive(Fault),
}

#[derive(Debug)]
struct World {
    disk: Disk,
    compare_and_set: CompareAndSet,
    core: Ordering<u64>,
    /// Calls of the living process that wait for an answer.
    calls: BTreeMap<Ticket, Submitted>,
    late: Vec<(Submitted, u64)>,
    answers: Vec<(Submitted, Answer)>,
}

impl World {
    fn new(compare_and_set: CompareAndSet) -> Self {
        Self {
            disk: Disk::default(),
            compare_and_set,
            core: Ordering::at(0),
            calls: BTreeMap::new(),
            late: vec![],
            answers: vec![],
        }
    }

    fn play(&mut self, steps: &[Step]) -> Result<(), String> {
        for step in steps {
            match step {
                Step::Submit { id, lag, tampered } => self.submit(*id, *lag, *tampered),
                Step::Drive(fault) => self.drive(*fault),
            }
        }
        self.drive(Fault::None);
        self.drive(Fault::None);
        if !self.core.is_idle() || !self.calls.is_empty() {
            return Err("a call was never answered".to_owned());
        }
        self.judge()
    }

    fn submit(&mut self, id: u8, lag: u64, tampered: bool) {
        let epoch = self.disk.epoch.saturating_sub(lag);
        let id = MessageId::from_bytes([id; 16]);
        let digest = Digest::of(&[id.as_bytes(), if tampered { b"x" } else { b"" }]);
        let device = DeviceId::from_bytes([0; 16]);
        let sender = DeviceAddress { user: "alice@alpha.test".parse().unwrap(), device };
        let submitted = Submitted { sender, id, digest, epoch };
        let recorded = self.disk.records.get(&id).copied();
        let ticket = self.core.handle_commit(submitted.clone(), recorded);
        self.calls.insert(ticket, submitted);
    }

    fn drive(&mut self, fault: Fault) {
        // Writes that outlived their process land after what the next one does.
        let late = std::mem::take(&mut self.late);
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Check { .. } => self.core.handle_checked(Ok(self.core.epoch())),
                Action::Store { submitted, staged, .. } => self.store(&submitted, staged, fault),
                Action::Reload => self.core.handle_reloaded(self.disk.epoch),
                Action::Answer { ticket, answer } => {
                    if let Some(submitted) = self.calls.remove(&ticket) {
                        self.answers.push((submitted, answer));
                    }
                }
            }
        }
        for (submitted, epoch) in late {
            self.write(&submitted, epoch);
        }
    }

    fn store(&mut self, submitted: &Submitted, epoch: u64, fault: Fault) {
        match fault {
            Fault::None => {
                let outcome = self.write(submitted, epoch);
                self.core.handle_stored(outcome);
            }
            Fault::NotPersisted => self.core.handle_stored(Outcome::Failed),
            Fault::PersistedAnyway => {
                self.write(submitted, epoch);
                self.core.handle_stored(Outcome::Failed);
            }
            Fault::CrashThenPersist => {
                self.late.push((submitted.clone(), epoch));
                self.crash();
            }
            Fault::CrashAndLose => self.crash(),
        }
    }

    fn crash(&mut self) {
        self.core = Ordering::at(self.disk.epoch);
        self.calls.clear();
    }

    fn write(&mut self, submitted: &Submitted, epoch: u64) -> Outcome {
        if self.compare_and_set == CompareAndSet::Kept && epoch != self.disk.epoch {
            return Outcome::Stale { current: self.disk.epoch };
        }
        self.disk.log.push((epoch, submitted.id));
        self.disk.epoch = epoch + 1;
        let seq = Seq(u64::try_from(self.disk.log.len()).unwrap());
        let at = Timestamp::from_millis(seq.0);
        self.disk.records.insert(submitted.id, Recorded { digest: submitted.digest, seq, at });
        Outcome::Granted { seq, at }
    }

    /// The promises, checked on what the disk and the clients have seen.
    fn judge(&self) -> Result<(), String> {
        for (position, (epoch, _)) in (0_u64..).zip(&self.disk.log) {
            if position != *epoch {
                return Err(format!("epoch {epoch} has two winners or none: {:?}", self.disk.log));
            }
        }
        let mut granted = BTreeMap::new();
        for (submitted, answer) in &self.answers {
            match answer {
                Answer::Accepted { seq, at } => {
                    let at_seq = (1_u64..).zip(&self.disk.log).find(|(n, _)| *n == seq.0);
                    if at_seq.map(|(_, (_, id))| *id) != Some(submitted.id) {
                        return Err(format!("{} was accepted and is not in the log", submitted.id));
                    }
                    if *granted.entry((submitted.id, submitted.digest)).or_insert((*seq, *at)) != (*seq, *at)
                    {
                        return Err(format!("{} got two different answers", submitted.id));
                    }
                }
                Answer::WrongEpoch { .. } | Answer::Refused(Refusal::Overloaded | Refusal::IdReused) => {
                    if granted.contains_key(&(submitted.id, submitted.digest)) {
                        return Err(format!("{} was accepted and later refused", submitted.id));
                    }
                }
                Answer::Refused(_) | Answer::NotStored => {}
            }
        }
        Ok(())
    }
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        6 => Just(Fault::None),
        1 => Just(Fault::NotPersisted),
        1 => Just(Fault::PersistedAnyway),
        1 => Just(Fault::CrashThenPersist),
        1 => Just(Fault::CrashAndLose),
    ];
    prop_oneof![
        3 => (0_u8..12, 0_u64..3, prop::bool::weighted(0.1))
            .prop_map(|(id, lag, tampered)| Step::Submit { id, lag: lag / 2, tampered }),
        2 => fault.prop_map(Step::Drive),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_epoch_has_one_winner_under_any_interleaving_and_restart(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::new(CompareAndSet::Kept);
        prop_assert_eq!(world.play(&steps), Ok(()));
    }
}

/// The planted bug: a store that writes without comparing the epoch, met by a write that outlived a restart.
#[test]
fn a_store_without_compare_and_set_is_caught() {
    let steps = [
        Step::Submit { id: 1, lag: 0, tampered: false },
        Step::Drive(Fault::CrashThenPersist),
        Step::Submit { id: 2, lag: 0, tampered: false },
        Step::Drive(Fault::None),
    ];
    assert_eq!(World::new(CompareAndSet::Kept).play(&steps), Ok(()));
    let caught = World::new(CompareAndSet::Forgotten).play(&steps);
    assert!(caught.unwrap_err().contains("two winners"));
}

#[test]
fn three_at_once_have_one_winner_and_two_losers() {
    let mut world = World::new(CompareAndSet::Kept);
    for id in 1..=3 {
        world.submit(id, 0, false);
    }
    world.drive(Fault::None);
    let answers: Vec<_> = world.answers.iter().map(|(_, answer)| answer.clone()).collect();
    assert!(matches!(answers[0], Answer::Accepted { seq: Seq(1), .. }));
    assert_eq!(answers[1..], [Answer::WrongEpoch { current: 1 }, Answer::WrongEpoch { current: 1 }]);
    assert_eq!(world.disk.log.len(), 1);
}

#[test]
fn a_repeat_gets_the_stored_answer_and_another_payload_is_refused() {
    let mut world = World::new(CompareAndSet::Kept);
    for tampered in [false, false, true] {
        world.submit(1, 0, tampered);
        world.drive(Fault::None);
    }
    assert_eq!(world.answers[0].1, world.answers[1].1);
    assert_eq!(world.answers[2].1, Answer::Refused(Refusal::IdReused));
    assert_eq!(world.disk.log.len(), 1);
}

#[test]
fn nothing_is_answered_before_the_store_said_so() {
    let mut core = Ordering::<()>::at(0);
    let mut world = World::new(CompareAndSet::Kept);
    world.submit(1, 0, false);
    let submitted = world.calls.values().next().unwrap().clone();
    let ticket = core.handle_commit(submitted, None);
    assert_eq!(core.poll_action(), Some(Action::Check { ticket }));
    core.handle_checked(Ok(()));
    assert!(matches!(core.poll_action(), Some(Action::Store { .. })));
    assert_eq!(core.poll_action(), None);
    core.handle_stored(Outcome::Granted { seq: Seq(1), at: Timestamp::default() });
    assert!(matches!(core.poll_action(), Some(Action::Answer { answer: Answer::Accepted { .. }, .. })));
}
