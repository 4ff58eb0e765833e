//! Whole networks of domains under seeded faults, judged by what they promised.
//!
//! A seed draws everything: domains, groups, what users do, which faults come when. Two machines play it, and both tell
//! their story in the words of [`history`], whose checker knows the promises. A seed that breaks one prints itself, and
//! is played again by `cargo xtask sim --replay MACHINE:SEED` to the same end. `docs/decisions/0028-simulation.md` says
//! what is real in each machine and what isn't.

mod bug;
mod campaign;
mod cores;
mod dice;
mod faults;
mod full;
pub mod history;
mod machine;
mod run;

pub use bug::{BUGS, Bug};
pub use campaign::Campaign;
pub use faults::{Counts, FAULTS, Fault};
pub use machine::{Machine, Replay};
pub use run::Run;
