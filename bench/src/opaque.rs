//! Opaque payloads through real sessions: what the homeservers can do, without the clients' own work.
//!
//! The conversations are real (made by the library, with MLS); what is sent through them is a well-formed
//! `PrivateMessage` around 1 KiB of random bytes. Senders don't subscribe to their own copies.

pub(crate) mod lane;
pub(crate) mod load;
mod receiver;

use std::path::Path;

use crate::{
    Plan,
    domains::{self, HomeDomain},
    people,
    report::{self, number},
    statistics::LatencyRounds,
};
use lane::Lane;

/// The bytes of ciphertext in each message.
const PAYLOAD: usize = 1_024;
/// The bounds.
const P99_MS: f64 = 100.0;
const P50_MS: f64 = 20.0;

/// How hard a sender pushes.
#[derive(Clone, Copy, Debug)]
struct Push {
    /// Messages in one call.
    batch: usize,
    /// Calls of one sender under way.
    calls: usize,
    /// Messages of one pair that are submitted and not delivered yet.
    window: u64,
}

const BATCHED: Push = Push { batch: 32, calls: 4, window: 512 };
const SINGLE: Push = Push { batch: 1, calls: 16, window: 64 };

/// Measures and prints; whether the bound holds.
pub(crate) async fn measure(
    plan: &Plan,
    place: &Path,
    alpha: &HomeDomain,
    beta: &HomeDomain,
) -> anyhow::Result<bool> {
    report::progress("registering senders and receivers");
    let senders = people::crowd(alpha, place, "sender", plan.pairs).await?;
    let near = people::crowd(alpha, place, "near", plan.pairs).await?;
    let far = people::crowd(beta, place, "far", plan.pairs).await?;
    let local = Lane::between(&senders, &near).await?;
    let federated = Lane::between(&senders, &far).await?;

    let (mut rates, mut delays) = (Vec::new(), Vec::new());
    for (what, lanes) in [("local", &local), ("federated", &federated)] {
        for (how, push) in [("32 a call", BATCHED), ("one a call", SINGLE)] {
            report::progress(&format!("{what} throughput, {how}"));
            let rounds = load::throughput(plan, lanes, push, &[alpha, beta]).await?;
            rates.push((format!("{what}, {how}"), rounds));
        }
        report::progress(&format!("{what} latency at {} messages per second", load::PER_SECOND));
        delays.push((what, load::latency(plan, lanes).await?));
    }
    drop((local, federated));
    for person in senders.into_iter().chain(near).chain(far) {
        // Waits until its store is closed: a store that closes later would be in the way of removing its files.
        person.client.close().await;
    }
    print_rates(plan, &rates);
    Ok(print_delays(&delays))
}

fn print_rates(plan: &Plan, rates: &[(String, load::Pushed)]) {
    let title =
        format!("Durable deliveries per second: {} pairs, opaque payloads of {PAYLOAD} bytes", plan.pairs);
    report::table(
        &title,
        &["path, messages a call", "median", "least", "most", "cores busy: load, alpha, beta"],
    );
    for (what, load::Pushed { rounds, busy }) in rates {
        let (median, least, most) = (rounds.median(), rounds.least(), rounds.most());
        let busy: Vec<_> = busy.iter().map(|cores| format!("{cores:.2}")).collect();
        report::row(&[what.clone(), number(median), number(least), number(most), busy.join(", ")]);
    }
    report::line(&format!(
        "\n{} rounds of {} s after a warm-up; at most {} (32 a call) or {} messages of a pair under way. Limits raised by configuration: {}.",
        plan.rounds,
        plan.seconds,
        BATCHED.window,
        SINGLE.window,
        domains::settings(),
    ));
}

fn print_delays(delays: &[(&str, load::Delays)]) -> bool {
    let title = format!("Latency at {} messages per second in all, ms", load::PER_SECOND);
    report::table(
        &title,
        &["path", "p50", "p99", "worst round's p99", "submit answered, p50", "p99", "bound"],
    );
    let mut all = true;
    for (what, load::Delays { delivered, accepted }) in delays {
        let (delivered, worst, accepted) =
            (delivered.medians(), delivered.worst(), LatencyRounds::medians(accepted));
        // Written this way round, a missing figure breaks the bound as well. What is delivered is durable over there.
        let holds = delivered.p50 <= P50_MS && delivered.p99 <= P99_MS;
        all &= holds;
        let verdict = if holds { "holds" } else { "**MISSED**" };
        report::row(&[
            (*what).to_owned(),
            number(delivered.p50),
            number(delivered.p99),
            number(worst),
            number(accepted.p50),
            number(accepted.p99),
            format!("p50 ≤ {P50_MS:.0} and p99 ≤ {P99_MS:.0} ms: {verdict}"),
        ]);
    }
    all
}
