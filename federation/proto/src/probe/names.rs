//! What name servers said, judged.

use qpq_core::Millis;

use super::{Probe, ProbeStep};
use crate::discovery::{Answer, Heard, LookupFailure, Question, Target, Undiscovered, Vouched};

impl Probe {
    /// Name servers were asked, or the record has the address.
    pub fn handle_discovery(
        &mut self,
        asked: &[(Question, Heard)],
        found: &Result<Vec<Target>, Undiscovered>,
        took: Millis,
    ) {
        let peer = self.peer.clone();
        match found {
            Ok(targets) => {
                self.pass(ProbeStep::Dns, took, looked_up(asked));
                let addresses: Vec<String> =
                    targets.iter().map(|target| target.address.to_string()).collect();
                self.pass(ProbeStep::Addresses, Millis(0), addresses.join(", "));
            }
            Err(wrong @ Undiscovered::Lookup { failure, .. }) => {
                let remedy = match failure {
                    LookupFailure::Bogus => {
                        "let the domain's admin check its DNSSEC (`delv` shows where it breaks); if your own name server \
                         drops signatures, name another in `federation.dns`"
                    }
                    LookupFailure::NoAnswer | LookupFailure::NoNameServer => {
                        "check the name servers of this machine (`/etc/resolv.conf`), or name others in `federation.dns`"
                    }
                    LookupFailure::ServerFailed | LookupFailure::Malformed => {
                        "ask another name server (`federation.dns`); broken DNSSEC of the domain looks like this too"
                    }
                };
                self.fail(ProbeStep::Dns, took, wrong.to_string(), remedy);
            }
            Err(
                wrong @ (Undiscovered::NoRecords { .. }
                | Undiscovered::NotOffered { .. }
                | Undiscovered::NoAddress { .. }),
            ) => {
                let remedy = format!(
                    "its admin adds the records, or you say where it is: `peer address {peer} HOST:PORT`"
                );
                self.fail(ProbeStep::Dns, took, wrong.to_string(), remedy);
            }
            Err(wrong @ Undiscovered::Refused { .. }) => {
                self.pass(ProbeStep::Dns, took, looked_up(asked));
                let remedy = format!(
                    "its admin corrects the record; if the peer really is there, `peer address {peer} HOST:PORT` allows it"
                );
                self.fail(ProbeStep::Addresses, Millis(0), wrong.to_string(), remedy);
            }
            Err(wrong @ (Undiscovered::OtherFamily { .. } | Undiscovered::AnotherDomain { .. })) => {
                self.pass(ProbeStep::Dns, took, looked_up(asked));
                let remedy = "listen on `[::]` (`federation.listen`), which sends both IPv4 and IPv6";
                self.fail(ProbeStep::Addresses, Millis(0), wrong.to_string(), remedy);
            }
        }
    }
}

fn looked_up(asked: &[(Question, Heard)]) -> String {
    if asked.is_empty() {
        return "nothing to look up: the peer's record has the address".to_owned();
    }
    let said: Vec<String> = asked.iter().map(|(question, heard)| one(question, heard)).collect();
    said.join("; ")
}

fn one(question: &Question, heard: &Heard) -> String {
    let name = question.name();
    let said = match &heard.answer {
        Answer::Services(services) => format!("{name}: {} SRV records", services.len()),
        Answer::Addresses(addresses) => format!("{name}: {} addresses", addresses.len()),
        Answer::Nothing => return format!("{name}: nothing"),
        Answer::Failed(failure) => return format!("{name}: {failure}"),
    };
    match heard.proof {
        Vouched::Signed => format!("{said}, signed"),
        Vouched::Unsigned => said,
    }
}
