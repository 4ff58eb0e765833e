//! Faults that are planted on real servers, and what `doctor`, `/readyz` and the exit code say of them; the jobs that
//! look by themselves; settings that change without a restart.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    net::{TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use qpq_core::{Millis, Secret, Timestamp};
use qpq_tests::{HomeDomain, eventually, story};
use qpq_transport::{CertificateAuthority, IdentityPem};
use rustix::process::Signal;
use serde_json::Value;

const SOON: Duration = Duration::from_mins(1);

/// What `doctor --json` says, and its exit code.
async fn doctor(domain: &HomeDomain) -> anyhow::Result<(i32, Value)> {
    let finished = domain.server(&["doctor", "--json"])?.run().await?;
    let code = finished.code.with_context(|| format!("a signal ended {finished}"))?;
    Ok((code, finished.json()?))
}

/// The findings' ids, causes first; how large the kernel's UDP buffers are is the machine's matter, not the story's.
fn found(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().into_iter().flatten();
    let ids = findings.filter_map(|finding| finding["id"].as_str()).map(str::to_owned);
    ids.filter(|id| id != "network.small-buffers" && !id.starts_with("disk.")).collect()
}

/// The planted fault is first, is marked as the cause, and makes the exit code 3.
async fn is_first(domain: &HomeDomain, id: &str) -> anyhow::Result<Value> {
    let (code, report) = doctor(domain).await?;
    let first = report["findings"][0].clone();
    ensure!(first["id"] == id && first["is_cause"] == true, "{id} was expected first: {report:#}");
    ensure!(code == 3 && report["ok"] == false, "exit code {code} with {report:#}");
    Ok(first)
}

async fn is_sound(domain: &HomeDomain) -> anyhow::Result<()> {
    let (_, report) = doctor(domain).await?;
    ensure!(found(&report).is_empty(), "nothing was expected: {report:#}");
    Ok(())
}

/// Status and body of `/readyz?verbose`.
async fn readyz(domain: &HomeDomain) -> anyhow::Result<(u16, Value)> {
    let info = domain.admin(&["info"]).await?;
    let url = info["admin_url"].as_str().context("no admin_url")?.replace("http://localhost", "127.0.0.1");
    let mut stream = TcpStream::connect(url)?;
    stream.write_all(b"GET /readyz?verbose HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("half an answer")?;
    Ok((head.split(' ').nth(1).context("no status")?.parse()?, serde_json::from_str(body)?))
}

fn allow(path: &Path, mode: u32) -> anyhow::Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

#[test]
fn faults_of_files_are_found_on_a_running_server() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        is_sound(&alpha).await?;
        let (key, away) = (alpha.directory().join("keys/federation"), world.path().join("away"));

        allow(&key, 0o644)?;
        let first = is_first(&alpha, "keys.loose").await?;
        ensure!(first["remedy"].as_str().is_some_and(|remedy| remedy.contains("chmod 0600")), "{first}");
        allow(&key, 0o600)?;

        fs::rename(&key, &away)?;
        is_first(&alpha, "keys.missing").await?;
        fs::rename(&away, &key)?;

        let config = alpha.directory().join("quicproquo.toml");
        let before = fs::read_to_string(&config)?;
        fs::write(&config, format!("{before}\n[log]\nfilter = \"info,qpq=debug\"\n"))?;
        let first = is_first(&alpha, "configuration.not-reloaded").await?;
        ensure!(first["cause"].as_str().is_some_and(|cause| cause.contains("log.filter")), "{first}");
        alpha.signal(Signal::HUP)?;
        eventually("the reload", SOON, async || Ok(is_sound(&alpha).await.ok())).await?;

        fs::write(&config, format!("{before}\n[limits]\nconnections = 7\n"))?;
        alpha.signal(Signal::HUP)?;
        eventually("the reload", SOON, async || {
            Ok(is_first(&alpha, "configuration.takes-restart").await.ok())
        })
        .await?;
        fs::write(&config, "domain = ")?;
        is_first(&alpha, "configuration.unusable").await?;
        fs::write(&config, &before)?;
        is_sound(&alpha).await
    })
}

/// A certificate of the domain's own authority that is valid from then on for some days.
fn certify(domain: &HomeDomain, from: Timestamp, days: u64) -> anyhow::Result<()> {
    let path = |name: &str| domain.directory().join("keys").join(name);
    let key = Secret::new(fs::read_to_string(path("ca.key"))?);
    let authority = CertificateAuthority::from_pem(&fs::read_to_string(path("ca.crt"))?, &key)?;
    let IdentityPem { certificates, key } = authority.issue(domain.name(), from, days)?.to_pem();
    fs::write(path("tls.key"), key.expose())?;
    Ok(fs::write(path("tls.crt"), certificates)?)
}

#[test]
fn an_expired_certificate_makes_it_unready_and_one_that_ends_soon_does_not() -> anyhow::Result<()> {
    use qpq_core::Clock as _;
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let now = qpq_core::SystemClock.now();
        certify(&alpha, now, 10)?;
        is_first(&alpha, "certificates.ending").await?;
        ensure!(readyz(&alpha).await?.0 == 200);

        certify(&alpha, now.before(Millis::from_days(30)), 20)?;
        is_first(&alpha, "certificates.expired").await?;
        let (status, body) = readyz(&alpha).await?;
        ensure!(status == 503 && body["state"] == "failing", "{status} {body}");
        ensure!(body["checks"]["findings"][0]["id"] == "certificates.expired", "{body}");
        alpha.server(&["healthcheck"])?.refuse(1, &["failing"]).await?;

        certify(&alpha, now, 300)?;
        is_sound(&alpha).await?;
        ensure!(readyz(&alpha).await?.0 == 200);
        Ok(())
    })
}

