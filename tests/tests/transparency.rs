//! The key-transparency log of a running homeserver: over restarts and crashes, and when its keys are not what they were.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context as _, ensure};
use qpq_tests::{HomeDomain, story};
use qpq_transparency_tree::{SignedCheckpoint, VerifierKey, audit::Audit};

/// A file that nobody else may open, as keys are.
fn write_key(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

async fn checkpoint(domain: &HomeDomain) -> anyhow::Result<SignedCheckpoint> {
    let head = domain.admin(&["log", "head"]).await?;
    let signed = SignedCheckpoint::parse(head["note"].as_str().context("no note")?.as_bytes())?;
    let status = domain.admin(&["log", "status"]).await?;
    let key: VerifierKey = status["key"].as_str().context("no key")?.parse()?;
    signed.signed_by(&key)?;
    Ok(signed)
}

async fn is_whole(domain: &HomeDomain, entries: u64) -> anyhow::Result<()> {
    let found = domain.admin(&["log", "verify"]).await?;
    ensure!(found["ok"] == true && found["entries"] == entries, "{found}");
    let ran = domain.admin(&["job", "run", "check-log"]).await?;
    ensure!(ran.to_string().contains("the log is what it signed"), "{ran}");
    ensure!(domain.asked("/metrics").await?.contains(&format!("quicproquo_log_entries {entries}\n")));
    Ok(())
}

#[test]
fn a_log_says_what_the_domains_keys_are_and_goes_on_where_it_was() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let first = checkpoint(&alpha).await?;
        ensure!(first.head().size == 1 && first.checkpoint().origin.as_str() == "alpha.test/kt/v1");
        alpha.restart().await?;
        alpha.crash().await?;
        ensure!(checkpoint(&alpha).await? == first, "nothing is new, so nothing is logged");
        is_whole(&alpha, 1).await?;

        alpha.stop().await?;
        let key = alpha.directory().join("keys/federation");
        write_key(&key, &format!("{}\n", "5e".repeat(32)))?;
        alpha.start().await?;
        ensure!(checkpoint(&alpha).await?.head().size == 2);
        is_whole(&alpha, 2).await?;
        let entry = alpha.admin(&["log", "entry", "1"]).await?;
        ensure!(
            entry["kind"] == "CONFIG"
                && entry["version"] == 1
                && entry["config"]["keys"].as_array().is_some_and(|keys| keys.len() == 4),
            "{entry}"
        );
        Ok(())
    })
}

#[test]
fn without_its_keys_nothing_is_served_and_none_are_made_anew() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let first = checkpoint(&alpha).await?;
        alpha.stop().await?;
        for (name, words) in [("log", "not signed by our key"), ("vrf", "`keys/vrf` was replaced")] {
            let (file, away) = (alpha.directory().join("keys").join(name), world.path().join(name));
            fs::rename(&file, &away)?;
            alpha.server(&["serve"])?.refuse(2, &["put the files back", name]).await?;
            ensure!(!file.exists(), "`keys/{name}` was made anew");
            write_key(&file, &format!("{}\n", "5e".repeat(32)))?;
            alpha.server(&["serve"])?.refuse(2, &["is not what it signed", words]).await?;
            write_key(&file, "garbage\n")?;
            alpha.server(&["serve"])?.refuse(2, &[name, "64 hexadecimal digits"]).await?;
            fs::rename(&away, &file)?;
        }
        alpha.start().await?;
        ensure!(checkpoint(&alpha).await? == first);
        Ok(())
    })
}

#[test]
fn strangers_read_the_log_where_it_is_public() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        alpha.stop().await?;
        let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        alpha.set("QPQ_PUBLIC_LISTEN", &free.to_string());
        alpha.start().await?;
        let read = async |path: &str| {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let mut stream = tokio::net::TcpStream::connect(free).await?;
            let request =
                format!("GET /kt/v1/{path} HTTP/1.1\r\nHost: alpha.test\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            let body = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no body")?;
            anyhow::Ok((answer.starts_with(b"HTTP/1.1 200 "), answer.split_off(body + 4)))
        };
        let (found, note) = read("checkpoint").await?;
        let signed = SignedCheckpoint::parse(&note)?;
        ensure!(found && signed == checkpoint(&alpha).await?);
        let (found, bundle) = read("tile/entries/000.p/1").await?;
        let mut audit = Audit::new();
        audit.take(&qpq_transparency_tree::tile::unbundle(&bundle)?)?;
        audit.finish(signed.head())?;
        ensure!(found);
        for nothing in [
            "tile/entries/000",
            "tile/0/000.p/2",
            "tile/0/0",
            "tile/9/000.p/1",
            "tile/../checkpoint",
            "entry",
        ] {
            ensure!(!read(nothing).await?.0, "{nothing}");
        }
        Ok(())
    })
}
