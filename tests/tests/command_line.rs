//! The command lines: usage as documented, bad input answered in words, exit codes 0, 1 and 2.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::ensure;
use qpq_core::Pin;
use qpq_tests::{HomeDomain, Person, Program, World, story};
use rustix::process::Signal;
use serde_json::Value;

fn init(at: &Path, arguments: &[&str]) -> anyhow::Result<Program> {
    Ok(Program::new("qpq-server")?.arg("init").args(arguments).arg("--data-dir").arg(at))
}

fn has(answer: &Value, fields: &[&str]) -> anyhow::Result<()> {
    for field in fields {
        ensure!(answer.get(field).is_some_and(|value| !value.is_null()), "no `{field}` in {answer}");
    }
    Ok(())
}

/// Changes the mode of a file of the data directory.
fn chmod(domain: &HomeDomain, name: &str, mode: u32) -> anyhow::Result<()> {
    Ok(fs::set_permissions(domain.directory().join(name), fs::Permissions::from_mode(mode))?)
}

async fn without_account(world: &World, domain: &HomeDomain) -> anyhow::Result<(Person, String)> {
    Ok((Person::new(world, "alice", domain)?, domain.token().await?))
}

#[test]
fn info_tells_what_others_need_to_know() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let info = alpha.info().await?;
        ensure!(info.domain == "alpha.test" && !info.version.is_empty());
        ensure!(info.client_address == alpha.client_address());
        ensure!(info.federation_address == alpha.federation_address());
        ensure!(info.client_pin == alpha.pin(), "init and info name the same pin");
        let text = alpha.server(&["info"])?.succeed().await?.stdout;
        ensure!(text.contains("alpha.test"), "for people: {text}");
        Ok(())
    })
}

#[test]
fn info_fails_while_no_server_answers() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.dormant("alpha", &[]).await?;
        alpha.server(&["info"])?.refuse(1, &["no homeserver is running", "qpq-server serve"]).await?;
        alpha.server(&["token", "create"])?.refuse(1, &["no homeserver is running"]).await?;
        alpha.start().await?;
        alpha.kill().await?;
        alpha.server(&["info", "--json"])?.refuse(1, &["no homeserver is running"]).await?;
        Ok(())
    })
}

#[test]
fn both_signals_stop_a_server_cleanly() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        alpha.stop_by(Signal::TERM).await?;
        alpha.start().await?;
        alpha.stop_by(Signal::INT).await
    })
}

#[test]
fn a_stop_does_not_wait_for_clients_that_stay() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = world.person("alice", &alpha).await?;
        let waiting = alice.qpq(&["recv", "--wait", "15", "--max", "1"])?;
        let (_, stopped) = tokio::join!(waiting.within(std::time::Duration::from_secs(80)).run(), async {
            // The waiting client is connected when its session is listed as seen; a stop before that is fine too.
            alpha.admin(&["session", "list"]).await?;
            alpha.stop().await?;
            alpha.start().await?;
            alpha.stop().await
        });
        stopped
    })
}

#[test]
fn init_refuses_what_nobody_could_use_and_leaves_nothing_behind() -> anyhow::Result<()> {
    story(async |world| {
        let at = world.path().join("new");
        init(&at, &["--domain", "not a domain"])?.refuse(2, &["domain"]).await?;
        init(&at, &[])?.refuse(2, &["--domain"]).await?;
        init(&at, &["--domain", "alpha.test", "--client-listen", "0.0.0.0:7443"])?
            .refuse(2, &["0.0.0.0", "--client-address"])
            .await?;
        init(&at, &["--domain", "alpha.test", "--federation-listen", "[::]:7444"])?
            .refuse(2, &["--federation-address"])
            .await?;
        init(&at, &["--domain", "alpha.test", "--client-address", "0.0.0.0:7443"])?
            .refuse(2, &["nobody can dial 0.0.0.0"])
            .await?;
        init(&at, &["--domain", "alpha.test", "--client-listen", "localhost"])?
            .refuse(2, &["IP:PORT"])
            .await?;
        ensure!(!at.exists(), "a refused init leaves nothing");
        init(
            &at,
            &["--domain", "alpha.test", "--client-listen", "0.0.0.0:1", "--client-address", "h.test:1"],
        )?
        .succeed()
        .await?;
        init(&at, &["--domain", "beta.test"])?.refuse(2, &["already holds a domain"]).await?;
        Ok(())
    })
}

#[test]
fn unknown_verbs_and_flags_are_usage_errors() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.dormant("alpha", &[]).await?;
        alpha.server(&["dance"])?.refuse(2, &["dance"]).await?;
        alpha.server(&["token", "create", "--uses", "0"])?.refuse(2, &["--uses"]).await?;
        alpha.server(&["token", "create", "--expires", "soon"])?.refuse(2, &["soon", "7d"]).await?;
        alpha.server(&["peer", "invite"])?.refuse(2, &["DOMAIN"]).await?;
        Program::new("qpq")?.args(["dance"]).refuse(2, &["dance"]).await?;
        Program::new("qpq")?.args(["register", "alice@alpha.test"]).refuse(2, &["--server"]).await?;
        Ok(())
    })
}

