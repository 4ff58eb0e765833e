//! `log.*`: the key-transparency log of this domain, as its admin sees it.

use qpq_transparency_tree::config::{Config, DomainKey};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, Actions, Argument, Call};
use crate::{
    Answered, Transparency,
    transparency::{Shown, Status},
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
];

impl Actions {
    fn transparency(&self) -> Transparency {
        Transparency::new(std::sync::Arc::clone(&self.ground))
    }
}

async fn status(actions: &Actions) -> Answered<Value> {
    let log = actions.transparency();
    let Status { head, config, last_entry_at, .. } = log.status().await?;
    let key = log.keys()?.log().verifier();
    Ok(json!({
        "origin": key.name().to_string(),
        "key": key.to_string(),
        "size": head.size,
        "root": head.root.to_string(),
        "last_entry_at": last_entry_at,
        "level": qpq_transparency_tree::policy::Level::of(config.witnesses().len()).word(),
        "config": shown(&config),
    }))
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
