//! The order of one group: one commit for each epoch, whoever comes first, also across a restart.
//!
//! The hub's driver feeds it: [`Ordering::handle_commit`] when a commit comes in, [`Ordering::handle_checked`] when MLS
//! and policy have judged it, [`Ordering::handle_stored`] when the store has said what came of it,
//! [`Ordering::handle_reloaded`] after the in-memory state was dropped. It says what to do through
//! [`Ordering::poll_action`]. A commit is answered `Accepted` only after the store granted it, and the store's own
//! compare-and-set on the epoch is what decides: two drivers of one group (one that was forgotten before a restart,
//! say) can't both win. What follows from a commit (Welcomes, fan-out) belongs to the stored transaction, so a loser's
//! Welcomes never exist anywhere.
//!
//! After a store call that failed nobody knows whether it took effect. The state is then *lost*: nothing is judged
//! until the driver has read the epoch again, and a re-submit finds the stored answer if there is one.

use std::collections::VecDeque;

use qpq_core::{DeviceAddress, Digest, MessageId, Seq, Timestamp};

use crate::policy::Refusal;

/// The most commits of one group that wait for their turn.
pub const MOST_WAITING: usize = 64;

/// Names one call of `handle_commit`; its answer comes under this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What ordering needs of a submitted commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The submitting device.
    pub sender: DeviceAddress,
    /// Its idempotency key.
    pub id: MessageId,
    /// [`crate::view::CommitOffer::digest`].
    pub digest: Digest,
    /// The epoch that it starts from.
    pub epoch: u64,
}

/// The answer that the store remembers under (sender, id).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// What was submitted then.
    pub digest: Digest,
    /// The position it was granted.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
}

/// What became of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is the one of its epoch, and durable.
    Accepted {
        /// Its position in the log.
        seq: Seq,
        /// When.
        at: Timestamp,
    },
    /// Another commit won, or will never have had a chance.
    WrongEpoch {
        /// The group's epoch now.
        current: u64,
    },
    /// Refused for another reason.
    Refused(Refusal),
    /// The store failed; the same submit may come again.
    NotStored,
}

/// What came of storing a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The compare-and-set found the epoch; everything is durable.
    Granted {
        /// The position.
        seq: Seq,
        /// The time that was stored.
        at: Timestamp,
    },
    /// It found another epoch; nothing was kept.
    Stale {
        /// The group's epoch.
        current: u64,
    },
    /// The call failed, and nobody knows whether before or after the commit.
    Failed,
}

/// What the driver shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<S> {
    /// Judge this commit ([`crate::view::GroupView::check_commit`], [`crate::policy::judge`]) and call `handle_checked`.
    Check {
        /// The call that brought it.
        ticket: Ticket,
    },
    /// Store the commit and all that follows in one transaction with compare-and-set, and call `handle_stored`.
    Store {
        /// The call that brought it.
        ticket: Ticket,
        /// The idempotency key to store beside it.
        submitted: Submitted,
        /// What the check made.
        staged: S,
    },
    /// Drop the group's in-memory state, load it from the store, and call `handle_reloaded`.
    Reload,
    /// Answer the call.
    Answer {
        /// The call.
        ticket: Ticket,
        /// What became of its commit.
        answer: Answer,
    },
}

#[derive(Clone, Debug)]
struct Candidate {
    submitted: Submitted,
    /// The first is the call that brought it, the others repeated it meanwhile.
    tickets: Vec<Ticket>,
}

#[derive(Clone, Debug)]
enum State {
    Idle,
    Checking(Candidate),
    Storing(Candidate),
    Lost,
}

/// The ordering of one group. `S` is what a check makes of a commit and a store call needs.
#[derive(Clone, Debug)]
pub struct Ordering<S> {
    epoch: u64,
    state: State,
    waiting: VecDeque<Candidate>,
    actions: VecDeque<Action<S>>,
    next_ticket: u64,
}

impl<S> Ordering<S> {
    /// Begins at the epoch that the store knows.
    pub const fn at(epoch: u64) -> Self {
        Self { epoch, state: State::Idle, waiting: VecDeque::new(), actions: VecDeque::new(), next_ticket: 0 }
    }

