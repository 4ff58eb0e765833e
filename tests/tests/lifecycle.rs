//! Starting, being asked, reloading and stopping, as supervisors and admins see it.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{fs, net::TcpListener, time::Duration};

use anyhow::{Context as _, ensure};
use qpq_core::{Clock as _, Secret, SystemClock};
use qpq_tests::{
    HomeDomain, Resident, eventually, story, stranger,
    wire::{FederationLink, Wire},
};
use qpq_transport::CertificateAuthority;
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const SOON: Duration = Duration::from_secs(20);

async fn admin_url(domain: &HomeDomain) -> anyhow::Result<String> {
    let info = domain.admin(&["info"]).await?;
    Ok(info["admin_url"].as_str().context("no admin_url")?.to_owned())
}

#[test]
fn a_supervisor_learns_whether_it_is_ready() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        alpha.server(&["healthcheck"])?.succeed().await?;
        alpha.stop().await?;
        alpha.server(&["healthcheck"])?.refuse(1, &["no homeserver is running"]).await?;
        Ok(())
    })
}

#[test]
fn who_connects_and_says_nothing_is_hung_up_on() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let address = fs::read_to_string(alpha.directory().join("run/admin-address"))?;
        // Nothing, half a request, half of what another version of HTTP begins with.
        for begun in ["", "GET /livez HT", "PRI * HTTP/2"] {
            let mut silent = TcpStream::connect(address.trim()).await?;
            silent.write_all(begun.as_bytes()).await?;
            let mut said = Vec::new();
            timeout(SOON, silent.read_to_end(&mut said))
                .await
                .with_context(|| format!("still open after `{begun}`"))??;
        }
        alpha.server(&["healthcheck"])?.succeed().await?;
        Ok(())
    })
}

#[test]
fn a_setting_that_is_refused_leaves_the_file_as_it_was() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let file = alpha.directory().join("quicproquo.toml");
        let before = fs::read(&file)?;
        for (key, value, exit, words) in [
            ("log.filter", "info\nproduction = true", 2, "log.filter"),
            ("log.filter", "=,=", 2, "log.filter"),
            ("federation.policy", "everybody", 2, "allow-listed"),
            ("client.listen", "127.0.0.1:1", 1, "restart"),
            ("log.filtre", "info", 1, "log.filtre"),
        ] {
            alpha.server(&["config", "set", key, value])?.refuse(exit, &[words]).await?;
            ensure!(fs::read(&file)? == before, "`{key}` = `{value}` changed the file");
        }
        alpha.restart().await
    })
}

#[test]
fn the_default_port_moves_and_a_configured_one_does_not() -> anyhow::Result<()> {
    story(async |world| {
        // Other tests' homeservers have the port for a moment each; from here on it is ours.
        let _taken =
            eventually("the default port", SOON, async || Ok(TcpListener::bind("127.0.0.1:7445").ok()))
                .await?;
        let alpha = world.domain("alpha").await?;
        let url = admin_url(&alpha).await?;
        ensure!(url.starts_with("http://localhost:") && !url.ends_with(":7445"), "{url}");
        alpha.server(&["healthcheck"])?.succeed().await?;

        let held = TcpListener::bind("127.0.0.1:0")?;
        let beta = world.dormant("beta", &[("QPQ_ADMIN_LISTEN", &held.local_addr()?.to_string())]).await?;
        beta.server(&["serve"])?.refuse(2, &["admin.listen"]).await?;
        Ok(())
    })
}

#[test]
fn production_lists_all_that_is_wrong_without_starting() -> anyhow::Result<()> {
    story(async |world| {
        let settings = [("QPQ_PRODUCTION", "true"), ("QPQ_ADMIN_LISTEN", "0.0.0.0:7445")];
        let alpha = world.dormant("alpha", &settings).await?;
        let words = ["database-key-inside", "console-without-tls"];
        alpha.server(&["config", "check"])?.refuse(2, &words).await?;
        alpha.server(&["serve"])?.refuse(2, &words).await?;
        ensure!(!alpha.directory().join("run/admin-address").exists());
        Ok(())
    })
}

#[test]
fn the_federation_policy_changes_in_the_running_process() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let name = beta.name().to_string();
        alpha.admin(&["peer", "policy", "closed"]).await?;
        let file = fs::read_to_string(alpha.directory().join("quicproquo.toml"))?;
        ensure!(file.contains("policy = \"closed\"") && file.contains("# The configuration"), "{file}");
        let allowed = alpha.admin(&["peer", "would-allow", &name]).await?;
        ensure!(allowed["allowed"] == false, "{allowed}");

        // By hand and SIGHUP, back again; a broken file in between changes nothing.
        let path = alpha.directory().join("quicproquo.toml");
        fs::write(&path, "domain = ")?;
        alpha.signal(Signal::HUP)?;
        eventually("the complaint", SOON, async || {
            Ok(alpha.said().contains("the configuration stays as it was").then_some(()))
        })
        .await?;
        fs::write(&path, file.replace("closed", "allow-listed"))?;
        alpha.signal(Signal::HUP)?;
        eventually("the policy of before", SOON, async || {
            let allowed = alpha.admin(&["peer", "would-allow", &name]).await?;
            Ok((allowed["allowed"] == true).then_some(()))
        })
        .await
    })
}

#[test]
fn a_certificate_that_was_replaced_is_shown_after_sighup_and_no_connection_is_cut() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let dial = async || Wire::dial(&alpha.client_address(), alpha.name(), alpha.pin()).await;
        let shown = |wire: &Wire| wire.connection().peer_chain().first().cloned();
        let alice = Resident::register(world, "alice", &alpha).await?;
        alice.wake();
        let session = alice.client().session()?;
        let before = shown(&dial().await?);
        let keys = alpha.directory().join("keys");
        let read = |name: &str| fs::read_to_string(keys.join(name));
        let authority = CertificateAuthority::from_pem(&read("ca.crt")?, &Secret::new(read("ca.key")?))?;
        let issued = authority.issue(alpha.name(), SystemClock.now(), 100)?;

        // Another authority's is refused in words, and the old one stays.
        let foreign = CertificateAuthority::generate(alpha.name(), SystemClock.now())?;
        let foreign = foreign.issue(alpha.name(), SystemClock.now(), 100)?.to_pem();
        fs::write(keys.join("tls.key"), foreign.key.expose())?;
        fs::write(keys.join("tls.crt"), &foreign.certificates)?;
        alpha.signal(Signal::HUP)?;
        eventually("the complaint", SOON, async || {
            let complains = alpha.said().contains("another authority has signed it than `keys/ca.crt`");
            Ok(complains.then_some(()))
        })
        .await?;
        ensure!(shown(&dial().await?) == before, "the old certificate stays");

        let pem = issued.to_pem();
        fs::write(keys.join("tls.key"), pem.key.expose())?;
        fs::write(keys.join("tls.crt"), &pem.certificates)?;
        alpha.signal(Signal::HUP)?;
        eventually("the new certificate", SOON, async || {
            Ok((shown(&dial().await?).as_ref() == issued.chain().first()).then_some(()))
        })
        .await?;
        let leaf = stranger::unpinned_leaf(&"beta.test".parse()?)?;
        let peer = FederationLink::dial(&alpha.federation_address(), alpha.name(), &leaf).await?;
        ensure!(peer.connection().peer_chain().first() == issued.chain().first(), "peers see it too");
        ensure!(!session.link().is_closed(), "who was connected stays so");
        Ok(())
    })
}
