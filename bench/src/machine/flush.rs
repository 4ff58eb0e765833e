//! How many times a second a small write reaches the disk.

use std::{
    fs::OpenOptions,
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    time::Duration,
};

use crate::stopwatch::Stopwatch;

/// Writes and flushes 4 KiB for about `span`; flushes per second.
pub(crate) fn rate(directory: &Path, span: Duration) -> anyhow::Result<f64> {
    let mut file =
        OpenOptions::new().create(true).truncate(true).write(true).open(directory.join("flush"))?;
    let block = [0x5a; 4_096];
    let watch = Stopwatch::start();
    let mut flushes = 0_u32;
    while watch.elapsed() < span {
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&block)?;
        file.sync_data()?;
        flushes += 1;
    }
    Ok(f64::from(flushes) / watch.seconds())
}
