//! What the machine itself can do, beside which the product's figures are read: flushes, group commits, a QUIC echo.

mod commit;
mod echo;
mod facts;
mod flush;

use std::path::Path;

use crate::{
    Plan,
    report::{self, number},
    statistics::Rounds,
};

pub(crate) use facts::{allow_many_files, facts, field, processor_time};

/// Measures and prints.
pub(crate) async fn measure(plan: &Plan, place: &Path) -> anyhow::Result<()> {
    report::progress("the machine itself");
    let span = plan.round().min(std::time::Duration::from_secs(3));
    // A file that grows costs more than one that is there.
    flush::rate(place, span / 4)?;
    let (mut flushes, mut commits) = (Rounds::default(), Rounds::default());
    let (mut pipelined, mut in_turn) = (Rounds::default(), Rounds::default());
    for _ in 0..plan.rounds.min(3) {
        flushes.push(flush::rate(place, span)?);
        commits.push(commit::rate(place, span).await?);
        let echo = echo::rate(span).await?;
        pipelined.push(echo.pipelined);
        in_turn.push(echo.in_turn);
    }
    report::table("The machine without us", &["what", "per second"]);
    report::row(&["flushes of one 4 KiB block", &number(flushes.median())]);
    report::row(&[
        "rows of 1 KiB, group commit of 256, SQLCipher, `synchronous=FULL`",
        &number(commits.median()),
    ]);
    report::row(&[
        "QUIC echoes of 1 KiB, our TLS and socket settings, pipelined",
        &number(pipelined.median()),
    ]);
    report::row(&["QUIC echoes of 1 KiB, one after the other", &number(in_turn.median())]);
    Ok(())
}
