//! What is measured on, and what the kernel says about a process.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::report;

/// Descriptors wanted: a socket for each idle connection, and some files for each client.
const FILES: u64 = 8_192;

/// A file system in memory, whose flushes cost nothing (statfs(2)).
const TMPFS: u64 = 0x0102_1994;

/// Prints what somebody needs to know who compares figures.
pub(crate) fn facts(place: &Path) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let memory: u64 = field(&memory, "MemTotal:")?;
    let processor = std::fs::read_to_string("/proc/cpuinfo")?;
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    report::line(&format!(
        "{cores} cores ({processor}), {} GiB, Linux {}, load at the start {}. Homeservers and load share them; loopback; TLS everywhere.",
        memory.div_ceil(1_024 * 1_024),
        kernel.trim(),
        load.split_whitespace().next().unwrap_or("unknown"),
    ));
    if u64::try_from(rustix::fs::statfs(place)?.f_type).is_ok_and(|kind| kind == TMPFS) {
        report::line("\n**The files are in memory: nothing is durable here. Give `--dir` on a disk.**");
    }
    if cfg!(debug_assertions) {
        report::line("\n**This is a development build: its figures say nothing. Use `--release`.**");
    }
    Ok(())
}

/// The number behind a name in one of the kernel's tables.
pub(crate) fn field(table: &str, name: &str) -> anyhow::Result<u64> {
    let line =
        table.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} there"))?;
    let number = line.split_whitespace().next().with_context(|| format!("no number behind {name}"))?;
    Ok(number.parse()?)
}

/// How long the threads that a process has now were on a processor (proc(5), `schedstat`).
pub(crate) fn processor_time(process: u32) -> anyhow::Result<Duration> {
    let mut total = Duration::ZERO;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // A thread may end while we look.
        let Ok(line) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let nanoseconds = line.split_whitespace().next().context("an empty schedstat")?;
        total += Duration::from_nanos(nanoseconds.parse()?);
    }
    Ok(total)
}

/// Raises this process' limit of open files as far as it is allowed.
pub(crate) fn allow_many_files() -> anyhow::Result<()> {
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.unwrap_or(u64::MAX);
    if now.current.is_some_and(|current| current < FILES) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(FILES.min(most)), maximum: now.maximum })
            .context("could not raise the limit of open files")?;
    }
    Ok(())
}
