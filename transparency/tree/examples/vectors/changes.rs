//! How a lookup is written as what differs from another one.

use serde_json::{Map, Value, json};

/// A lookup as what differs from the one that it is most like.
pub(crate) fn from(others: &[Value], lookup: &Value) -> Value {
    let changes = others.iter().map(|other| {
        let mut changes = Map::new();
        for part in ["pinned", "question", "answer", "now"] {
            note(&format!("/{part}"), &other[part], &lookup[part], &mut changes);
        }
        (&other["name"], Value::Object(changes))
    });
    let (of, changes) = changes.min_by_key(|(_, changes)| changes.to_string().len()).unwrap();
    let mut written = json!({ "name": lookup["name"], "of": of, "changed": changes });
    for outcome in ["verified", "error"] {
        if let Some(outcome_is) = lookup.get(outcome) {
            written[outcome] = outcome_is.clone();
        }
    }
    written
}

/// Notes what differs, by its JSON Pointer (RFC 6901).
fn note(at: &str, old: &Value, new: &Value, changes: &mut Map<String, Value>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.keys().for_each(|key| note(&format!("{at}/{key}"), &old[key], &new[key], changes));
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new).enumerate();
            pairs.for_each(|(index, (old, new))| note(&format!("{at}/{index}"), old, new, changes));
        }
        _ if old != new => {
            changes.insert(at.to_owned(), new.clone());
        }
        _ => {}
    }
}
