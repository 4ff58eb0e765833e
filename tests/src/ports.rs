//! UDP ports that stay ours while a domain is down: a killed server must find its port free again.
//!
//! They lie below the range from which the kernel gives ports to whoever binds to 0, and a lock file per port keeps the
//! worlds of parallel test processes apart.

use std::{
    cell::RefCell,
    fs::{File, OpenOptions, TryLockError},
    net::UdpSocket,
    path::Path,
};

use anyhow::Context as _;
use qpq_core::{Entropy as _, OsEntropy};

const FIRST: u64 = 20_000;
const COUNT: u64 = 12_000;
const ATTEMPTS: usize = 200;

/// The ports of one world.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    held: RefCell<Vec<File>>,
}

impl Ports {
    /// Takes one more; it is let go with the world.
    pub(crate) fn take(&self) -> anyhow::Result<u16> {
        let directory = std::env::temp_dir().join("qpq-test-ports");
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("could not make {}", directory.display()))?;
        let mut entropy = OsEntropy::new()?;
        for _ in 0..ATTEMPTS {
            let port = u16::try_from(FIRST + entropy.below(COUNT))?;
            if let Some(lock) = lock(&directory, port)?
                && UdpSocket::bind(("127.0.0.1", port)).is_ok()
            {
                self.held.borrow_mut().push(lock);
                return Ok(port);
            }
        }
        anyhow::bail!("found no free UDP port in {ATTEMPTS} attempts")
    }
}

fn lock(directory: &Path, port: u16) -> anyhow::Result<Option<File>> {
    let path = directory.join(port.to_string());
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("could not open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("could not lock {}", path.display()))
        }
    }
}
