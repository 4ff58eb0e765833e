//! The key-transparency log as its admin sees it: what the pages show is what the log signed.

use axum::http::StatusCode;

use super::home::Home;

#[tokio::test]
async fn the_log_its_checkpoint_and_its_entries_are_there_to_read() {
    let home = Home::open().await;
    let mut owner = home.owner().await;
    let mut auditor = home.admin(&mut owner, "auditor").await;
    let log = auditor.get("/transparency").await;
    assert_eq!(log.status, StatusCode::OK, "{}", log.body);
    assert!(
        log.body.contains("<a href=\"/transparency\" aria-current=\"page\">Transparency</a>"),
        "{}",
        log.body
    );
    assert!(log.body.contains("<code>alpha.test/kt/v1</code>"), "{}", log.body);
    for key_use in ["log", "vrf", "federation"] {
        assert!(log.body.contains(&format!("<code>{key_use}</code> <small>")), "{key_use}: {}", log.body);
    }
    assert!(
        log.body.contains("Without end") && log.body.contains("nobody cosigns this log yet"),
        "{}",
        log.body
    );
    let root = log.between("Root of its tree</dt><dd><code>", "<");

    let checkpoint = auditor.get("/transparency/checkpoint").await;
    assert!(checkpoint.body.contains(&root), "{}", checkpoint.body);
    let note = checkpoint.between("<pre id=\"note\" tabindex=\"0\">", "</pre>");
    assert!(note.starts_with("alpha.test/kt/v1\n1\n") && note.ends_with('\n'), "{note}");

    let entry = auditor.get("/transparency/entry?index=0").await;
    assert!(entry.body.contains("<code>CONFIG</code>"), "{}", entry.body);
    let keys = |body: &str| {
        body.split_once("<table")
            .and_then(|(_, rest)| rest.split_once("</table>"))
            .map(|(table, _)| table.to_owned())
    };
    assert_eq!(keys(&entry.body), keys(&log.body), "the first entry says what the log says now");
    // The leaf of the only entry is the root of the tree.
    assert!(entry.body.contains(&root), "{}", entry.body);

    let verified = auditor.get("/transparency/verify").await;
    assert!(verified.body.contains("The log of 1 entry is what was signed."), "{}", verified.body);
    for page in ["/transparency/checkpoint", "/transparency/entry", "/transparency/verify"] {
        let page = auditor.get(page).await;
        assert!(page.body.contains("<a href=\"/transparency\" aria-current=\"true\">"), "{}", page.body);
    }
}

#[tokio::test]
async fn an_entry_that_is_not_there_is_no_page_and_says_why() {
    let home = Home::open().await;
    let mut owner = home.owner().await;
    for (index, status, said) in [
        ("1", StatusCode::NOT_FOUND, "the log has no entry 1"),
        ("18446744073709551615", StatusCode::NOT_FOUND, "the log has no entry"),
        ("18446744073709551616", StatusCode::BAD_REQUEST, "a number from 0"),
        ("-1", StatusCode::BAD_REQUEST, "a number from 0"),
        ("%3Cb%3E", StatusCode::BAD_REQUEST, "<code>&lt;b&gt;</code>"),
    ] {
        let answer = owner.get(&format!("/transparency/entry?index={index}")).await;
        assert_eq!(answer.status, status, "{index}: {}", answer.body);
        assert!(answer.body.contains(said), "{index}: {}", answer.body);
    }
}