#[test]
fn an_empty_directory_is_told_to_be_initialised() -> anyhow::Result<()> {
    story(async |world| {
        let at = world.path().join("nothing");
        let serve = Program::new("qpq-server")?.arg("serve").arg("--data-dir").arg(&at);
        serve.refuse(2, &["qpq-server init"]).await?;
        Ok(())
    })
}

#[test]
fn an_unknown_configuration_key_names_the_nearest_known_one() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.dormant("alpha", &[("QPQ_CLIENT_LISEN", "127.0.0.1:1")]).await?;
        alpha.server(&["config", "check"])?.refuse(2, &["did you mean `client.listen`"]).await?;
        alpha.server(&["serve"])?.refuse(2, &["did you mean `client.listen`"]).await?;
        alpha.unset("QPQ_CLIENT_LISEN");
        let file = alpha.directory().join("quicproquo.toml");
        let text = fs::read_to_string(&file)?;
        fs::write(&file, format!("{text}\n[limits]\nmailbox-mesages = 3\n"))?;
        alpha.server(&["serve"])?.refuse(2, &["did you mean `limits.mailbox-messages`"]).await?;
        Ok(())
    })
}

#[test]
fn config_show_names_each_value_and_where_it_came_from() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.dormant("alpha", &[("QPQ_LIMITS_SUBMITS_PER_MINUTE", "7")]).await?;
        alpha.server(&["config", "check"])?.succeed().await?;
        let shown: Vec<Value> = alpha.server(&["config", "show", "--json"])?.succeed().await?.json()?;
        let of = |key: &str| shown.iter().find(|row| row["key"] == key).cloned().unwrap_or_default();
        ensure!(of("limits.submits-per-minute")["value"] == "7");
        ensure!(of("limits.submits-per-minute")["origin"] == "environment");
        ensure!(of("domain")["origin"] == "file" && of("registration.policy")["origin"] == "default");
        Ok(())
    })
}

#[test]
fn loose_permissions_are_refused_with_the_command_that_mends_them() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.dormant("alpha", &[]).await?;
        for (name, loose, tight) in
            [("keys/database", 0o644, 0o600), ("keys", 0o750, 0o700), ("", 0o755, 0o700)]
        {
            chmod(&alpha, name, loose)?;
            alpha.server(&["serve"])?.refuse(2, &["chmod", &format!("{loose:04o}")]).await?;
            chmod(&alpha, name, tight)?;
        }
        alpha.start().await
    })
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        alpha.server(&["serve"])?.refuse(1, &["another qpq-server is running"]).await?;
        alpha.info().await?;
        Ok(())
    })
}

#[test]
fn a_wrong_database_key_is_refused_in_one_sentence() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        world.person("alice", &alpha).await?;
        alpha.stop().await?;
        let key = alpha.directory().join("keys/database");
        let right = fs::read(&key)?;
        fs::write(&key, format!("{}\n", "0".repeat(64)))?;
        let refused = alpha.server(&["serve"])?.run().await?;
        ensure!(matches!(refused.code, Some(1 | 2)), "{refused}");
        ensure!(refused.stderr.contains("key"), "{refused}");
        ensure!(!refused.stderr.contains("code: 26"), "SQLite's own words are no explanation: {refused}");
        fs::write(&key, "short\n")?;
        alpha.server(&["serve"])?.run().await.and_then(|run| {
            ensure!(run.code != Some(0) && run.stderr.contains("64 hexadecimal digits"), "{run}");
            Ok(())
        })?;
        fs::write(&key, right)?;
        alpha.start().await?;
        ensure!(
            alpha.admin(&["user", "list"]).await?.to_string().contains("alice@alpha.test"),
            "nothing was lost"
        );
        Ok(())
    })
}

#[test]
fn another_domain_in_the_configuration_than_in_the_database_is_refused() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.dormant("alpha", &[]).await?;
        let file = alpha.directory().join("quicproquo.toml");
        fs::write(&file, fs::read_to_string(&file)?.replace("alpha.test", "gamma.test"))?;
        let refused = alpha.server(&["serve"])?.run().await?;
        ensure!(matches!(refused.code, Some(1 | 2)), "{refused}");
        ensure!(refused.stderr.contains("alpha.test") && refused.stderr.contains("gamma.test"), "{refused}");
        Ok(())
    })
}

