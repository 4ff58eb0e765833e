//! Listeners: their ports can be had, and the kernel grants them the buffers that bursts need.

use super::{Check, Facts, Finding, Severity, SocketState};

pub(super) const CHECK: Check =
    Check { id: "network", about: "Ports can be had, and UDP buffers are large enough.", judge };

/// What a burst needs, in each direction.
const BUFFER_BYTES: u64 = 2 << 20;

fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    for socket in &facts.machine.sockets {
        let subject = format!("{} {}", socket.setting, socket.address);
        match &socket.state {
            SocketState::Taken(why) => findings.push(
                Finding::new("network.port-taken", Severity::Critical, subject)
                    .because(format!("nobody can listen on {} (`{}`): {why}", socket.address, socket.setting))
                    .remedy("stop what holds the port, or give another address"),
            ),
            SocketState::Granted(bytes) if *bytes < BUFFER_BYTES => findings.push(
                Finding::new("network.small-buffers", Severity::Warning, subject)
                    .because(format!(
                        "the kernel grants UDP buffers of {} KiB instead of 2048: bursts are lost and sent again",
                        bytes / 1_024
                    ))
                    .remedy("on the host: `sysctl -w net.core.rmem_max=2097152 net.core.wmem_max=2097152`, then restart; keep it in /etc/sysctl.d"),
            ),
            SocketState::Free | SocketState::Granted(_) => {}
        }
    }
}
