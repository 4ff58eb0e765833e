//! `qpq-server log audit`: strangers read a whole log over HTTP, of a running homeserver and of sites that lie.

use std::{
    io::{Read as _, Write as _},
    sync::Arc,
};

use anyhow::{Context as _, ensure};
use ed25519_dalek::SigningKey;
use qpq_core::{Digest, Timestamp};
use qpq_tests::{
    Finished, Program,
    site::{Page, Pages, Site},
    story,
};
use qpq_transparency_tree::{
    LogSigner, SignedCheckpoint, TreeHead,
    entry::{Entry, Kind},
    growth::RightEdge,
    label::LabelId,
    tile::{BundleId, bundle, tile_to_bytes},
};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer};
use serde_json::Value;

async fn audit(url: &str, key: Option<&str>) -> anyhow::Result<Finished> {
    let key = key.map(|key| ["--key", key]);
    Program::new("qpq-server")?
        .args(["log", "audit", url, "--json"])
        .args(key.into_iter().flatten())
        .run()
        .await
}

/// The log is read, and this is said of it.
async fn found(url: &str, key: Option<&str>, code: i32) -> anyhow::Result<Value> {
    let finished = audit(url, key).await?;
    ensure!(finished.code == Some(code), "exit code {code} was expected: {finished}");
    finished.json()
}

/// A log that no server keeps: a CONFIG, then users, each logged twice in a row.
struct Log {
    entries: Vec<Entry>,
    signer: LogSigner,
}

impl Log {
    fn of(size: u16) -> anyhow::Result<Self> {
        let time = Timestamp::from_millis;
        let commitment = Digest::of(&[b"nobody looks into it"]);
        let mut entries = vec![Entry {
            kind: Kind::Config,
            label_id: LabelId::CONFIG,
            version: 0,
            time: time(1),
            prev: Digest::ZERO,
            commitment,
        }];
        for place in 1..size {
            let again = place % 2 == 0;
            entries.push(Entry {
                kind: Kind::Bind,
                label_id: LabelId::from_bytes(*Digest::of(&[&place.div_ceil(2).to_be_bytes()]).as_bytes()),
                version: u32::from(again),
                time: time(u64::from(place)),
                prev: entries.last().filter(|_| again).map_or(Digest::ZERO, Entry::leaf_hash),
                commitment,
            });
        }
        let signer = LogSigner::new("far.test/kt/v1".parse()?, SigningKey::from_bytes(&[7; 32]));
        Ok(Self { entries, signer })
    }

    fn key(&self) -> String {
        self.signer.verifier().to_string()
    }

    /// What it publishes, as the tree of its first `size` entries.
    fn pages(&self, size: usize) -> anyhow::Result<Pages> {
        let entries = self.entries.get(..size).context("so many are not there")?;
        let mut edge = RightEdge::empty();
        let leaves: Vec<Digest> = entries.iter().map(Entry::leaf_hash).collect();
        let mut pages = Pages::new();
        let mut show = |path: String, bytes| pages.insert(format!("/kt/v1/{path}"), Page::Bytes(bytes));
        for (tile, hashes) in edge.append(&leaves)? {
            show(tile.to_string(), tile_to_bytes(&hashes));
        }
        for (index, some) in (0..).zip(entries.chunks(256)) {
            let bytes: Vec<[u8; 110]> = some.iter().map(Entry::to_bytes).collect();
            let bytes: Vec<&[u8]> = bytes.iter().map(<[u8; 110]>::as_slice).collect();
            let id = BundleId::of(index, u64::try_from(size)?).context("no such bundle")?;
            show(id.to_string(), bundle(&bytes).context("no bundle")?);
        }
        let head = TreeHead { size: edge.size(), root: edge.root() };
        show("checkpoint".to_owned(), SignedCheckpoint::sign(&self.signer, head).note().to_string().into());
        Ok(pages)
    }
}

