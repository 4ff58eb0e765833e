//! Peers of other versions: what both speak is agreed on, what one side doesn't know waits, and nothing in common is said in
//! words.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::time::Duration;

use anyhow::{Context as _, ensure};
use qpq_core::{MessageId, Seq};
use qpq_federation_proto::{Batch, Row, RowKind, StreamId};
use qpq_schemas::federation_capnp::{link, peering};
use qpq_tests::{
    HomeDomain, World, eventually,
    hostile::{Answered, Impostor, Target, relays},
    peer, story,
    wire::{self, FederationLink, Refused},
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);

/// Alpha, and gamma as a program of another version.
async fn scene(world: &World) -> anyhow::Result<(HomeDomain, Impostor)> {
    let alpha = world.domain("alpha").await?;
    let gamma = world.domain("gamma").await?;
    peer(&alpha, &gamma).await?;
    Ok((alpha, Impostor::of(&gamma).await?))
}

/// Introduces gamma as one that speaks these versions and these features.
async fn introduce(
    gamma: &Impostor,
    peering: &peering::Client,
    (min, max): (u16, u16),
    features: &[&str],
) -> anyhow::Result<Result<link::Client, Refused>> {
    let mut request = gamma.hello(peering);
    let mut hello = request.get().get_hello()?;
    hello.set_min_version(min);
    hello.set_max_version(max);
    let mut list = hello.init_features(u32::try_from(features.len())?);
    for (index, feature) in (0..).zip(features) {
        list.set(index, feature);
    }
    let answer = wire::within(request.send().promise).await?;
    let answer = answer.get()?;
    if answer.has_failure() {
        return Ok(Err(wire::refused(answer.get_failure()?)?));
    }
    ensure!(answer.get_hello()?.get_max_version() == 1, "alpha says what it speaks");
    Ok(Ok(answer.get_link()?))
}

async fn dialled(alpha: &HomeDomain, gamma: &Impostor) -> anyhow::Result<FederationLink> {
    gamma.dial(&Target::of(alpha)).await
}

/// Rows of a kind that no version knows yet.
fn of_tomorrow(first: u64, count: u64) -> anyhow::Result<Batch> {
    let row = |seq: u64| Row {
        seq: Seq(seq),
        id: MessageId::from_bytes([9; 16]),
        kind: RowKind::Unknown(900),
        ttl: None,
        payload: vec![7; 40],
        request: None,
    };
    Ok(Batch::new(StreamId::from_bytes([5; 16]), None, (first..first + count).map(row).collect())?)
}

async fn shown(alpha: &HomeDomain) -> anyhow::Result<Value> {
    alpha.admin(&["peer", "show", "gamma.test"]).await
}

#[test]
fn rows_of_a_newer_peer_that_nobody_here_knows_wait_and_are_shown() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, gamma) = scene(world).await?;
        let there = dialled(&alpha, &gamma).await?;
        let newer = introduce(&gamma, there.peering(), (1, 7), &["of-tomorrow"]).await?;
        let link = newer.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
        let batch = of_tomorrow(1, 2)?;
        let header = gamma.sign(gamma.domain(), alpha.name(), std::slice::from_ref(&batch))?;
        let taken = relays(&link, &header, header.signature(), &batch).await?;
        ensure!(matches!(taken, Ok(Answered::Applied(Seq(2), _))), "the stream goes on: {taken:?}");

        let seen = shown(&alpha).await?;
        ensure!(seen["version"] == 1, "what both speak: {seen}");
        ensure!(seen["parked"] == json!([{ "kind": 900, "rows": 2, "bytes": 80 }]), "{seen}");
        let skew = seen["clock_skew_ms"].as_i64().context("a skew")?;
        ensure!(skew < -1_000_000, "its clock is far behind: {seen}");

        // This program is no newer after a restart.
        alpha.restart().await?;
        let seen = shown(&alpha).await?;
        ensure!(seen["parked"] == json!([{ "kind": 900, "rows": 2, "bytes": 80 }]), "{seen}");
        Ok(())
    })
}

#[test]
fn an_older_peer_that_says_less_is_served() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, gamma) = scene(world).await?;
        let there = dialled(&alpha, &gamma).await?;
        // It speaks the same version and one that is gone, names no feature, and sends nothing that came later: no request
        // id, no budget, no chain before its rows.
        let older = introduce(&gamma, there.peering(), (0, 1), &[]).await?;
        let link = older.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
        let batch = qpq_tests::hostile::rows(1, 1, 3, 7, 40)?;
        let header = gamma.sign(gamma.domain(), alpha.name(), std::slice::from_ref(&batch))?;
        let taken = relays(&link, &header, header.signature(), &batch).await?;
        ensure!(matches!(taken, Ok(Answered::Applied(Seq(3), _))), "{taken:?}");
        let seen = shown(&alpha).await?;
        ensure!(seen["version"] == 1 && seen["parked"] == json!([]), "{seen}");
        Ok(())
    })
}

#[test]
fn nothing_in_common_is_said_to_both_sides_in_words() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, gamma) = scene(world).await?;
        for versions in [(2, 9), (0, 0), (9, 2)] {
            let there = dialled(&alpha, &gamma).await?;
            let refused = introduce(&gamma, there.peering(), versions, &[]).await?;
            let refused = refused.err().with_context(|| format!("{versions:?} got a link"))?;
            ensure!(refused.code == 104 && refused.text.contains("version"), "{refused:?}");
        }
        eventually("alpha's admin sees why", SOON, async || {
            let seen = shown(&alpha).await?;
            let says = seen["last_error"].as_str().unwrap_or_default().contains("version");
            Ok((seen["state"] == "refused" && says).then_some(()))
        })
        .await?;
        // Gamma is brought up to date, and an admin here tries again.
        alpha.admin(&["peer", "retry", "gamma.test"]).await?;
        let there = dialled(&alpha, &gamma).await?;
        let back = introduce(&gamma, there.peering(), (1, 2), &[]).await?;
        ensure!(back.is_ok(), "{:?}", back.err());
        Ok(())
    })
}
