//! `status` and `doctor`: how this homeserver is, and what is wrong with it.

use qpq_core::{Millis, Timestamp};
use qpq_storage::{UserFilter, UserSort, Window};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, Actions, Argument, Call, Kind, info::json};
use crate::{Answered, Depth, samples};

pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        "status",
        "Shows how this homeserver is, at a glance, and the figures of the last day.",
        &[],
        |actions, _| Box::pin(status(actions)),
    )
    .at("/"),
    Action::new(
        "doctor",
        "Looks for everything that may be wrong, and says what to do about it; exit code 3 if something is.",
        &[Argument::optional("quick", "take the database as it was found the last time").of(Kind::Flag)],
        |actions, call| Box::pin(doctor(actions, call)),
    )
    .at("/health"),
];

async fn status(actions: &Actions) -> Answered<Value> {
    let report = match actions.checks.last() {
        Some(report) => report,
        None => actions.checks.run(Depth::Quick).await,
    };
    let now = actions.ground.now();
    let waiting = actions.peering.waiting().await?;
    let peers: serde_json::Map<String, Value> = actions
        .peering
        .counts()
        .await?
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(standing, count)| (standing.name().to_owned(), json!(count)))
        .collect();
    let none = Window { offset: 0, limit: 0 };
    let users = actions.accounts.list("", UserFilter::All, UserSort::Name, none).await?.total;
    let machine = actions.checks.machine().await;
    let ends = machine.certificates.iter().filter_map(|fact| fact.validity.as_ref().ok());
    let certificate = ends.map(|(_, until)| *until).min();
    Ok(json!({
        "health": { "ok": report.ok, "worst": report.worst, "findings": report.findings.len(), "at": report.at },
        "queue": {
            "rows": waiting.rows,
            "oldest_ms": waiting.oldest_at.map(|oldest| now.since(oldest).0),
        },
        "peers": peers,
        "sessions_live": actions.sessions.live().count(),
        "users": users,
        "certificate": certificate.map(|until| json!({ "not_after": until, "days": days(now, until) })),
        "database_bytes": machine.database_bytes,
        "series": samples::all(&actions.ground).await?,
    }))
}

/// Whole days until then; negative: since then.
fn days(now: Timestamp, until: Timestamp) -> i64 {
    let whole = |span: Millis| i64::try_from(span.0 / Millis::from_days(1).0).unwrap_or(i64::MAX);
    if until >= now { whole(until.since(now)) } else { -1 - whole(now.since(until)) }
}

#[derive(Deserialize)]
struct Doctor {
    quick: Option<bool>,
}

async fn doctor(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Doctor { quick } = call.arguments()?;
    let depth = if quick == Some(true) { Depth::Quick } else { Depth::Thorough };
    json(&actions.checks.run(depth).await)
}
