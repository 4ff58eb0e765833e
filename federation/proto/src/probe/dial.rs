//! What answered where we knocked, judged.

use std::net::SocketAddr;

use qpq_core::{Domain, Millis, Pin, Timestamp};

use super::{Probe, ProbeStep};
use crate::peer::Presented;

const RUNBOOK_DOWN: Option<&str> = Some("runbooks/peer-down.md");
const RUNBOOK_PEERING: Option<&str> = Some("runbooks/peering.md");

/// What a dial met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialSeen {
    /// A connection, with the name of its key exchange.
    Connected(String),
    /// Nobody.
    NoAnswer,
    /// Something that doesn't speak our protocol.
    OtherProtocol,
    /// Another domain, with these names.
    OtherDomain(Vec<Domain>),
    /// A certificate that can't be read.
    NoCertificate,
    /// Somebody who ends it with these words.
    Refused(String),
    /// Our own socket can't send there.
    NotSent(String),
}

/// A certificate as it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSeen {
    /// What it is worth under the peer's record.
    pub presented: Presented,
    /// The authority that signed it.
    pub pin: Pin,
    /// The authority in the peer's record.
    pub pinned: Pin,
    /// From when it counts.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

impl Probe {
    /// All targets were tried until one answered.
    pub fn handle_dials(&mut self, dials: &[(SocketAddr, DialSeen)], took: Millis) {
        let rank = |seen: &DialSeen| match seen {
            DialSeen::Connected(_) => 0,
            DialSeen::OtherDomain(_) => 1,
            DialSeen::NoCertificate => 2,
            DialSeen::OtherProtocol => 3,
            DialSeen::Refused(_) => 4,
            DialSeen::NoAnswer => 5,
            DialSeen::NotSent(_) => 6,
        };
        let Some((at, seen)) = dials.iter().min_by_key(|(_, seen)| rank(seen)) else { return };
        match seen {
            DialSeen::NoAnswer => {
                let tried: Vec<String> = dials.iter().map(|(at, _)| at.to_string()).collect();
                self.fail_with(
                    ProbeStep::Quic,
                    took,
                    format!("nobody answers at {} (UDP)", tried.join(", ")),
                    "is its homeserver running, and does every firewall between let UDP through to its `federation.listen`?",
                    RUNBOOK_DOWN,
                );
            }
            DialSeen::NotSent(why) => self.fail(
                ProbeStep::Quic,
                took,
                format!("nothing can be sent to {at} from here: {why}"),
                "check `federation.listen`: a socket on 127.0.0.1 reaches this machine only",
            ),
            DialSeen::Refused(why) => self.fail_with(
                ProbeStep::Quic,
                took,
                format!("{at} ended the connection: {why}"),
                "it is there and doesn't want to talk now: try again, or ask its admin",
                RUNBOOK_DOWN,
            ),
            DialSeen::OtherProtocol => {
                self.pass(ProbeStep::Quic, took, at.to_string());
                self.fail(
                    ProbeStep::Alpn,
                    Millis(0),
                    format!("what listens at {at} doesn't speak `quicproquo/federation/1` (ALPN)"),
                    "the port is another service's, perhaps that for clients: correct the address or the SRV record",
                );
            }
            DialSeen::OtherDomain(showed) => {
                self.answered(at, took, "");
                let names: Vec<String> = showed.iter().take(3).map(|name| format!("`{name}`")).collect();
                let cause = format!(
                    "{at} answered as another domain ({}), not as `{}`",
                    if names.is_empty() { "it names none".to_owned() } else { names.join(", ") },
                    self.peer
                );
                let remedy = "the address or the DNS record leads to somebody else: correct it (`peer address`), or its \
                              admin corrects the record";
                self.fail(ProbeStep::Certificate, Millis(0), cause, remedy);
            }
            DialSeen::NoCertificate => {
                self.answered(at, took, "");
                self.fail(
                    ProbeStep::Certificate,
                    Millis(0),
                    format!("{at} shows no certificate that can be read"),
                    "its admin looks at `doctor` and the certificate of its homeserver",
                );
            }
            DialSeen::Connected(key_exchange) => self.answered(at, took, key_exchange),
        }
    }

    fn answered(&mut self, at: &SocketAddr, took: Millis, key_exchange: &str) {
        let with = if key_exchange.is_empty() { String::new() } else { format!(", {key_exchange}") };
        self.pass(ProbeStep::Quic, took, format!("{at}{with}"));
        self.pass(ProbeStep::Alpn, Millis(0), "quicproquo/federation/1");
    }

    /// It showed a certificate.
    pub fn handle_certificate(&mut self, seen: &CertificateSeen) {
        let (step, took) = (ProbeStep::Certificate, Millis(0));
        let peer = self.peer.clone();
        match seen.presented {
            Presented::Trusted => {
                self.pass(step, took, format!("of `{peer}`, under the pinned authority, until {}", seen.not_after));
            }
            Presented::Unpinned => self.fail_with(
                step,
                took,
                format!("it shows a certificate of `{peer}` under an authority that isn't pinned: {}, not {}", seen.pin, seen.pinned),
                format!("was `{peer}` set up anew? Compare the pin with its admin; then `peer remove {peer}` and a new invite. \
                         If its admin doesn't know it, somebody else answers in its name"),
                RUNBOOK_PEERING,
            ),
            Presented::Expired => self.fail(
                step,
                took,
                format!("its certificate has expired: it counted until {}", seen.not_after),
                "its admin restarts the homeserver, which renews it, and looks at its clock",
            ),
            Presented::NotYetValid => self.fail(
                step,
                took,
                format!("its certificate counts only from {} on: one of the two clocks is wrong", seen.not_before),
                "compare both machines' clocks with a time server",
            ),
            Presented::WrongDomain => self.fail(
                step,
                took,
                format!("its certificate doesn't name `{peer}`"),
                "the address leads to somebody else: correct it (`peer address`)",
            ),
        }
    }
}
