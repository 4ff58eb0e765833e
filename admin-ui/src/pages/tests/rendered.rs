//! Whole pages from planted answers: for each role, empty, full, and with hostile text.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use qpq_core::{ErrorCode, RequestId, Timestamp};
use qpq_service::{Answered, Caller, Refusal};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::super::{Answers, Desk, Language, Words, page, routes};

const HOSTILE: &str = "<script>alert('x')</script>\"'><img src=x onerror=y>\u{202e}&amp;";
const TIME: &str = "2026-11-23T01:11:42.000Z";

#[derive(Debug)]
struct Planted(BTreeMap<&'static str, Value>);

#[async_trait]
impl Answers for Planted {
    async fn answer(&self, _: &Caller, verb: &str, _: Value) -> Answered<Value> {
        let answer = self.0.get(verb).cloned();
        answer.ok_or_else(|| Refusal::new(ErrorCode::Internal, format!("`{verb}` is not there")))
    }
}

/// Answers with this many rows, whose texts are all `text`.
fn answers(rows: usize, text: &str) -> Planted {
    let many = |row: Value| Value::Array(vec![row; rows]);
    let banned = json!({ "reason": text, "until": TIME });
    let finding = json!({ "id": "disk", "severity": "critical", "subject": text, "cause": text, "remedy": text,
        "runbook": text, "is_cause": true, "follows_from": text });
    let device = json!({ "id": text, "address": text, "signature_key": text, "certified": TIME, "enrolled": TIME,
        "last_seen": null, "key_packages": 3, "revoked": null });
    let session = json!({ "id": text, "address": text, "device": text, "opened": TIME, "resumed": TIME,
        "resumable_until": TIME, "live": true, "name": text });
    let peer = json!({ "domain": text, "state": "awaiting-confirmation", "address": text, "pin": text,
        "key_exchange": text, "queued": 7, "queue_percent": 3, "oldest_queued_ms": 90_000, "last_error": text, "retry_at": TIME,
        "since": TIME, "blocked": banned, "federation_key": text, "version": 1, "clock_skew_ms": -90_000,
        "parked": many(json!({ "kind": 900, "rows": 3, "bytes": 120 })) });
    let key = json!({ "use": text, "key": text, "not_before": TIME, "not_after": null });
    let config = json!({ "keys": many(key), "witnesses": many(json!(text)) });
    let paged = |name: &str, row: Value| {
        let mut page = json!({ "total": rows, "page": 1, "pages": 2, "policy": text });
        page[name] = many(row);
        page
    };
    let points: Vec<Value> =
        (0..1_440).map(|minute| json!([1_795_396_000 + minute * 60, minute % 97])).collect();
    let series: Vec<Value> =
        (0..6).map(|_| json!({ "name": text, "unit": "bytes", "points": points })).collect();
    Planted(BTreeMap::from([
        (
            "info",
            json!({ "domain": text, "version": text, "client_address": text, "federation_address": text,
            "client_pin": text, "federation_key": text, "admin_url": text, "since": TIME, "draining": false }),
        ),
        (
            "status",
            json!({ "health": { "ok": true, "worst": text, "findings": rows }, "queue": { "rows": 3, "oldest_ms": null },
            "peers": { "healthy": 2 }, "sessions_live": 1, "users": 2, "certificate": { "not_after": TIME, "days": 30 },
            "database_bytes": 123_456, "series": if rows == 0 { json!([]) } else { json!(series) } }),
        ),
        (
            "doctor",
            json!({ "ok": rows == 0, "worst": "critical", "findings": many(finding),
            "checks": many(json!({ "id": text, "about": text, "ok": false })), "at": TIME }),
        ),
        (
            "job.list",
            json!({ "jobs": many(json!({ "id": text, "about": text, "schedule": text, "last_started": TIME,
            "last_duration_ms": 12, "last_result": text, "last_ok": true, "next_run": TIME })) }),
        ),
        (
            "user.list",
            paged(
                "users",
                json!({ "address": text, "account": text, "created": TIME, "last_seen": null,
            "devices": 2, "banned": banned }),
            ),
        ),
        (
            "user.show",
            json!({ "address": text, "account": text, "identity_key": text, "created": TIME, "last_seen": TIME,
            "banned": null, "devices": many(device.clone()), "sessions": many(session.clone()) }),
        ),
        (
            "user.preview",
            json!({ "address": text, "effect": text, "sessions": 1, "live_sessions": 1, "devices": 2,
            "groups": 3, "waiting_messages": 4, "key_packages": 5, "text": [text] }),
        ),
        (
            "ban.list",
            paged(
                "bans",
                json!({ "subject": text, "kind": "user", "local": true, "reason": text, "by": text,
            "since": TIME, "until": null }),
            ),
        ),
        ("session.list", json!({ "sessions": many(session.clone()) })),
        ("device.list", json!({ "devices": many(device) })),
        (
            "token.list",
            paged(
                "tokens",
                json!({ "id": text, "state": "open", "uses": 3, "pending": 1, "completed": 1,
            "expires": TIME, "created": TIME, "creator": text, "note": text, "revoked": null }),
            ),
        ),
        ("peer.list", paged("peers", peer.clone())),
        ("peer.show", peer),
        (
            "peer.probe",
            json!({ "domain": text, "ok": rows == 0, "took_ms": 812, "clock_skew_ms": -5,
                "steps": many(json!({ "step": "dns", "outcome": "failed", "took_ms": 3, "said": text, "remedy": text,
                    "runbook": text })),
                "theirs": { "reachable": true, "state": text, "standing": "refused", "trouble": text, "retry_at": TIME,
                    "queued": 4, "oldest_queued_ms": 90_000 } }),
        ),
        (
            "peer.queue",
            json!({ "domain": text, "total": rows, "page": 1, "pages": 2, "streams": many(json!({ "stream": text,
                "next": 3, "rows": 4, "bytes": 500, "kind": "submit", "oldest_at": TIME })) }),
        ),
        (
            "peer.dead-letters.list",
            json!({ "total": rows, "page": 1, "pages": 2, "letters": (0..rows).map(|id| json!({ "id": id,
                "domain": text, "stream": text, "kind": "submit", "bytes": 500, "reason": text, "at": TIME,
                "expires_at": TIME, "replayable": id % 2 == 0 })).collect::<Vec<_>>() }),
        ),
        ("peer.would-allow", json!({ "domain": text, "allowed": false, "why": text })),
        (
            "audit.list",
            json!({ "entries": many(json!({ "seq": 3, "at": TIME, "actor": text, "action": text, "text": text,
            "target": text, "reason": text, "request": text, "hash": text })), "total": rows, "next": 2 }),
        ),
        ("audit.export", json!({ "format": "csv", "text": "a,b\n", "next": null })),
        (
            "audit.verify",
            json!({ "ok": false, "entries": 3, "head": text, "broken": { "seq": 2, "what": text } }),
        ),
        (
            "log.status",
            json!({ "origin": text, "key": text, "size": rows, "root": text, "last_entry_at": TIME, "level": "peer",
                "cosigned": rows, "halted": text, "config": config }),
        ),
        (
            "log.witness.list",
            json!({ "witnesses": many(json!({ "name": text, "key": text, "named": false, "size": rows, "signed_at": TIME,
                "failed": text, "failed_at": TIME })) }),
        ),
        (
            "log.evidence.list",
            json!({ "evidence": many(json!({ "id": 3, "origin": text, "sizes": [3, 4], "from": text, "found_at": TIME,
                "cleared_at": null })) }),
        ),
        (
            "log.evidence.show",
            json!({ "id": 3, "origin": text, "sizes": [3, 4], "from": text, "found_at": TIME,
                "cleared_at": if rows == 0 { json!(TIME) } else { Value::Null }, "text": text }),
        ),
        ("log.head", json!({ "size": rows, "root": text, "note": text })),
        (
            "log.entry",
            json!({ "index": 3, "kind": "CONFIG", "label_id": text, "version": 2, "at": TIME, "prev": text,
                "commitment": text, "leaf": text, "erased": rows == 0,
                "config": if rows == 0 { Value::Null } else { config } }),
        ),
        (
            "log.verify",
            json!({ "ok": rows == 0, "entries": 3, "labels": 2,
                "broken": if rows == 0 { Value::Null } else { json!(text) } }),
        ),
        (
            "config.show",
            json!({ "settings": many(json!({ "key": text, "value": text, "origin": text, "variable": text,
            "about": text, "reloadable": true, "pending": text })) }),
        ),
        (
            "admin.list",
            json!({ "admins": many(json!({ "id": text, "name": text, "role": "owner", "created": TIME,
            "created_by": text, "passkeys": 1, "password": true, "totp": true, "recovery_codes_left": 3,
            "last_sign_in": TIME, "sessions": 1 })) }),
        ),
        ("admin.session-list", json!({ "sessions": many(session) })),
    ]))
}

const PAGES: &[&str] = &[
    "/live",
    "/info",
    "/status",
    "/user.list",
    "/user.show?address=a%40b",
    "/user.preview?address=a%40b&effect=ban",
    "/ban.list",
    "/session.list?address=a%40b",
    "/device.list?address=a%40b",
    "/token.list",
    "/peer.list",
    "/peer.show?domain=b",
    "/peer.probe?domain=b",
    "/peer.queue?domain=b",
    "/peer.dead-letters.list",
    "/peer.would-allow?domain=b",
    "/audit.list",
    "/audit.verify",
    "/log.status",
    "/log.head",
    "/log.entry?index=3",
    "/log.verify",
    "/log.witness.list",
    "/log.evidence.list",
    "/log.evidence.show?id=3",
    "/config.show",
    "/admin.list",
    "/admin.session-list",
    "/doctor",
    "/job.list",
];

fn caller(role: &str) -> Caller {
    let mut caller = Caller::uid(0, RequestId::from_bytes([7; 16]));
    let auditor = qpq_service::Actions::all().find(|action| action.audit.is_none()).unwrap().role;
    let operator = qpq_service::Actions::all().find(|action| action.verb == "user.ban").unwrap().role;
    caller.role = match role {
        "auditor" => auditor,
        "operator" => operator,
        _ => caller.role,
    };
    caller
}

async fn get(
    path: &str,
    role: &str,
    language: Language,
    planted: impl Answers + 'static,
) -> (StatusCode, String) {
    let desk = Desk {
        actions: Arc::new(planted),
        caller: caller(role),
        words: Words(language),
        form_token: "form-token".to_owned(),
        here: path.to_owned(),
        now: Timestamp::from_millis(1_795_482_400_000),
    };
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(desk);
    let verb = path.trim_start_matches('/').split('?').next().unwrap();
    let page = page(verb).map_or_else(routes, |page| Router::new().route(&format!("/{verb}"), page));
    let response = page.oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 22).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// The tags in order; a `>` between quotes does not end one.
fn tags(page: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once('<') {
        let mut quoted = false;
        let mut length = 0;
        for byte in after.bytes() {
            match byte {
                b'"' => quoted = !quoted,
                b'>' if !quoted => break,
                _ => {}
            }
            length += 1;
        }
        tags.push(after.get(..length).unwrap_or_default().to_owned());
        rest = after.get(length..).unwrap_or_default();
    }
    tags
}

fn value<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    tag.split_once(&format!(" {name}=\"")).and_then(|(_, rest)| rest.split_once('"')).map(|(value, _)| value)
}

