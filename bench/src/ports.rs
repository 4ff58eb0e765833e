//! UDP ports for the homeservers, below those that the kernel gives to whoever binds to 0: a restarted homeserver
//! must find its own free again.

use std::net::UdpSocket;

use qpq_core::{Entropy as _, OsEntropy};

const FIRST: u64 = 20_000;
const COUNT: u64 = 12_000;
const ATTEMPTS: usize = 200;

/// A port that nobody uses now.
pub(crate) fn free() -> anyhow::Result<u16> {
    let mut entropy = OsEntropy::new()?;
    for _ in 0..ATTEMPTS {
        let port = u16::try_from(FIRST + entropy.below(COUNT))?;
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("found no free UDP port in {ATTEMPTS} attempts")
}