#[test]
fn registration_tokens_are_counted_listed_and_revoked() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let once = alpha.admin(&["token", "create"]).await?;
        has(&once, &["token", "id", "uses", "expires"])?;
        let token = once["token"].as_str().unwrap_or_default().to_owned();
        let (alice, bob) = (Person::new(world, "alice", &alpha)?, Person::new(world, "bob", &alpha)?);
        alice.registering(Some(&token))?.succeed().await?;
        bob.registering(Some(&token))?.refuse(1, &["token", "203"]).await?;
        bob.registering(None)?.refuse(1, &["token", "203"]).await?;
        bob.registering(Some("nonsense"))?.refuse(1, &["token", "203"]).await?;
        let second = alpha.admin(&["token", "create", "--uses", "2", "--expires", "7d"]).await?;
        let id = second["id"].as_str().unwrap_or_default().to_owned();
        alpha.admin(&["token", "revoke", &id]).await?;
        let token = second["token"].as_str().unwrap_or_default();
        bob.registering(Some(token))?.refuse(1, &["token", "203"]).await?;
        let list = alpha.admin(&["token", "list"]).await?.to_string();
        ensure!(list.contains(&id) && !list.contains(token), "the secret is printed once: {list}");
        bob.register(&alpha).await
    })
}

#[test]
fn the_token_is_checked_before_the_name() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        world.person("alice", &alpha).await?;
        let other = Person::with_home(world, "alice", &alpha, "another-alice")?;
        other.registering(Some("nonsense"))?.refuse(1, &["203"]).await?;
        other.registering(Some(&alpha.token().await?))?.refuse(1, &["204"]).await?;
        Ok(())
    })
}

#[test]
fn open_registration_needs_no_token() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain_with("alpha", &[("QPQ_REGISTRATION_POLICY", "open")]).await?;
        let alice = Person::new(world, "alice", &alpha)?;
        alice.registering(None)?.succeed().await?;
        Ok(())
    })
}

#[test]
fn a_wrong_pin_is_noticed_before_anything_is_sent() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let (alice, token) = without_account(world, &alpha).await?;
        let wrong = Pin::of_spki(b"another key").to_string();
        let address = alice.address().to_string();
        alice
            .qpq(&["register", &address, "--server", &alpha.client_address(), "--pin", &wrong])?
            .args(["--registration-token", &token])
            .arg("--password-file")
            .arg(alice.password_file())
            .refuse(1, &["pin", &alpha.pin().to_string()])
            .await?;
        alice.registering(Some(&token))?.succeed().await?;
        Ok(())
    })
}

#[test]
fn the_authority_may_be_given_as_a_file_instead_of_a_pin() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = (world.domain("alpha").await?, world.domain("beta").await?);
        let (alice, token) = without_account(world, &alpha).await?;
        let register = |ca: &HomeDomain| -> anyhow::Result<Program> {
            let address = alice.address().to_string();
            Ok(alice
                .qpq(&[
                    "register",
                    &address,
                    "--server",
                    &alpha.client_address(),
                    "--registration-token",
                    &token,
                ])?
                .arg("--ca")
                .arg(ca.directory().join("keys/ca.crt"))
                .arg("--password-file")
                .arg(alice.password_file()))
        };
        register(&beta)?.refuse(1, &["certificate"]).await?;
        register(&alpha)?.succeed().await?;
        alice.qpq(&["whoami"])?.succeed().await?;
        Ok(())
    })
}

#[test]
fn an_address_of_another_domain_is_refused_in_words() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let (alice, token) = without_account(world, &alpha).await?;
        alice
            .qpq(&["register", "alice@gamma.test", "--server", &alpha.client_address()])?
            .args(["--pin", &alpha.pin().to_string(), "--registration-token", &token])
            .arg("--password-file")
            .arg(alice.password_file())
            .refuse(1, &["another domain"])
            .await?;
        Ok(())
    })
}

#[test]
fn a_server_that_is_not_there_is_named() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let (alice, token) = without_account(world, &alpha).await?;
        alpha.kill().await?;
        alice.registering(Some(&token))?.refuse(1, &[&alpha.client_address()]).await?;
        Ok(())
    })
}

#[test]
fn the_passphrase_opens_the_store_and_nothing_else_does() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = world.person("alice", &alpha).await?;
        let wrong = world.path().join("wrong");
        fs::write(&wrong, "another passphrase\n")?;
        let qpq = || -> anyhow::Result<Program> { Ok(Program::new("qpq")?.arg("--home").arg(alice.home())) };
        qpq()?.arg("--passphrase-file").arg(&wrong).arg("whoami").refuse(1, &["passphrase"]).await?;
        qpq()?.arg("whoami").refuse(1, &["--passphrase-file", "QPQ_PASSPHRASE_FILE"]).await?;
        qpq()?.env("QPQ_PASSPHRASE_FILE", alice.passphrase_file()).arg("whoami").succeed().await?;
        let bare = world.path().join("without-newline");
        fs::write(&bare, fs::read_to_string(alice.passphrase_file())?.trim_end())?;
        qpq()?.arg("--passphrase-file").arg(&bare).arg("whoami").succeed().await?;
        let missing = world.path().join("missing");
        qpq()?.arg("--passphrase-file").arg(&missing).arg("whoami").refuse(1, &["missing"]).await?;
        Ok(())
    })
}