/// Every tag is closed in its order, ids are unique, every input has a name that can be read out, headings descend
/// step by step.
fn well_formed(path: &str, page: &str) {
    let tags = tags(page);
    let mut open = Vec::new();
    let (mut ids, mut labelled, mut named, mut level) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for tag in &tags {
        let name = tag.split([' ', '/']).next().unwrap();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed), "{path}: </{closed}>");
            continue;
        }
        if !["input", "br", "img", "path"].contains(&name) {
            open.push(name.to_owned());
        }
        ids.extend(value(tag, "id").map(str::to_owned));
        labelled.extend(value(tag, "for").map(str::to_owned));
        if ["input", "select", "textarea"].contains(&name)
            && value(tag, "type") != Some("hidden")
            && value(tag, "aria-label").is_none()
        {
            named.push(value(tag, "id").unwrap_or_else(|| panic!("{path}: <{tag}> has no label")).to_owned());
        }
        if let Some(heading) = name.strip_prefix('h').and_then(|level| level.parse::<u8>().ok()) {
            assert!(heading <= level + 1 || path == "/live", "{path}: h{heading} follows h{level}");
            level = heading;
        }
    }
    assert!(open.is_empty(), "{path}: {open:?} stay open");
    for input in named {
        assert!(labelled.contains(&input), "{path}: #{input} has no label");
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "{path}: an id is there twice");
}