#[test]
fn a_running_servers_log_is_whole_and_a_stopped_ones_cant_be_read() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        alpha.stop().await?;
        let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        alpha.set("QPQ_PUBLIC_LISTEN", &free.to_string());
        alpha.start().await?;
        world.person("alice", &alpha).await?;
        let status = alpha.admin(&["log", "status"]).await?;
        let (url, key) = (format!("http://{free}/kt/v1"), status["key"].as_str().context("no key")?);
        let said = found(&url, Some(key), 0).await?;
        ensure!(
            said["ok"] == true
                && said["origin"] == "alpha.test/kt/v1"
                && said["root"] == status["root"]
                && said["entries"] == 2
                && said["labels"] == 2
                && said["signature"] == "checked"
                && said["cosignatures"] == serde_json::json!([]),
            "{said}"
        );
        let said = found(&url, None, 0).await?;
        let by = said["signed_by"].as_str().context("nobody signed")?;
        ensure!(key.starts_with(&format!("{by}+")), "{said}");
        ensure!(said["signature"].as_str().is_some_and(|said| said.contains("first seen")), "{said}");

        alpha.stop().await?;
        let program = Program::new("qpq-server")?.args(["log", "audit", &url]);
        program.refuse(1, &["can't be read", "try again", "refused"]).await?;
        Ok(())
    })
}

#[test]
fn one_changed_byte_is_found_wherever_it_is() -> anyhow::Result<()> {
    story(async |_| {
        let log = Log::of(600)?;
        let pages = log.pages(600)?;
        let site = Site::open(pages.clone()).await?;
        let (url, key) = (format!("{}/kt/v1/", site.url()), log.key());
        let said = found(&url, Some(&key), 0).await?;
        ensure!(said["entries"] == 600 && said["labels"] == 301, "{said}");
        ensure!(pages.len() == 8, "{:?}", pages.keys());
        for (path, page) in &pages {
            let Page::Bytes(bytes) = page else { continue };
            for at in [0, bytes.len() / 2, bytes.len() - 2] {
                let mut bent = bytes.clone();
                bent[at] ^= 1;
                let bent = Page::Bytes(bent);
                site.show(pages.clone().into_iter().chain([(path.clone(), bent)]).collect());
                let finished = audit(&url, Some(&key)).await?;
                // What is no checkpoint any more may be anything; what is one, is a wrong one.
                let wrong = match finished.code {
                    Some(3) => {
                        let said: Value = finished.json()?;
                        said["ok"] == false && said["broken"].is_string() && said["remedy"].is_string()
                    }
                    Some(1) => path == "/kt/v1/checkpoint" && finished.stderr.contains("no log's checkpoint"),
                    _ => false,
                };
                ensure!(wrong, "byte {at} of {path}: {finished}");
            }
            site.show(pages.clone().into_iter().filter(|(shown, _)| shown != path).collect());
            let missing = audit(&url, Some(&key)).await?;
            let expected = if path == "/kt/v1/checkpoint" { 1 } else { 3 };
            ensure!(missing.code == Some(expected), "without {path}: {missing}");
        }
        Ok(())
    })
}

#[test]
fn another_key_another_log_and_an_unsigned_one_are_told_apart() -> anyhow::Result<()> {
    story(async |_| {
        let log = Log::of(3)?;
        let site = Site::open(log.pages(3)?).await?;
        let url = format!("{}/kt/v1", site.url());
        for (name, seed, words) in
            [("far.test/kt/v1", 8, "no known key signed"), ("near.test/kt/v1", 7, "is of `near.test/kt/v1`")]
        {
            let other = LogSigner::new(name.parse()?, SigningKey::from_bytes(&[seed; 32]));
            let said = found(&url, Some(&other.verifier().to_string()), 3).await?;
            ensure!(said["broken"].as_str().is_some_and(|said| said.contains(words)), "{said}");
        }
        let mut pages = log.pages(3)?;
        let Some(Page::Bytes(note)) = pages.get_mut("/kt/v1/checkpoint") else {
            anyhow::bail!("no checkpoint")
        };
        *note = String::from_utf8(note.clone())?.replace("\u{2014} far", "\u{2014} near").into();
        site.show(pages);
        let said = found(&url, None, 3).await?;
        ensure!(said["broken"].as_str().is_some_and(|said| said.contains("nobody signed")), "{said}");
        Ok(())
    })
}

