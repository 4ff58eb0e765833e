//! What the demo prints: a readable transcript, without colours so that it can be piped.

use serde_json::Value;

use super::{domains::RunningDomain, people::Person};
use crate::output;

pub(super) fn heading(text: &str) {
    output::line(&format!("\n== {text}"));
}

pub(super) fn domain(domain: &RunningDomain) {
    output::line(&format!(
        "{:<11} clients {}   peers {}   pin {}",
        domain.name(),
        domain.info("client_address"),
        domain.info("federation_address"),
        domain.info("client_pin"),
    ));
}

pub(super) fn command(domain: &RunningDomain, verb: &[&str]) {
    output::line(&format!("{:<11} qpq-server {}", domain.name(), verb.join(" ")));
}

pub(super) fn person(person: &Person) {
    output::line(&format!("{:<17} registered", person.address()));
}

/// Who, when, in which epoch, and what; printed as its reader got it.
pub(super) fn message(reader: &Person, got: &Value) {
    output::line(&format!(
        "{}  epoch {:<2} {} -> {}: {}",
        text(got, "sent_at"),
        got["epoch"],
        text(got, "from"),
        reader.address(),
        text(got, "text"),
    ));
}

pub(super) fn link(domain: &RunningDomain, peer: &Value) {
    output::line(&format!(
        "link {} <-> {}: {}, TLS 1.3 key exchange {}",
        domain.name(),
        text(peer, "domain"),
        text(peer, "link"),
        text(peer, "key_exchange"),
    ));
}

pub(super) fn connection(person: &Person, who: &Value) {
    output::line(&format!(
        "link {} <-> its domain: TLS 1.3 key exchange {}",
        person.address(),
        text(who, "key_exchange")
    ));
}

pub(super) fn witnessed(domain: &RunningDomain, status: &Value) {
    let witnesses = status["config"]["witnesses"].as_array().map_or(0, Vec::len);
    output::line(&format!(
        "log {}: {} entries, all of them signed by {}",
        domain.name(),
        status["size"],
        counted(witnesses)
    ));
}

/// What a device knows of somebody's keys, and what that is worth: only a majority of three is called verified.
pub(super) fn verified(person: &Person, shown: &Value, witnesses: usize) {
    let level = text(&shown["log"], "level");
    let worth = if level == "quorum" {
        format!("verified, {}", counted(witnesses))
    } else {
        format!(
            "proven by the log and not called verified: {} of the at least 3 that takes (`--domains 4`)",
            counted(witnesses)
        )
    };
    output::line(&format!("{}: key {}, {worth}", person.address(), text(shown, "pinned")));
}

fn counted(witnesses: usize) -> String {
    if witnesses == 1 { "1 witness".to_owned() } else { format!("{witnesses} witnesses") }
}

pub(super) fn storage(domain: &RunningDomain) {
    output::line(&format!(
        "stored {}: {} (SQLCipher)",
        domain.name(),
        domain.data_dir().join("homeserver.db").display()
    ));
}

pub(super) fn try_it(person: &Person) {
    output::line(&format!("{}:\n  {} recv --wait 5", person.address(), person.command()));
    output::line(&format!("  {} send lunch \"hello\"", person.command()));
}

pub(super) fn end(text: &str) {
    output::line(&format!("\n{text}"));
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("?")
}