#[test]
fn a_peer_that_is_gone_is_found_when_something_waits_for_it() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let _bob = world.person("bob", &beta).await?;
        alice.say("bob@beta.test", "before").await?;
        is_sound(&alpha).await?;
        beta.kill().await?;
        alice.say("bob@beta.test", "meanwhile").await?;
        let first = eventually("the outage is seen", SOON, async || {
            Ok(is_first(&alpha, "peers.unreachable").await.ok())
        })
        .await?;
        ensure!(first["subject"] == "beta.test" && first["runbook"] == "runbooks/peer-down.md", "{first}");
        beta.start().await?;
        eventually("beta is back", SOON, async || Ok(is_sound(&alpha).await.ok())).await
    })
}

#[test]
fn without_a_server_it_looks_at_what_needs_none() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        alpha.stop().await?;
        let (code, report) = doctor(&alpha).await?;
        ensure!(found(&report) == ["server.stopped"], "{report:#}");
        ensure!(code == 0 || report["ok"] == false, "exit code {code} with {report:#}");
        let text = alpha.server(&["doctor"])?.run().await?;
        ensure!(text.stdout.contains("the server is not running"), "{text}");

        let held = UdpSocket::bind(alpha.client_address())?;
        is_first(&alpha, "network.port-taken").await?;
        drop(held);

        // One byte of a page in the middle, as a failing disk would change it.
        let database = alpha.directory().join("homeserver.db");
        let mut file = fs::OpenOptions::new().read(true).write(true).open(&database)?;
        let middle = file.metadata()?.len() / 2;
        let mut byte = [0];
        file.seek(SeekFrom::Start(middle))?;
        file.read_exact(&mut byte)?;
        file.seek(SeekFrom::Start(middle))?;
        file.write_all(&[byte[0] ^ 1])?;
        drop(file);
        let first = is_first(&alpha, "database.damaged").await?;
        ensure!(first["cause"].as_str().is_some_and(|cause| cause.contains("page")), "{first}");

        let key = alpha.directory().join("keys/database");
        let away = world.path().join("away");
        fs::rename(&key, &away)?;
        is_first(&alpha, "keys.missing").await?;
        Ok(())
    })
}

#[test]
fn jobs_run_and_say_so_and_the_overview_has_its_figures() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let listed = eventually("every job has run", SOON, async || {
            let listed = alpha.admin(&["job", "list"]).await?;
            let jobs = listed["jobs"].as_array().context("no jobs")?.clone();
            let ran = |job: &Value| job["last_ok"] == true && job["next_run"].is_string();
            Ok(jobs.iter().all(ran).then_some(jobs))
        })
        .await?;
        ensure!(listed.len() == 9, "{listed:?}");
        let ran = alpha.admin(&["job", "run", "check-database"]).await?;
        ensure!(ran["last_result"] == "the database is whole", "{ran}");
        alpha.server(&["job", "run", "dance"])?.refuse(1, &["job list"]).await?;

        let status = alpha.admin(&["status"]).await?;
        ensure!(status["users"] == 0 && status["queue"]["rows"] == 0, "{status}");
        ensure!(status["certificate"]["days"].as_i64() > Some(300), "{status}");
        ensure!(status["series"].as_array().map(Vec::len) == Some(4), "{status}");
        let first = |status: &Value| status["series"][0]["points"].as_array().map(Vec::len);
        ensure!(first(&status) >= Some(1), "{status}");
        // What was sampled, and what jobs said, survives a restart.
        alpha.crash().await?;
        ensure!(first(&alpha.admin(&["status"]).await?) >= Some(1));
        let again = alpha.admin(&["job", "list"]).await?;
        let database = again["jobs"].as_array().into_iter().flatten();
        let database = database.filter(|job| job["id"] == "check-database").collect::<Vec<_>>();
        ensure!(database[0]["last_started"] == ran["last_started"], "{again}");
        Ok(())
    })
}

#[test]
fn settings_change_at_once_and_what_takes_a_restart_is_told() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let set = alpha.admin(&["config", "set", "drain.deadline", "5s"]).await?;
        ensure!(set["value"] == "5s" && set["origin"] == "file" && set["pending"].is_null(), "{set}");
        is_sound(&alpha).await?;
        alpha.server(&["config", "set", "drain.deadline", "soon"])?.refuse(2, &["drain.deadline"]).await?;
        alpha.server(&["config", "set", "client.listen", "127.0.0.1:1"])?.refuse(1, &["restart"]).await?;
        let log = alpha.admin(&["audit", "list", "--action", "config.set"]).await?;
        ensure!(log["entries"].as_array().map(Vec::len) == Some(1), "{log}");
        let file = fs::read_to_string(alpha.directory().join("quicproquo.toml"))?;
        ensure!(file.contains("deadline = \"5s\"") && file.contains("# The configuration"), "{file}");
        Ok(())
    })
}