#[test]
fn a_log_that_grew_meanwhile_is_read_from_its_full_tiles() -> anyhow::Result<()> {
    story(async |_| {
        let log = Log::of(768)?;
        let (then, now) = (log.pages(600)?, log.pages(768)?);
        let mut pages = then;
        for partial in ["/kt/v1/tile/0/002.p/88", "/kt/v1/tile/entries/002.p/88"] {
            ensure!(pages.remove(partial).is_some());
            let full = partial.trim_end_matches(".p/88").to_owned();
            let page = now.get(&full).context("no full tile")?.clone();
            pages.insert(full, page);
        }
        let site = Site::open(pages).await?;
        let said = found(&format!("{}/kt/v1", site.url()), Some(&log.key()), 0).await?;
        ensure!(said["entries"] == 600, "{said}");
        Ok(())
    })
}

#[test]
fn what_is_no_log_is_refused_in_words() -> anyhow::Result<()> {
    story(async |_| {
        let log = Log::of(2)?;
        let site = Site::open(Pages::new()).await?;
        let url = format!("{}/kt/v1", site.url());
        let refuse = async |pages: &[(&str, Page)], words: &[&str]| {
            site.show(pages.iter().map(|(path, page)| (format!("/kt/v1/{path}"), page.clone())).collect());
            Program::new("qpq-server")?.args(["log", "audit", &url]).refuse(1, words).await
        };
        refuse(&[], &["there is no log at", "/kt/v1`", "give the URL"]).await?;
        let page = Page::Bytes(b"<html>hello</html>\n".to_vec());
        refuse(&[("checkpoint", page)], &["no log's checkpoint", "give the URL"]).await?;
        refuse(&[("checkpoint", Page::Endless)], &["more than 16000 bytes"]).await?;
        refuse(&[("checkpoint", Page::Status(503))], &["status 503", "try again later"]).await?;
        refuse(&[("checkpoint", Page::Moved(format!("{url}/checkpoint")))], &["redirects"]).await?;

        let mut pages = log.pages(2)?;
        pages.insert("/kt/v1/tile/entries/000.p/2".to_owned(), Page::Endless);
        site.show(pages);
        let said = found(&url, None, 3).await?;
        ensure!(
            said["broken"].as_str().is_some_and(|said| said.contains("more than the 224 bytes")),
            "{said}"
        );

        let moved = Site::open(log.pages(2)?).await?;
        let pages = log.pages(2)?.into_keys();
        let moved = pages.map(|path| (path.clone(), Page::Moved(moved.url() + &path))).collect();
        site.show(moved);
        found(&url, Some(&log.key()), 0).await?;
        Ok(())
    })
}

/// Answers whoever trusts its certificate that there is nothing; gives its port.
fn empty_site_with(identity: &rcgen::CertifiedKey<rcgen::KeyPair>) -> anyhow::Result<u16> {
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], key.into())?;
    let (config, listener) = (Arc::new(config), std::net::TcpListener::bind("127.0.0.1:0")?);
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config))?;
            let mut stream = StreamOwned::new(connection, stream?);
            // Who doesn't trust the certificate never asks.
            if stream.read(&mut [0; 4_096]).is_ok() {
                stream.write_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            }
        }
        anyhow::Ok(())
    });
    Ok(port)
}

#[test]
fn tls_is_checked_by_the_authorities_of_the_machine() -> anyhow::Result<()> {
    story(async |world| {
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let file = world.path().join("trusted.pem");
        std::fs::write(&file, identity.cert.pem())?;
        let url = format!("https://localhost:{}/kt/v1", empty_site_with(&identity)?);
        let none = world.path().join("none");
        std::fs::create_dir(&none)?;
        let audit = || {
            let program = Program::new("qpq-server")?.args(["log", "audit", &url]);
            anyhow::Ok(program.env("SSL_CERT_FILE", &file).env("SSL_CERT_DIR", &none))
        };
        audit()?.refuse(1, &["there is no log at"]).await?;
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        std::fs::write(&file, other.cert.pem())?;
        audit()?.refuse(1, &["can't be read", "certificate"]).await?;
        std::fs::write(&file, "")?;
        audit()?.refuse(1, &["ca-certificates"]).await?;
        Ok(())
    })
}
