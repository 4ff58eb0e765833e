//! What hickory brings, as the core reads it: records that answer the question, absence, or why there is no answer.

use std::{collections::BTreeSet, net::IpAddr};

use hickory_resolver::{
    lookup::Lookup,
    net::{DnsError, NetError, NoRecords},
    proto::{
        dnssec::Proof as Verdict,
        rr::{Name, RData, Record, RecordType},
    },
};
use qpq_core::Millis;
use qpq_federation_proto::{Answer, Heard, LookupFailure, Service, Vouched};
use tracing::debug;

/// Records of one answer that are read; a name with more than these is served as well by the first.
const RECORDS: usize = 64;
/// How long absence counts where no SOA record says so.
const ABSENCE: u32 = 60;

pub(super) const fn failed(failure: LookupFailure) -> Heard {
    Heard { answer: Answer::Failed(failure), ttl: Millis(0), proof: Vouched::Unsigned }
}

fn seconds(ttl: u32) -> Millis {
    Millis::from_secs(u64::from(ttl))
}

pub(super) fn read(lookup: Result<Lookup, NetError>, checked: bool) -> Heard {
    match lookup {
        Ok(lookup) => read_records(&lookup, checked),
        Err(error) => unanswered(error),
    }
}

/// What an error means; absence is one for hickory.
fn unanswered(error: NetError) -> Heard {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => nothing(&none),
        // Proven to be absent, from a zone that isn't signed.
        NetError::Dns(DnsError::Nsec { proof: Verdict::Secure | Verdict::Insecure, .. }) => {
            Heard { answer: Answer::Nothing, ttl: seconds(ABSENCE), proof: Vouched::Unsigned }
        }
        NetError::Dns(DnsError::DnssecBogus | DnsError::Nsec { .. }) => failed(LookupFailure::Bogus),
        NetError::Dns(_) => failed(LookupFailure::ServerFailed),
        NetError::Timeout | NetError::NoConnections | NetError::Busy | NetError::Io(_) => {
            failed(LookupFailure::NoAnswer)
        }
        other => {
            debug!(error = %other, "an answer of a name server can't be used");
            failed(LookupFailure::Malformed)
        }
    }
}

fn nothing(none: &NoRecords) -> Heard {
    let by_soa = none.soa.as_ref().map(|soa| soa.ttl.min(soa.data.minimum));
    let ttl = none.negative_ttl.or(by_soa).unwrap_or(ABSENCE);
    Heard { answer: Answer::Nothing, ttl: seconds(ttl), proof: Vouched::Unsigned }
}

/// The records that answer the question: of the name itself, and of those that its aliases lead to.
fn read_records(lookup: &Lookup, checked: bool) -> Heard {
    let mut names: BTreeSet<&Name> = BTreeSet::from([lookup.query().name()]);
    // Aliases may come in any order; a loop of them ends because the set grows or doesn't.
    loop {
        let next = lookup.answers().iter().find_map(|record| match &record.data {
            RData::CNAME(alias) if names.contains(&record.name) && !names.contains(&alias.0) => {
                Some(&alias.0)
            }
            _ => None,
        });
        match next {
            Some(next) if names.len() < RECORDS => names.insert(next),
            _ => break,
        };
    }
    let kind = lookup.query().query_type();
    let records: Vec<&Record> = lookup
        .answers()
        .iter()
        .filter(|record| names.contains(&record.name))
        .filter(|record| record.record_type() == kind || record.record_type() == RecordType::CNAME)
        .collect();
    if checked && records.iter().any(|record| !(record.proof.is_secure() || record.proof.is_insecure())) {
        return failed(LookupFailure::Bogus);
    }
    let ttl = seconds(records.iter().map(|record| record.ttl).min().unwrap_or(ABSENCE));
    let signed = checked && records.iter().all(|record| record.proof.is_secure());
    let proof = if signed { Vouched::Signed } else { Vouched::Unsigned };
    let addresses: Vec<IpAddr> = records.iter().filter_map(|record| address(record)).take(RECORDS).collect();
    let services: Vec<Service> = records.iter().filter_map(|record| service(record)).take(RECORDS).collect();
    let answer = match (addresses.is_empty(), services.is_empty()) {
        (false, _) => Answer::Addresses(addresses),
        (true, false) => Answer::Services(services),
        (true, true) if records.iter().any(|record| record.record_type() == RecordType::SRV) => {
            Answer::Failed(LookupFailure::Malformed)
        }
        (true, true) => Answer::Nothing,
    };
    Heard { answer, ttl, proof }
}

pub(super) fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

/// A record whose host is no host name is left out.
fn service(record: &Record) -> Option<Service> {
    let RData::SRV(srv) = &record.data else { return None };
    let target = if srv.target.is_root() {
        None
    } else {
        Some(srv.target.to_ascii().trim_end_matches('.').parse().ok()?)
    };
    Some(Service { priority: srv.priority, weight: srv.weight, port: srv.port, target })
}

/// Where an alias leads, if its record passes its check.
pub(super) fn alias(lookup: Result<Lookup, NetError>) -> Option<(Name, Heard)> {
    let lookup = lookup.ok()?;
    let record = lookup.answers().iter().find(|record| record.name == *lookup.query().name())?;
    let RData::CNAME(target) = &record.data else { return None };
    let proof = match record.proof {
        Verdict::Secure => Vouched::Signed,
        Verdict::Insecure => Vouched::Unsigned,
        Verdict::Bogus | Verdict::Indeterminate => return None,
    };
    Some((target.0.clone(), Heard { answer: Answer::Nothing, ttl: seconds(record.ttl), proof }))
}

/// What was heard behind aliases: it lives no longer than they do, and is signed only if they are.
pub(super) fn over(way: Option<Heard>, heard: Heard) -> Heard {
    let Some(way) = way else { return heard };
    let proof = if way.proof == heard.proof { heard.proof } else { Vouched::Unsigned };
    Heard { ttl: way.ttl.min(heard.ttl), proof, ..heard }
}

/// The addresses of both versions together. One that fails its check spoils both, for somebody is lying; of one that
/// did not come the other is enough.
pub(super) fn both(one: Heard, other: Heard) -> Heard {
    let (ttl, proof) =
        (one.ttl.min(other.ttl), if one.proof == other.proof { one.proof } else { Vouched::Unsigned });
    match (one.answer, other.answer) {
        (Answer::Failed(LookupFailure::Bogus), _) | (_, Answer::Failed(LookupFailure::Bogus)) => {
            failed(LookupFailure::Bogus)
        }
        (Answer::Addresses(mut addresses), Answer::Addresses(more)) => {
            addresses.extend(more);
            Heard { answer: Answer::Addresses(addresses), ttl, proof }
        }
        (Answer::Addresses(addresses), Answer::Nothing) => {
            Heard { answer: Answer::Addresses(addresses), ttl: one.ttl, proof: one.proof }
        }
        (Answer::Nothing, Answer::Addresses(addresses)) => {
            Heard { answer: Answer::Addresses(addresses), ttl: other.ttl, proof: other.proof }
        }
        (Answer::Addresses(addresses), _) | (_, Answer::Addresses(addresses)) => {
            Heard { answer: Answer::Addresses(addresses), ttl, proof }
        }
        (Answer::Failed(failure), _) | (_, Answer::Failed(failure)) => failed(failure),
        (Answer::Nothing | Answer::Services(_), Answer::Nothing | Answer::Services(_)) => {
            Heard { answer: Answer::Nothing, ttl, proof }
        }
    }
}
