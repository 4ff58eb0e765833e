//! The first machine: the pure cores of federation and group ordering, whole networks of them, with a virtual clock, a
//! network and disks that fail as the seed says. Nothing waits, so a run of an hour takes a fraction of a millisecond.
//!
//! Under test are `qpq_federation_proto` (outbox, inbox, peer, headers) and `qpq_delivery::ordering`. What performs
//! their actions here is a driver of this machine, as simple as one can be: one writer, transactions that take effect
//! when they end, a crash that leaves the database. The drivers that people run are the other machine's matter.

mod clients;
mod disk;
mod heads;
mod hostile;
mod links;
mod node;
mod orders;
mod plan;
mod world;

use crate::{bug::Bug, run::Run};

/// Plays one seed.
pub(crate) fn play(seed: u64, bug: Option<Bug>, traced: bool) -> Run {
    crate::bug::plant(bug);
    let run = match world::World::new(seed, bug, traced) {
        Ok(mut world) => {
            world.play();
            Run::judged(&world.setting, &world.history, world.counts, world.trace.unwrap_or_default())
        }
        Err(why) => Run::broken(why),
    };
    crate::bug::plant(None);
    run
}

#[cfg(test)]
mod tests;
