//! `log.*`: the key-transparency log of this domain, as its admin sees it.

use async_trait::async_trait;
use qpq_core::Timestamp;
use qpq_storage::{LogEvidence, Stored, WriteTx};
use qpq_transparency::cosigning::Standing;
use qpq_transparency_tree::config::{Config, DomainKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, Actions, Argument, Call};
use crate::{
    Answered, Effects, Transparency, WriteJob,
    transparency::{Shown, Status, no_evidence},
};

pub(super) const ACTIONS: &[Action] = &[
    Action::new("log.status", "Shows the log: its size, keys and witnesses.", &[], |actions, _| {
        Box::pin(status(actions))
    })
    .at("/transparency"),
    Action::new("log.head", "Prints the newest checkpoint as a signed note.", &[], |actions, _| {
        Box::pin(head(actions))
    })
    .at("/transparency/checkpoint"),
    Action::new(
        "log.entry",
        "Shows an entry of the log.",
        &[Argument::required("index", "the entry's place, from 0")],
        |actions, call| Box::pin(entry(actions, call)),
    )
    .at("/transparency/entry"),
    Action::new(
        "log.verify",
        "Reads the whole log, computes its tree anew, and names the first thing that is not as it was signed.",
        &[],
        |actions, _| Box::pin(verify(actions)),
    )
    .at("/transparency/verify"),
    Action::new(
        "log.witness.list",
        "Shows who witnesses the log, and how far each has cosigned it.",
        &[],
        |actions, _| Box::pin(witnesses(actions)),
    )
    .at("/transparency/witnesses"),
    Action::new(
        "log.evidence.list",
        "Lists evidence of logs that show two histories, newest first.",
        &[],
        |actions, _| Box::pin(evidence(actions)),
    )
    .at("/transparency/evidence"),
    Action::new(
        "log.evidence.show",
        "Prints a piece of evidence: anybody can verify it.",
        &[ID],
        |actions, call| Box::pin(show_evidence(actions, call)),
    )
    .at("/transparency/evidence/one"),
    Action::new(
        "log.evidence.clear",
        "Lets new conversations with a domain begin again that evidence was found against; the evidence stays.",
        &[ID, Argument::optional("reason", "why, for the audit log")],
        |actions, call| Box::pin(clear_evidence(actions, call)),
    )
    .audited("decided about evidence against a log")
    .at("/transparency/evidence/clear"),
];

const ID: Argument = Argument::required("id", "its number, as `log evidence list` shows it");
/// How much evidence a list shows.
const EVIDENCE: usize = 200;

impl Actions {
    fn transparency(&self) -> Transparency {
        Transparency::new(std::sync::Arc::clone(&self.ground))
    }
}

async fn status(actions: &Actions) -> Answered<Value> {
    let log = actions.transparency();
    let Status { head, config, last_entry_at, cosigned, halted, .. } = log.status().await?;
    let key = log.keys()?.log().verifier();
    Ok(json!({
        "origin": key.name().to_string(),
        "key": key.to_string(),
        "size": head.size,
        "root": head.root.to_string(),
        "last_entry_at": last_entry_at,
        "level": qpq_transparency_tree::policy::Level::of(config.witnesses().len()).word(),
        "cosigned": cosigned,
        "halted": halted,
        "config": shown(&config),
    }))
}

async fn witnesses(actions: &Actions) -> Answered<Value> {
    let standing = |standing: &Standing| {
        json!({
            "name": standing.key.name().to_string(),
            "key": standing.key.to_string(),
            "named": standing.named,
            "size": standing.size,
            "signed_at": standing.signed_at,
            "failed": standing.failed.as_ref().map(|(why, _)| why),
            "failed_at": standing.failed.as_ref().map(|(_, at)| at),
        })
    };
    let witnesses = actions.transparency().witnesses().await?;
    Ok(json!({ "witnesses": witnesses.iter().map(standing).collect::<Vec<_>>() }))
}

/// A piece of evidence as lists show it.
fn found(evidence: &LogEvidence) -> Value {
    json!({
        "id": evidence.id,
        "origin": evidence.found.origin,
        "sizes": [evidence.found.sizes.0, evidence.found.sizes.1],
        "from": evidence.found.from,
        "found_at": evidence.found.found_at,
        "cleared_at": evidence.cleared_at,
    })
}

async fn evidence(actions: &Actions) -> Answered<Value> {
    let evidence = actions.transparency().evidence(EVIDENCE).await?;
    Ok(json!({ "evidence": evidence.iter().map(found).collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
struct Which {
    id: String,
}

impl Which {
    fn number(&self) -> Answered<u64> {
        let id = &self.id;
        id.parse().map_err(|_| crate::Refusal::malformed(format!("`id` can't be `{id}`: give a number")))
    }
}

async fn show_evidence(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let which: Which = call.arguments()?;
    let evidence = actions.transparency().one_evidence(which.number()?).await?;
    let mut shown = found(&evidence);
    shown["text"] = json!(evidence.found.text);
    Ok(shown)
}

async fn clear_evidence(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let which: Which = call.arguments()?;
    let id = which.number()?;
    let evidence = actions.transparency().one_evidence(id).await?;
    let job = Clear { id, now: actions.ground.now() };
    let target = format!("{} (evidence {id})", evidence.found.origin);
    let done = actions.audited(&call, &target, job, |done| *done).await?;
    if done { Ok(json!({ "cleared": id })) } else { Err(no_evidence(id)) }
}

struct Clear {
    id: u64,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for Clear {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        tx.kt_clear_evidence(self.id, self.now).await
    }

    fn effects(&mut self) -> Effects {
        Effects::default()
    }
}

async fn head(actions: &Actions) -> Answered<Value> {
    let Status { note, head, .. } = actions.transparency().status().await?;
    Ok(json!({ "size": head.size, "root": head.root.to_string(), "note": note }))
}

#[derive(Deserialize)]
struct Place {
    index: String,
}

async fn entry(actions: &Actions, mut call: Call<'_>) -> Answered<Value> {
    let Place { index } = call.arguments()?;
    let number = index.parse().map_err(|_| {
        crate::Refusal::malformed(format!(
            "`index` can't be `{index}`: give the entry's place, a number from 0"
        ))
    })?;
    let Shown { index, entry, config, erased } = actions.transparency().entry(number).await?;
    Ok(json!({
        "index": index,
        "kind": entry.kind.to_string(),
        "label_id": entry.label_id.to_string(),
        "version": entry.version,
        "at": entry.time,
        "prev": entry.prev.to_string(),
        "commitment": entry.commitment.to_string(),
        "leaf": entry.leaf_hash().to_string(),
        "erased": erased,
        "config": config.as_ref().map(shown),
    }))
}

async fn verify(actions: &Actions) -> Answered<Value> {
    let found = actions.transparency().verify().await?;
    Ok(json!({
        "ok": found.wrong.is_none(),
        "entries": found.entries,
        "labels": found.labels,
        "broken": found.wrong,
    }))
}

/// A CONFIG as people and programs read it.
fn shown(config: &Config) -> Value {
    let key = |key: &DomainKey| {
        json!({
            "use": key.key_use.word(),
            "key": data_encoding::HEXLOWER.encode(&key.public),
            "not_before": key.not_before,
            "not_after": key.not_after,
        })
    };
    json!({
        "keys": config.keys().iter().map(key).collect::<Vec<_>>(),
        "witnesses": config.witnesses().iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
