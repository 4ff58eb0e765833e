//! One request in the logs of two domains, by its id, and nobody's name beside it.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, ensure};
use qpq_tests::{HomeDomain, eventually, story};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);
const SETTINGS: &[(&str, &str)] = &[
    ("QPQ_LOG_FORMAT", "json"),
    ("QPQ_LOG_FILTER", "info,qpq_rpc=debug,qpq_service=debug,qpq_federation=debug"),
];

/// The lines of a domain's log with this message.
fn lines(domain: &HomeDomain, message: &str) -> anyhow::Result<Vec<Value>> {
    let said = domain.said();
    // On standard output stands the link for the first admin, for people.
    let complete = said.lines().take(said.matches('\n').count()).filter(|line| line.starts_with('{'));
    let lines = complete.map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")));
    let lines = lines.collect::<anyhow::Result<Vec<Value>>>()?;
    Ok(lines.into_iter().filter(|line| line["fields"]["message"] == message).collect())
}

/// The requests of the calls of a method that were answered.
fn calls(domain: &HomeDomain, method: &str) -> anyhow::Result<BTreeSet<String>> {
    let answered = lines(domain, "the call was answered")?;
    let of_method = answered.iter().map(|line| &line["span"]).filter(|span| span["name"] == method);
    of_method
        .map(|span| Ok(span["request"].as_str().context("a span without `request`")?.to_owned()))
        .collect()
}

/// The requests that rows of a peer follow from.
fn rows(domain: &HomeDomain) -> anyhow::Result<BTreeSet<String>> {
    let stored = lines(domain, "a peer's row is stored")?;
    stored
        .iter()
        .map(|line| Ok(line["fields"]["request"].as_str().context("no `request`")?.to_owned()))
        .collect()
}

#[test]
fn the_id_of_a_call_is_found_in_the_log_of_the_peer_that_it_reached() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains_with(SETTINGS).await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        alice.say("bob@beta.test", "hello").await?;
        bob.hears(&["hello"]).await?;
        eventually("alice's request in the log of beta", SOON, async || {
            Ok(calls(&alpha, "rpc.groups.submit")?.intersection(&rows(&beta)?).next().map(drop))
        })
        .await?;

        // Alpha orders the conversation: bob's request goes there with his message, and comes back with the order.
        bob.say("alice@alpha.test", "hello yourself").await?;
        alice.hears(&["hello yourself"]).await?;
        eventually("bob's request in the log of alpha, and back in that of beta", SOON, async || {
            let (his, there, back) = (calls(&beta, "rpc.groups.submit")?, rows(&alpha)?, rows(&beta)?);
            Ok(his.iter().any(|id| there.contains(id) && back.contains(id)).then_some(()))
        })
        .await?;

        // What one domain asks of the other at once carries the id, too.
        let asked = calls(&alpha, "rpc.directory.resolve")?;
        let answered = lines(&beta, "a peer's call was answered")?;
        let resolved =
            answered.iter().map(|line| &line["span"]).filter(|span| span["name"] == "fed.link.resolve");
        let resolved: BTreeSet<String> =
            resolved.filter_map(|span| span["request"].as_str().map(str::to_owned)).collect();
        ensure!(resolved.intersection(&asked).next().is_some(), "{resolved:?} and {asked:?}");

        for (domain, other) in [(&alpha, "bob@"), (&beta, "alice@")] {
            ensure!(!domain.said().contains(other), "{} logs who is written to", domain.name());
        }
        Ok(())
    })
}

#[test]
fn what_an_admin_did_has_one_id_in_the_audit_log_and_in_the_servers() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain_with("alpha", SETTINGS).await?;
        alpha.token().await?;
        let audit = alpha.admin(&["audit", "list"]).await?;
        let said = audit.to_string();
        let asked = calls(&alpha, "rpc.admin.perform")?;
        ensure!(asked.iter().any(|id| said.contains(id.as_str())), "{asked:?} in {said}");
        Ok(())
    })
}
