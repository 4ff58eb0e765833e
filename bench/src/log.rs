//! The key-transparency log when it has grown long: appends through the store on a real disk, lookups with their proofs, what a
//! client takes to verify them, and a homeserver's start.

mod fill;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail, ensure};
use qpq_core::{Clock as _, SystemClock};
use qpq_schemas::transparency_capnp::lookup_answer;
use qpq_storage::Storage;
use qpq_transparency::{LogKeys, lookup};
use qpq_transparency_tree::lookup::{Asker, Binding, LookupAnswer, PinnedLog, Question, View, verify};
use qpq_transparency_wire::{ToldLookup, write_lookup};

use crate::{
    Plan,
    domains::HomeDomain,
    report::{self, number},
    statistics::{Latency, Rounds, per_second, ratio},
    stopwatch::Stopwatch,
};
use fill::{Member, Place};

/// Registrations in one commit, as the group commit takes them at most.
const TOGETHER: u32 = 256;
/// Registrations of which each has its own commit, in one round.
const ALONE: u32 = 64;

/// What was measured within the store.
struct Figures {
    together: Rounds,
    alone: Rounds,
    lookup: Latency,
    verify: Latency,
    bytes: u64,
}

/// Measures and prints.
pub(crate) async fn measure(plan: &Plan, server: &Path, place: &Path) -> anyhow::Result<()> {
    let mut sizes = if plan.quick { vec![1_000] } else { vec![10_000, 100_000] };
    if plan.million {
        sizes.push(1_000_000);
    }
    let mut rows = Vec::new();
    for entries in sizes {
        report::progress(&format!("a log of {entries} entries"));
        let mut home = HomeDomain::start(server, place, &format!("logged-{entries}")).await?;
        let empty = home.while_stopped(async |_| Ok(())).await?;
        let (watch, domain, mut figures) = (Stopwatch::start(), home.name().clone(), None);
        let started = home
            .while_stopped(async |directory: &Path| {
                let place = Place::open(directory, &domain).await?;
                let measured = within(plan, &place, entries).await;
                place.close().await?;
                figures = Some(measured?);
                Ok(())
            })
            .await?;
        report::progress(&format!("filled, measured and started in {:.0} s", watch.seconds()));
        let (resident, figures) = (home.resident_kib()?, figures.context("nothing was measured")?);
        home.stop().await?;
        rows.push([
            number(f64::from(entries)),
            number(figures.together.median()),
            number(figures.alone.median()),
            format!("{:.2} / {:.2}", figures.lookup.p50, figures.lookup.p99),
            format!("{:.2} / {:.2}", figures.verify.p50, figures.verify.p99),
            figures.bytes.to_string(),
            format!("{:.2} (empty {:.2})", started.as_secs_f64(), empty.as_secs_f64()),
            number(ratio(resident, 1_024)),
        ]);
    }
    let columns = [
        "entries",
        "registrations logged per second, 256 a commit",
        "one a commit",
        "lookup, p50 / p99 ms",
        "verified, p50 / p99 ms",
        "answer without the value, bytes",
        "start until the first answer, s",
        "resident, MiB",
    ];
    report::table("The key-transparency log", &columns);
    for row in rows {
        report::row(&row);
    }
    report::line(
        "\nEach registration is judged, logged and signed as the homeserver does it, without its other rows. Lookups are of users all \
         over the log, by a client that has seen it a while before; the answer's size is the largest, as Cap'n Proto.",
    );
    Ok(())
}

/// Fills the log and measures within it.
async fn within(plan: &Plan, place: &Place, entries: u32) -> anyhow::Result<Figures> {
    let members = place.fill(entries).await?;
    let first = members.first().context("nobody is logged")?;
    let pinned = PinnedLog::first_seen(place.keys.log().verifier().clone());
    let answer = asked(&place.storage, &place.keys, first, View::default()).await?;
    let (pinned, _) = verified(&pinned, first, &answer)?;

    let (mut together, mut alone, mut next) = (Rounds::default(), Rounds::default(), entries);
    for _ in 0..plan.rounds {
        let batch = place.members(next..next + TOGETHER)?;
        let watch = Stopwatch::start();
        place.register(&batch).await?;
        together.push(per_second(u64::from(TOGETHER), watch.seconds()));
        next += TOGETHER;
        let batch = place.members(next..next + ALONE)?;
        let watch = Stopwatch::start();
        for member in &batch {
            place.register(std::slice::from_ref(member)).await?;
        }
        alone.push(per_second(u64::from(ALONE), watch.seconds()));
        next += ALONE;
    }

    let (mut looked_up, mut took, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..plan.rounds {
        for member in &members {
            let watch = Stopwatch::start();
            let answer = asked(&place.storage, &place.keys, member, View::of(Some(&pinned), None)).await?;
            looked_up.push(watch.elapsed());
            took.push(verified(&pinned, member, &answer)?.1);
            bytes = bytes.max(size_without_value(place, answer)?);
        }
    }
    Ok(Figures { together, alone, lookup: Latency::of(looked_up), verify: Latency::of(took), bytes })
}

async fn asked(
    storage: &dyn Storage,
    keys: &LogKeys,
    member: &Member,
    view: View,
) -> anyhow::Result<LookupAnswer> {
    let mut tx = storage.read().await?;
    let (asker, now) = (Asker::Foreign, SystemClock.now());
    let answer = lookup::answer(tx.as_mut(), keys, &member.label, view, asker, now).await?;
    match answer.context("the log has no place for a user")? {
        lookup::Answered::Lookup(answer) => Ok(*answer),
        lookup::Answered::Pending => bail!("a log without witnesses has nothing that waits for them"),
    }
}

/// What a client pins, and how long it took.
fn verified(
    pinned: &PinnedLog,
    member: &Member,
    answer: &LookupAnswer,
) -> anyhow::Result<(PinnedLog, Duration)> {
    let question = Question { label: &member.label, asker: Asker::Own, known: None };
    let (now, watch) = (SystemClock.now(), Stopwatch::start());
    let verified = verify(pinned, &question, answer, now)?;
    let took = watch.elapsed();
    match verified.binding {
        Binding::Keys(value) => {
            ensure!(value == member.signed.value, "another value is bound than was logged");
        }
        Binding::Absent | Binding::Closed => bail!("a user is not in the log"),
    }
    Ok((verified.log, took))
}

fn size_without_value(place: &Place, answer: LookupAnswer) -> anyhow::Result<u64> {
    let told = ToldLookup { log_key: place.keys.log().verifier().clone(), answer };
    let mut message = capnp::message::Builder::new_default();
    write_lookup(&told, message.init_root::<lookup_answer::Builder<'_>>());
    let all = capnp::serialize::write_message_to_words(&message).len();
    let contents = told.answer.latest.as_ref().and_then(|latest| latest.contents.as_ref());
    let value = contents.map_or(0, |(_, value)| value.len());
    Ok(u64::try_from(all.saturating_sub(value))?)
}
