//! The audit log as an auditor uses it: exported, and verified after somebody tampered with the database.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::fs;

use anyhow::{Context as _, ensure};
use qpq_tests::{HomeDomain, story};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

/// Runs one statement on the database of a domain that is stopped.
async fn tamper(domain: &HomeDomain, statement: &'static str) -> anyhow::Result<()> {
    let key = fs::read_to_string(domain.directory().join("keys/database"))?;
    let options = SqliteConnectOptions::new()
        .filename(domain.directory().join("homeserver.db"))
        .pragma("key", format!("\"x'{}'\"", key.trim()));
    let mut connection = SqliteConnection::connect_with(&options).await?;
    sqlx::query(statement).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

async fn acts(domain: &HomeDomain) -> anyhow::Result<()> {
    for note in ["one", "two, with \"quotes\"", "=three()"] {
        domain.admin(&["token", "create", "--note", note]).await?;
    }
    domain.admin(&["user", "ban", "eve@beta.test", "--reason", "=1+1, \"spam\""]).await?;
    Ok(())
}

#[test]
fn a_row_that_was_edited_by_hand_is_named() -> anyhow::Result<()> {
    story(async |world| {
        for (statement, named) in [
            ("UPDATE audit SET actor = 'uid:1' WHERE seq = 2", "entry 2"),
            ("DELETE FROM audit WHERE seq = 3", "entry 3 is missing"),
        ] {
            let name = format!("d{}", statement.len());
            let domain = world.domain(&name).await?;
            acts(&domain).await?;
            domain.server(&["audit", "verify"])?.succeed().await?;
            domain.stop().await?;
            tamper(&domain, statement).await?;
            domain.start().await?;
            let verdict = domain.server(&["audit", "verify", "--json"])?.run().await?;
            ensure!(verdict.code == Some(3), "{verdict}");
            let verdict: Value = verdict.json()?;
            let what = verdict["broken"]["what"].as_str().context("nothing is named")?;
            ensure!(what.starts_with(named), "{what}");
        }
        Ok(())
    })
}

#[test]
fn an_export_holds_what_the_filtered_list_shows() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        acts(&alpha).await?;
        let listed = alpha.admin(&["audit", "list", "--action", "token."]).await?;
        let mut listed: Vec<Value> = listed["entries"].as_array().context("no entries")?.clone();
        listed.reverse();
        for entry in &mut listed {
            entry.as_object_mut().context("no object")?.remove("text");
        }
        let export = ["audit", "export", "--format", "jsonl", "--action", "token."];
        let exported: Vec<Value> = alpha.server(&export)?.succeed().await?.json_lines()?;
        ensure!(exported == listed && exported.len() == 3, "{exported:?}");
        let csv = alpha.server(&["audit", "export", "--format", "csv"])?.succeed().await?.stdout;
        ensure!(csv.lines().count() == 5, "{csv}");
        ensure!(csv.contains("\"'=1+1, \"\"spam\"\"\""), "{csv}");
        Ok(())
    })
}
