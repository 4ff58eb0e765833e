//! What lies on the disk tells nothing: no texts, names or keys in any database, at the server or at the client.

use std::fs;

use anyhow::ensure;
use qpq_tests::{Program, bytes, story};

const TEXT: &str = "the eagle has landed at dawn";
const GROUP: &str = "conspirators-of-tuesday";

#[test]
fn no_database_shows_a_text_a_name_or_a_key() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice-wonderland", &alpha).await?;
        let bob = world.person("bob-builder", &beta).await?;
        alice.creates_group(GROUP).await?;
        alice.adds(GROUP, &[&bob]).await?;
        alice.say(GROUP, TEXT).await?;
        bob.hears(&[TEXT]).await?;
        let waiting = "this text waits for its reader";
        alice.say(GROUP, waiting).await?;
        beta.kill().await?;
        alice.say(GROUP, "this text waits for a server").await?;
        alpha.kill().await?;
        alice.send(GROUP, "this text waits to leave").await?;

        let mut secrets: Vec<Vec<u8>> = [
            TEXT,
            waiting,
            "this text waits for a server",
            "this text waits to leave",
            GROUP,
            "alice-wonderland",
            "bob-builder",
            "alpha.test",
            "beta.test",
            "password of alice-wonderland",
        ]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
        // Private keys and the database key, as the files under keys/ hold them.
        for domain in [&alpha, &beta] {
            for file in bytes::files(&domain.directory().join("keys"))? {
                let key = fs::read_to_string(&file)?;
                let line =
                    key.lines().filter(|line| !line.starts_with("-----")).max_by_key(|line| line.len());
                let line = line.unwrap_or_default().trim();
                secrets.push(line.as_bytes().to_vec());
                if let Ok(raw) = data_encoding::HEXLOWER.decode(line.as_bytes()) {
                    secrets.extend(bytes::spellings(&raw));
                }
            }
        }
        secrets.retain(|secret| secret.len() >= 8);

        let mut databases = Vec::new();
        for directory in [alpha.directory(), beta.directory(), alice.home(), bob.home()] {
            let found = bytes::databases(directory)?;
            ensure!(!found.is_empty(), "no database in {}", directory.display());
            databases.extend(found);
        }
        ensure!(
            databases.iter().any(|path| path.to_string_lossy().ends_with("-wal")),
            "a killed server leaves its WAL: {databases:?}"
        );
        for path in databases {
            let content = fs::read(&path)?;
            for secret in &secrets {
                let shown = String::from_utf8_lossy(secret);
                ensure!(!bytes::contains(&content, secret), "{} holds `{shown}`", path.display());
            }
        }
        Ok(())
    })
}

#[test]
fn the_first_bytes_of_every_database_are_random() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = (world.domain("alpha").await?, world.domain("beta").await?);
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        alpha.stop().await?;
        beta.stop().await?;
        let mut heads = Vec::new();
        for directory in [alpha.directory(), beta.directory(), alice.home(), bob.home()] {
            for path in bytes::databases(directory)? {
                if path.extension().is_some_and(|ending| ending == "db") {
                    let content = fs::read(&path)?;
                    let head = content.get(..16).unwrap_or_default().to_vec();
                    ensure!(head.len() == 16, "{} is too short", path.display());
                    ensure!(head != b"SQLite format 3\0", "{} is not encrypted", path.display());
                    ensure!(!heads.contains(&head), "{} begins like another database", path.display());
                    heads.push(head);
                }
            }
        }
        ensure!(heads.len() >= 4, "four databases were expected, {} found", heads.len());
        Ok(())
    })
}

#[test]
fn everything_of_a_domain_and_of_a_home_is_closed_to_others() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = world.person("alice", &alpha).await?;
        for directory in [alpha.directory(), alice.home()] {
            ensure!(
                fs::metadata(directory)?.permissions().mode().trailing_zeros() >= 6,
                "{}",
                directory.display()
            );
            for path in bytes::files(directory)? {
                let mode = fs::metadata(&path)?.permissions().mode();
                ensure!(mode.trailing_zeros() >= 6, "{} has mode {mode:o}", path.display());
            }
        }
        let socket = fs::metadata(alpha.directory().join("run/admin.sock"))?.permissions().mode();
        ensure!(socket & 0o777 == 0o600, "the admin socket has mode {socket:o}");
        Ok(())
    })
}

#[test]
fn a_wrong_passphrase_is_refused_in_one_sentence() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = world.person("alice", &alpha).await?;
        let wrong = world.path().join("wrong");
        fs::write(&wrong, "another\n")?;
        let whoami =
            Program::new("qpq")?.arg("--home").arg(alice.home()).arg("--passphrase-file").arg(&wrong);
        let refused = whoami.arg("whoami").refuse(1, &["passphrase"]).await?;
        ensure!(refused.stderr.trim().lines().count() <= 2, "one sentence: {refused}");
        Ok(())
    })
}
