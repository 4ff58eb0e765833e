//! `audit.*`: what admins did: listed, exported, verified.

use qpq_core::{Digest, Seq, Timestamp};
use qpq_storage::{AuditFilter, AuditRecord};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, Actions, Argument, Call, Kind};
use crate::{Answered, Refusal, admins::deeds, audit_export};

/// Entries of one page if nobody says how many, and at most.
const PAGE: usize = 50;
const LONGEST_PAGE: u64 = 500;
/// Entries of one piece of an export, or of one step of a verification.
const PIECE: usize = 500;

const ACTOR: Argument = Argument::optional("actor", "only what this actor did: uid:0, admin:NAME, job:NAME");
const ACTION: Argument = Argument::optional("action", "only this action, or a whole area: user.ban, peer.");
const TARGET: Argument = Argument::optional("target", "only what was done to something with this text");
const FROM: Argument = Argument::optional("from", "not before this time").of(Kind::Time);
const UNTIL: Argument = Argument::optional("until", "only before this time").of(Kind::Time);

pub(super) const ACTIONS: &[Action] = &[
    Action::new(
        "audit.list",
        "Lists what admins did, newest first.",
        &[
            ACTOR,
            ACTION,
            TARGET,
            FROM,
            UNTIL,
            Argument::optional("before", "only entries before this number").of(Kind::Number),
            Argument::optional("page_size", "how many entries at most; 50 if left out").of(Kind::Number),
        ],
        |actions, call| Box::pin(list(actions, call)),
    )
    .at("/audit"),
    Action::new(
        "audit.export",
        "Prints what admins did, oldest first, in a form for other programs.",
        &[
            Argument::required("format", "the form").of(Kind::Choice(&["jsonl", "csv"])).with_flag(),
            ACTOR,
            ACTION,
            TARGET,
            FROM,
            UNTIL,
            Argument::optional("after", "only entries after this number").of(Kind::Number),
        ],
        |actions, call| Box::pin(export(actions, call)),
    )
    .at("/audit/export"),
    Action::new(
        "audit.verify",
        "Computes the hash chain anew and names the first entry that is not as it was written.",
        &[],
        |actions, _| Box::pin(verify(actions)),
    )
    .at("/audit/verify"),
];

#[derive(Deserialize)]
struct Filter {
    actor: Option<String>,
    action: Option<String>,
    target: Option<String>,
    from: Option<String>,
    until: Option<String>,
    before: Option<u64>,
    after: Option<u64>,
    page_size: Option<u64>,
    format: Option<String>,
}

impl Filter {
    fn parse(&self) -> Answered<AuditFilter> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Ok(AuditFilter {
            actor: given(&self.actor),
            action: given(&self.action),
            target: given(&self.target),
            from: time("from", self.from.as_deref())?,
            until: time("until", self.until.as_deref())?,
        })
    }
}

fn time(field: &str, text: Option<&str>) -> Answered<Option<Timestamp>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let parsed = text.parse().map_err(|error| Refusal::malformed(format!("`{field}`: {error}")))?;
    Ok(Some(parsed))
}

async fn list(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let wanted: Filter = call.arguments()?;
    let filter = wanted.parse()?;
    let size = wanted.page_size.map_or(PAGE, |size| usize::try_from(size.min(LONGEST_PAGE)).unwrap_or(PAGE));
    let mut tx = actions.ground.read().await?;
    let total = tx.audit_count(&filter).await?;
    // One more than asked for says whether there are more.
    let mut found = tx.audit_before(&filter, wanted.before.map(Seq), size.saturating_add(1)).await?;
    let more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| more).map(|record| record.seq.0);
    Ok(json!({ "entries": found.iter().map(line).collect::<Vec<_>>(), "total": total, "next": next }))
}

/// An entry as people and programs read it.
fn line(record: &AuditRecord) -> Value {
    let AuditRecord { seq, entry, hash } = record;
    json!({
        "seq": seq.0,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "text": text(&entry.action),
        "target": entry.target,
        "reason": entry.reason,
        "request": entry.request,
        "hash": hash.to_string(),
    })
}

/// What the log says of an action, or of what admins do to their own accounts.
fn text(done: &str) -> Option<&'static str> {
    let action = Actions::all().find(|action| action.verb == done);
    action.and_then(|action| action.audit).or_else(|| deeds::text(done))
}

async fn export(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let wanted: Filter = call.arguments()?;
    let filter = wanted.parse()?;
    let after = wanted.after.unwrap_or(0);
    let found = actions.ground.read().await?.audit_after(&filter, Seq(after), PIECE).await?;
    let next = found.last().filter(|_| found.len() == PIECE).map(|record| record.seq.0);
    let format = wanted.format.unwrap_or_default();
    let text = match format.as_str() {
        "jsonl" => found.iter().map(audit_export::line).collect::<String>(),
        "csv" => audit_export::csv(&found, after == 0),
        other => return Err(Refusal::malformed(format!("`format` can't be `{other}`: give jsonl or csv"))),
    };
    Ok(json!({ "format": format, "text": text, "next": next }))
}

async fn verify(actions: &Actions) -> Answered<Value> {
    let (mut last, mut hash) = (Seq::ZERO, Digest::ZERO);
    let mut tx = actions.ground.read().await?;
    loop {
        let records = tx.audit_after(&AuditFilter::default(), last, PIECE).await?;
        let complete = records.len() < PIECE;
        for record in records {
            if let Some(what) = wrong(&record, last, &hash) {
                return Ok(json!({
                    "ok": false,
                    "entries": last.0,
                    "head": hash.to_string(),
                    "broken": { "seq": record.seq.0, "what": what },
                }));
            }
            (last, hash) = (record.seq, record.hash);
        }
        if complete {
            return Ok(json!({ "ok": true, "entries": last.0, "head": hash.to_string(), "broken": null }));
        }
    }
}

/// What is wrong with a row that follows the row `last` with the hash `previous`.
fn wrong(record: &AuditRecord, last: Seq, previous: &Digest) -> Option<String> {
    let expected = last.0.saturating_add(1);
    if record.seq.0 != expected {
        return Some(format!("entry {expected} is missing: entry {} follows entry {}", record.seq.0, last.0));
    }
    let computed = record.entry.chained(record.seq, previous);
    (computed != record.hash).then(|| {
        format!(
            "entry {expected} or its hash was changed: its hash should be {computed}, and is {}",
            record.hash
        )
    })
}
