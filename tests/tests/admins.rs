//! Admins from the command line: the link of a first start, accounts, exit codes, and the owner who stays.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use anyhow::{Context as _, ensure};
use qpq_tests::{HomeDomain, eventually, story};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

const SOON: Duration = Duration::from_secs(20);

/// Makes an owner who can sign in, in the database of a domain that is stopped: only a browser can do it otherwise.
async fn enrol(domain: &HomeDomain, name: &'static str, number: u8) -> anyhow::Result<()> {
    let key = fs::read_to_string(domain.directory().join("keys/database"))?;
    let options = SqliteConnectOptions::new()
        .filename(domain.directory().join("homeserver.db"))
        .pragma("key", format!("\"x'{}'\"", key.trim()));
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let insert =
        "INSERT INTO admins (id, name, role, created_at, created_by, password, totp_secret, totp_last_step)
                  VALUES (?, ?, 'owner', 0, 'test', 'x', zeroblob(20), 0)";
    sqlx::query(insert).bind(vec![number; 16]).bind(name).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// The links that a server has said so far.
fn links(domain: &HomeDomain) -> Vec<String> {
    let said = domain.said();
    let lines = said.lines().filter_map(|line| line.split_once("become the first one: "));
    lines.map(|(_, link)| link.trim().to_owned()).collect()
}

fn file(domain: &HomeDomain) -> std::path::PathBuf {
    domain.directory().join("run/setup-link")
}

#[test]
fn a_first_start_shows_one_link_and_keeps_it_in_a_private_file() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let info: Value = alpha.admin(&["info"]).await?;
        let url = info["admin_url"].as_str().context("no admin_url")?.to_owned();
        let shown = links(&alpha);
        ensure!(shown.len() == 1, "{shown:?}");
        ensure!(shown.iter().all(|link| link.starts_with(&format!("{url}/setup/"))), "{shown:?} at {url}");
        ensure!(shown.concat().len() == url.len() + "/setup/".len() + 43, "{shown:?}");
        let kept = fs::read_to_string(file(&alpha))?;
        ensure!(kept.trim() == shown.concat(), "{kept} is not {shown:?}");
        let mode = fs::metadata(file(&alpha))?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{mode:o}");
        // The log has it, once.
        let logged = alpha.said().lines().filter(|line| line.contains("there is no admin yet")).count();
        ensure!(logged == 1, "{logged} log lines");

        // A fresh one takes its place, also in the file.
        let fresh = alpha.admin(&["admin", "setup-link"]).await?;
        let fresh = fresh["url"].as_str().context("no url")?.to_owned();
        ensure!(fresh != kept.trim() && fresh.starts_with(&url), "{fresh}");
        eventually("the file with the fresh link", SOON, async || {
            let kept = fs::read_to_string(file(&alpha)).unwrap_or_default();
            Ok((kept.trim() == fresh).then_some(()))
        })
        .await?;
        alpha.stop().await?;
        ensure!(!file(&alpha).exists(), "the link outlives the process");
        Ok(())
    })
}

#[test]
fn admins_come_and_go_on_the_command_line_and_an_owner_stays() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let added = alpha.admin(&["admin", "add", "Bob", "operator"]).await?;
        ensure!(added["name"] == "bob" && added["role"] == "operator", "{added}");
        ensure!(added["url"].as_str().is_some_and(|url| url.contains("/setup/")), "{added}");
        ensure!(added["expires"].is_string(), "{added}");
        alpha.server(&["admin", "add", "bob", "auditor"])?.refuse(1, &["there is an admin `bob`"]).await?;
        alpha.server(&["admin", "add", "<b>", "auditor"])?.refuse(2, &["letters a-z"]).await?;
        alpha.server(&["admin", "add", "cat", "king"])?.refuse(2, &["king", "auditor"]).await?;
        alpha.server(&["admin", "add", "cat"])?.refuse(2, &["role"]).await?;
        let recovered = alpha.admin(&["admin", "recover", "bob"]).await?;
        ensure!(recovered["url"] != added["url"], "{recovered}");
        alpha.server(&["admin", "recover", "eve"])?.refuse(1, &["no admin `eve`"]).await?;
        alpha.admin(&["admin", "role", "bob", "auditor"]).await?;
        let sessions = alpha.admin(&["admin", "session-list"]).await?;
        ensure!(sessions["sessions"] == Value::Array(Vec::new()), "{sessions}");

        alpha.stop().await?;
        enrol(&alpha, "ann", 1).await?;
        alpha.start().await?;
        // Somebody can sign in, so nobody becomes the first any more.
        ensure!(!file(&alpha).exists(), "a link for nobody");
        alpha.server(&["admin", "setup-link"])?.refuse(1, &["already", "admin add"]).await?;
        alpha.server(&["admin", "remove", "ann"])?.refuse(1, &["last owner"]).await?;
        alpha.server(&["admin", "role", "ann", "auditor"])?.refuse(1, &["last owner"]).await?;
        alpha.admin(&["admin", "remove", "bob"]).await?;
        let listed = alpha.admin(&["admin", "list"]).await?;
        let names: Vec<&Value> =
            listed["admins"].as_array().context("no admins")?.iter().map(|line| &line["name"]).collect();
        ensure!(names == ["ann"], "{listed}");

        alpha.stop().await?;
        enrol(&alpha, "dan", 2).await?;
        alpha.start().await?;
        alpha.admin(&["admin", "remove", "ann"]).await?;
        alpha.server(&["admin", "remove", "dan"])?.refuse(1, &["last owner"]).await?;
        let rows = alpha.admin(&["audit", "list", "--action", "admin."]).await?;
        let actions: Vec<&str> = rows["entries"]
            .as_array()
            .context("no entries")?
            .iter()
            .filter_map(|entry| entry["action"].as_str())
            .collect();
        let expected = ["admin.remove", "admin.remove", "admin.role", "admin.recover", "admin.add"];
        ensure!(actions == expected, "{actions:?}");
        alpha.server(&["audit", "verify"])?.succeed().await?;
        Ok(())
    })
}