#[tokio::test]
async fn every_page_is_well_formed_for_every_role_empty_and_full_in_both_languages() {
    for path in PAGES {
        for role in ["owner", "operator", "auditor"] {
            for language in [Language::English, Language::German] {
                let (status, page) = get(path, role, language, answers(0, "plain")).await;
                assert_eq!(status, StatusCode::OK, "{path}: {page}");
                well_formed(path, &page);
                let (_, page) = get(path, role, language, answers(1, "plain")).await;
                well_formed(path, &page);
                assert!(
                    role != "auditor" || !page.contains("method=\"post\""),
                    "{path}: an auditor sees a form"
                );
                assert!(
                    !page.contains("href=\"\"") || super::AWAITED.len() > 1,
                    "{path}: a link leads nowhere"
                );
            }
        }
    }
}

#[tokio::test]
async fn hostile_text_stays_text() {
    for path in PAGES {
        let (status, page) = get(path, "owner", Language::English, answers(1, HOSTILE)).await;
        assert_eq!(status, StatusCode::OK, "{path}: {page}");
        for tag in tags(&page) {
            assert!(!tag.starts_with("script") && !tag.starts_with("img"), "{path}: <{tag}>");
            let stray = tag
                .split('"')
                .step_by(2)
                .any(|outside| outside.contains("onerror") || outside.contains('\''));
            assert!(!stray, "{path}: <{tag}>");
        }
    }
}

