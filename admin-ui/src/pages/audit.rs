//! The audit log: filtered, newest first; the filtered rows as a file; whether the chain is whole.

use askama::Template;
use axum::{
    body::{Body, Bytes},
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use futures::stream;
use qpq_service::Actions;
use serde::Deserialize;
use serde_json::Value;

use super::{Desk, Page, Refused, ask::Ask};

#[derive(Debug, Deserialize)]
struct Log {
    entries: Vec<Entry>,
    total: u64,
    next: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    seq: u64,
    at: Option<String>,
    actor: String,
    action: String,
    target: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    request: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/audit.html")]
struct List<'a> {
    d: &'a Desk,
    ask: &'a Ask,
    view: Log,
    verbs: Vec<&'static str>,
}

/// The rows.
pub(super) async fn list(d: Desk, ask: Ask) -> Result<Page, Refused> {
    let view = d.read("audit.list", ask.arguments("audit.list")).await?;
    let verbs = Actions::all().filter(|action| action.audit.is_some()).map(|action| action.verb).collect();
    d.page("audit-title", &List { d: &d, ask: &ask, view, verbs })
}

#[derive(Debug, Deserialize)]
struct Chunk {
    text: String,
    next: Option<Value>,
}

/// The filtered rows as a file, chunk after chunk; what goes wrong with the first is a page that says so.
pub(super) async fn export(d: Desk, ask: Ask) -> Result<Response, Refused> {
    let mut arguments = ask.arguments("audit.export");
    if let (Some(fields), true) = (arguments.as_object_mut(), ask.is("format", "")) {
        fields.insert("format".into(), "csv".into());
    }
    let (kind, name) = if ask.is("format", "jsonl") {
        ("application/x-ndjson; charset=utf-8", "attachment; filename=\"audit.jsonl\"")
    } else {
        ("text/csv; charset=utf-8", "attachment; filename=\"audit.csv\"")
    };
    let first: Chunk = d.read("audit.export", arguments.clone()).await?;
    let chunks = stream::try_unfold((d, arguments, Some(first)), |(d, mut arguments, chunk)| async move {
        let Some(Chunk { text, next }) = chunk else { return Ok(None) };
        let following = match next {
            None | Some(Value::Null) => None,
            Some(next) => {
                if let Some(fields) = arguments.as_object_mut() {
                    fields.insert("after".into(), next);
                }
                // A download that can't go on is cut off, so that nobody takes it for whole.
                Some(d.read("audit.export", arguments.clone()).await.map_err(|refused| refused.to_string())?)
            }
        };
        Ok::<_, String>(Some((Bytes::from(text), (d, arguments, following))))
    });
    Ok(([(CONTENT_TYPE, kind), (CONTENT_DISPOSITION, name)], Body::from_stream(chunks)).into_response())
}

#[derive(Debug, Deserialize)]
struct Verified {
    ok: bool,
    entries: u64,
    head: Option<String>,
    broken: Option<Broken>,
}

#[derive(Debug, Deserialize)]
struct Broken {
    seq: u64,
    what: String,
}

#[derive(Template)]
#[template(path = "pages/audit-verify.html")]
struct Verify<'a> {
    d: &'a Desk,
    view: Verified,
}

/// Whether the chain is whole.
pub(super) async fn verify(d: Desk) -> Result<Page, Refused> {
    let view = d.read("audit.verify", Value::Object(serde_json::Map::default())).await?;
    d.page("verify-title", &Verify { d: &d, view })
}
