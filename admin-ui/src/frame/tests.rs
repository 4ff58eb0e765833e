//! The console as a browser meets it: the real router over the real service, in memory.

mod doors;
mod guards;
mod home;
mod log;
mod texts;