#[tokio::test]
async fn no_page_with_fifty_rows_or_names_of_ten_kilobytes_is_too_heavy() {
    for path in PAGES {
        // Nobody has fifty admins, and each comes with three forms.
        let rows = if *path == "/admin.list" { 20 } else { 50 };
        let text = "alice.with-a-long-name@alpha.test";
        let (_, page) = get(path, "owner", Language::German, answers(rows, text)).await;
        assert!(page.len() <= 100_000, "{path}: {} bytes", page.len());
        let (_, page) = get(path, "owner", Language::English, answers(1, &"<".repeat(10_000))).await;
        assert!(!page.contains("<<"), "{path}");
    }
}

#[tokio::test]
async fn what_an_action_refuses_becomes_an_answer_with_its_sentence() {
    for path in PAGES {
        let (status, page) = get(path, "owner", Language::English, Planted(BTreeMap::new())).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert!(page.contains("is not there"), "{path}: {page}");
    }
}

/// A homeserver that opened no log.
#[derive(Debug)]
struct NoLog;

#[async_trait]
impl Answers for NoLog {
    async fn answer(&self, _: &Caller, _: &str, _: Value) -> Answered<Value> {
        Err(Refusal::new(ErrorCode::NotFound, "this homeserver keeps no key-transparency log"))
    }
}

#[tokio::test]
async fn without_a_log_its_area_says_so() {
    for (language, said) in
        [(Language::English, "No log is open here."), (Language::German, "Hier ist kein Log offen.")]
    {
        let (status, page) = get("/log.status", "auditor", language, NoLog).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        assert!(page.contains(said) && !page.contains("<form") && !page.contains("<dl"), "{page}");
        well_formed("/log.status", &page);
    }
    for path in ["/log.head", "/log.entry?index=3", "/log.verify"] {
        let (status, page) = get(path, "auditor", Language::English, NoLog).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(page, "this homeserver keeps no key-transparency log", "{path}");
    }
}

#[tokio::test]
async fn the_page_of_an_entry_asks_which_one() {
    let (status, page) = get("/log.entry", "auditor", Language::English, NoLog).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("name=\"index\"") && !page.contains("<dl"), "{page}");
    well_formed("/log.entry", &page);
}

/// A log with one key of each use, and so many witnesses.
fn log_status(level: &str, witnesses: &[&str]) -> Planted {
    let keys: Vec<Value> = ["log", "vrf", "federation", "mls-hub", "report", "witness"]
        .iter()
        .map(|key_use| json!({ "use": key_use, "key": "ab", "not_before": TIME, "not_after": TIME }))
        .collect();
    Planted(BTreeMap::from([(
        "log.status",
        json!({ "origin": "alpha.test/kt/v1", "key": "vkey", "size": 2, "root": "cd", "last_entry_at": null,
            "level": level, "cosigned": null, "halted": null, "config": { "keys": keys, "witnesses": witnesses } }),
    )]))
}

#[tokio::test]
async fn a_log_says_how_it_is_witnessed_and_what_its_keys_are_for() {
    const NOBODY: &str = "None: nobody cosigns this log yet.";
    for (level, witnesses, said) in [
        ("logged", &[][..], NOBODY),
        ("peer", &["beta.test/kt-witness/v1+ab"], "all of them must cosign"),
        ("quorum", &["b+1", "c+2", "d+3"], "Only this is called verified"),
    ] {
        let planted = log_status(level, witnesses);
        let (_, page) = get("/log.status", "auditor", Language::English, planted).await;
        assert!(page.contains(said), "{level}: {page}");
        assert_eq!(page.matches("<li><code>").count(), witnesses.len(), "{level}: {page}");
        assert_eq!(page.contains(NOBODY), witnesses.is_empty(), "{level}: {page}");
        // What has no text is shown as it is.
        assert!(!page.contains("log-key-use") && !page.contains(&format!(">{level}<")), "{level}: {page}");
        for key_use in ["log", "vrf", "federation", "mls-hub", "report", "witness"] {
            assert!(!page.contains(&format!("<small>{key_use}</small>")), "`{key_use}` has no text");
        }
    }
}

#[test]
fn every_kind_of_entry_has_its_sentence() {
    for kind in ["BIND", "REVOKE", "CLOSE", "CONFIG", "MAP_ROOT", "PAD"] {
        assert!(Words(Language::English).knows(&format!("log-kind-{kind}")), "{kind}");
    }
}

#[tokio::test]
async fn an_export_is_a_file() {
    let (status, text) = get("/audit.export?format=csv", "auditor", Language::English, answers(0, "x")).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "a,b\n"));
}

#[test]
fn every_reading_action_has_its_page() {
    for action in qpq_service::Actions::all().filter(|action| action.audit.is_none()) {
        assert!(page::<()>(action.verb).is_some(), "`{}` has no page", action.verb);
    }
}