    /// The group's epoch, as far as it is known to be durable.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether nothing is under way and nothing is to be done.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.waiting.is_empty() && self.actions.is_empty()
    }

    /// A commit comes in. `recorded` is what the store remembers under its key.
    pub fn handle_commit(&mut self, submitted: Submitted, recorded: Option<Recorded>) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket = self.next_ticket.wrapping_add(1);
        if let Some(answer) = known_answer(&submitted, recorded) {
            self.answer(ticket, answer);
        } else if let Some(pending) = self.pending(&submitted) {
            if pending.submitted == submitted {
                pending.tickets.push(ticket);
            } else {
                self.answer(ticket, Answer::Refused(Refusal::IdReused));
            }
        } else if self.waiting.len() >= MOST_WAITING {
            self.answer(ticket, Answer::Refused(Refusal::Overloaded));
        } else {
            self.waiting.push_back(Candidate { submitted, tickets: vec![ticket] });
            self.next();
        }
        ticket
    }

    /// MLS and policy have judged the commit under check.
    pub fn handle_checked(&mut self, verdict: Result<S, Refusal>) {
        let State::Checking(candidate) = std::mem::replace(&mut self.state, State::Idle) else {
            return self.lose();
        };
        match (verdict, candidate.tickets.first().copied()) {
            (Ok(staged), Some(ticket)) => {
                let submitted = candidate.submitted.clone();
                self.actions.push_back(Action::Store { ticket, submitted, staged });
                self.state = State::Storing(candidate);
            }
            (Ok(_), None) => self.next(),
            (Err(refusal), _) => {
                self.answer_all(candidate.tickets, &Answer::Refused(refusal));
                self.next();
            }
        }
    }

    /// The store has said what came of the commit.
    pub fn handle_stored(&mut self, outcome: Outcome) {
        let State::Storing(candidate) = std::mem::replace(&mut self.state, State::Idle) else {
            return self.lose();
        };
        match outcome {
            Outcome::Granted { seq, at } => {
                self.epoch = self.epoch.saturating_add(1);
                self.answer_all(candidate.tickets, &Answer::Accepted { seq, at });
                self.next();
            }
            Outcome::Stale { current } => {
                self.answer_all(candidate.tickets, &Answer::WrongEpoch { current });
                self.lose();
            }
            Outcome::Failed => {
                self.answer_all(candidate.tickets, &Answer::NotStored);
                self.lose();
            }
        }
    }

    /// The state was loaded from the store, which is at this epoch.
    pub fn handle_reloaded(&mut self, epoch: u64) {
        self.epoch = epoch;
        if matches!(self.state, State::Lost) {
            self.state = State::Idle;
        }
        self.next();
    }

    /// What to do next; `None`: wait for an event.
    pub fn poll_action(&mut self) -> Option<Action<S>> {
        self.actions.pop_front()
    }

    /// The commit under the same key that is waiting or under way.
    fn pending(&mut self, submitted: &Submitted) -> Option<&mut Candidate> {
        let under_way = match &mut self.state {
            State::Checking(candidate) | State::Storing(candidate) => Some(candidate),
            State::Idle | State::Lost => None,
        };
        under_way
            .into_iter()
            .chain(&mut self.waiting)
            .find(|other| other.submitted.id == submitted.id && other.submitted.sender == submitted.sender)
    }

    /// Takes the next waiting commit of the current epoch; all others are answered.
    fn next(&mut self) {
        while matches!(self.state, State::Idle) {
            let Some(candidate) = self.waiting.pop_front() else { return };
            match candidate.tickets.first().copied() {
                Some(ticket) if candidate.submitted.epoch == self.epoch => {
                    self.actions.push_back(Action::Check { ticket });
                    self.state = State::Checking(candidate);
                }
                _ => {
                    let current = self.epoch;
                    self.answer_all(candidate.tickets, &Answer::WrongEpoch { current });
                }
            }
        }
    }

    fn lose(&mut self) {
        self.state = State::Lost;
        self.actions.push_back(Action::Reload);
    }

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.actions.push_back(Action::Answer { ticket, answer });
    }

    fn answer_all(&mut self, tickets: Vec<Ticket>, answer: &Answer) {
        for ticket in tickets {
            self.answer(ticket, answer.clone());
        }
    }
}

fn known_answer(submitted: &Submitted, recorded: Option<Recorded>) -> Option<Answer> {
    match recorded {
        Some(recorded) if recorded.digest == submitted.digest => {
            Some(Answer::Accepted { seq: recorded.seq, at: recorded.at })
        }
        Some(_) => Some(Answer::Refused(Refusal::IdReused)),
        None => None,
    }
}

#[cfg(test)]
mod tests;