#[test]
fn a_home_without_an_account_says_what_to_do() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = Person::new(world, "alice", &alpha)?;
        alice.qpq(&["send", "bob@alpha.test", "hello"])?.refuse(1, &["qpq register"]).await?;
        alice.qpq(&["recv"])?.refuse(1, &["qpq register"]).await?;
        Ok(())
    })
}

#[test]
fn unknown_users_domains_and_groups_are_named() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = world.person("alice", &alpha).await?;
        alice.qpq(&["send", "nobody@alpha.test", "hello"])?.refuse(1, &["nobody@alpha.test"]).await?;
        alice.qpq(&["send", "bob@nowhere.test", "hello"])?.refuse(1, &["nowhere.test"]).await?;
        alice
            .qpq(&["send", "no such group", "hello"])?
            .refuse(1, &["no such group", "qpq group list"])
            .await?;
        alice.qpq(&["send", "alice@alpha.test", "hello"])?.refuse(1, &["yourself"]).await?;
        alice.qpq(&["keys", "show", "not-an-address"])?.refuse(2, &["not-an-address"]).await?;
        Ok(())
    })
}

#[test]
fn an_invite_works_once_and_for_its_domain_only() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let (beta, gamma) = (world.domain("beta").await?, world.domain("gamma").await?);
        let invite = alpha.admin(&["peer", "invite", "beta.test", "--expires", "1h"]).await?;
        has(&invite, &["token", "expires"])?;
        let token = invite["token"].as_str().unwrap_or_default();
        gamma.server(&["peer", "accept", token])?.run().await.and_then(|run| {
            ensure!(run.code != Some(0) && run.stderr.contains("another domain"), "{run}");
            Ok(())
        })?;
        beta.admin(&["peer", "accept", token]).await?;
        beta.admin(&["peer", "accept", token]).await?;
        let cut: String = token.chars().take(token.len() / 2).collect();
        for nonsense in ["nonsense", cut.as_str()] {
            let run = beta.server(&["peer", "accept", nonsense])?.run().await?;
            ensure!(matches!(run.code, Some(1 | 2)) && !run.stderr.is_empty(), "{run}");
        }
        for (domain, peer) in [(&alpha, "beta.test"), (&beta, "alpha.test")] {
            ensure!(domain.admin(&["peer", "list"]).await?.to_string().contains(peer));
            domain.admin(&["peer", "show", peer]).await?;
        }
        ensure!(!gamma.admin(&["peer", "list"]).await?.to_string().contains("alpha.test"));
        Ok(())
    })
}

#[test]
fn an_invite_for_anybody_waits_for_the_admins_word() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = (world.domain("alpha").await?, world.domain("beta").await?);
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        let invite = alpha.admin(&["peer", "invite", "--any"]).await?;
        beta.admin(&["peer", "accept", invite["token"].as_str().unwrap_or_default()]).await?;
        alice.qpq(&["send", "bob@beta.test", "too early"])?.refuse(1, &["beta.test"]).await?;
        alpha.admin(&["peer", "accept", "beta.test"]).await?;
        alice.say("bob@beta.test", "now").await?;
        bob.hears(&["now"]).await?;
        Ok(())
    })
}

#[test]
fn an_admin_sees_and_ends_users_devices_and_sessions() -> anyhow::Result<()> {
    story(async |world| {
        let alpha = world.domain("alpha").await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &alpha).await?;
        let shown = alpha.admin(&["user", "show", "alice@alpha.test"]).await?.to_string();
        ensure!(shown.contains("dev_"), "{shown}");
        ensure!(alpha.admin(&["device", "list"]).await?.to_string().matches("dev_").count() >= 2);
        ensure!(alpha.admin(&["session", "list", "alice@alpha.test"]).await?.to_string().contains("ses_"));
        alpha.server(&["user", "show", "nobody@alpha.test"])?.refuse(1, &["nobody@alpha.test"]).await?;
        alpha.server(&["session", "revoke", "nonsense"])?.refuse(2, &["ses_"]).await?;
        alpha.admin(&["user", "delete", "bob@alpha.test"]).await?;
        ensure!(!alpha.admin(&["user", "list"]).await?.to_string().contains("bob@alpha.test"));
        bob.qpq(&["recv"])?.refuse(1, &["login"]).await?;
        alice.qpq(&["send", "bob@alpha.test", "hello"])?.refuse(1, &["bob@alpha.test"]).await?;
        Ok(())
    })
}
