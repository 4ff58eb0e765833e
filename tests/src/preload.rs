//! Libraries that are loaded into a program before all others. One delays each flush to the disk and writes down when it
//! returned: killing a process alone proves nothing about durability, because the page cache survives it. Another one sets the
//! wall clock ahead, for what takes days.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use qpq_core::Timestamp;

use crate::World;

const SLOW_FLUSH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/preload/slow_flush.c");
const CLOCK_AHEAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/preload/clock_ahead.c");

/// The library, compiled for one story.
#[derive(Debug)]
pub struct SlowFlush {
    library: PathBuf,
    log: PathBuf,
    delay_ms: u64,
}

/// One flush that has returned.
#[derive(Clone, Debug)]
pub struct Flush {
    /// When it was called.
    pub begin: Timestamp,
    /// When it returned.
    pub end: Timestamp,
    /// Of which file.
    pub path: String,
}

/// A wall clock that is ahead.
#[derive(Debug)]
pub struct ClockAhead {
    library: PathBuf,
    seconds: u64,
}

impl ClockAhead {
    /// Compiles it.
    pub fn compile(world: &World, seconds: u64) -> anyhow::Result<Self> {
        Ok(Self { library: compiled(world, CLOCK_AHEAD, "clock_ahead.so")?, seconds })
    }

    /// The variables that load it into a program.
    pub fn settings(&self) -> [(&'static str, String); 2] {
        [("LD_PRELOAD", self.library.display().to_string()), ("CLOCK_AHEAD_S", self.seconds.to_string())]
    }
}

/// A library, compiled with the C compiler that the whole workspace needs anyway.
fn compiled(world: &World, source: &str, name: &str) -> anyhow::Result<PathBuf> {
    let library = world.path().join(name);
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .args([&library, Path::new(source)])
        .arg("-ldl")
        .output()
        .context("could not start the C compiler `cc`")?;
    ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(library)
}

impl SlowFlush {
    /// Compiles it.
    pub fn compile(world: &World, delay_ms: u64) -> anyhow::Result<Self> {
        let library = compiled(world, SLOW_FLUSH, "slow_flush.so")?;
        Ok(Self { library, log: world.path().join("flushes.log"), delay_ms })
    }

    /// The variables that load it into a server.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("SLOW_FLUSH_MS", self.delay_ms.to_string()),
            ("SLOW_FLUSH_LOG", self.log.display().to_string()),
        ]
    }

    /// How much longer each flush takes.
    pub const fn delay_ms(&self) -> u64 {
        self.delay_ms
    }

    /// Every flush so far that has returned.
    pub fn flushes(&self) -> anyhow::Result<Vec<Flush>> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().map(|line| parse(line).with_context(|| format!("not a flush: {line}"))).collect()
    }

    /// The flush of the database that began after `asked` and ended before `answered`, if there is one.
    pub fn between(&self, asked: Timestamp, answered: Timestamp) -> anyhow::Result<Option<Flush>> {
        // One millisecond of rounding at either side.
        let fits = |flush: &Flush| {
            flush.begin.as_millis() + 1 >= asked.as_millis()
                && flush.end.as_millis() <= answered.as_millis() + 1
                && flush.path.contains("homeserver.db")
        };
        Ok(self.flushes()?.into_iter().find(fits))
    }
}

fn parse(line: &str) -> Option<Flush> {
    let mut parts = line.splitn(3, ' ');
    Some(Flush {
        begin: Timestamp::from_millis(parts.next()?.parse().ok()?),
        end: Timestamp::from_millis(parts.next()?.parse().ok()?),
        path: parts.next()?.to_owned(),
    })
}
