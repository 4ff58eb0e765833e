//! The second machine: the protocol code that people run (`qpq_federation` over QUIC and Cap'n Proto, `qpq_service`
//! with its writer, the store in memory), for whole networks of domains in one thread.
//!
//! Time is tokio's paused clock: it jumps to whatever is due next. The network carries datagrams in memory, disks are
//! slow and fail, and a crash drops a domain's tasks in the middle of what they do; only what was committed stays.

mod clock;
mod disk;
mod hostile;
mod keys;
mod net;
mod node;
mod plan;
mod watch;
mod world;

use crate::{bug::Bug, run::Run};

/// Plays one seed.
pub(crate) fn play(seed: u64, bug: Option<Bug>, traced: bool) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Run::broken(error.to_string()),
    };
    crate::bug::plant(bug);
    let run = runtime.block_on(world::play(seed, traced));
    crate::bug::plant(None);
    run
}
