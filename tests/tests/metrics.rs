//! What happens is told at `/metrics`, by the process itself.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use qpq_tests::{Person, eventually, story};

const SOON: Duration = Duration::from_mins(1);

/// The sum of all series that begin so and have these labels.
fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    let of_name = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
    });
    let wanted = of_name.filter(|line| labels.iter().all(|label| line.contains(label)));
    wanted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn what_happens_between_two_domains_is_counted_at_both_and_names_nobody() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = world.person("alice", &alpha).await?;
        let bob = world.person("bob", &beta).await?;
        alice.say("bob@beta.test", "hello").await?;
        bob.hears(&["hello"]).await?;
        let guess = Person::with_home(world, "alice", &alpha, "elsewhere")?;
        std::fs::write(guess.password_file(), "a guess\n")?;
        guess.logging_in()?.refuse(1, &["wrong name or password"]).await?;
        alpha.admin(&["user", "ban", "mallory@beta.test", "--reason", "sold spam"]).await?;
        for path in ["/nothing/alice", "/livez"] {
            alpha.asked(path).await?;
        }

        let told = eventually("everything is told", SOON, async || {
            let (at_alpha, at_beta) = (alpha.asked("/metrics").await?, beta.asked("/metrics").await?);
            let calls = "quicproquo_federation_call_duration_seconds_count";
            let arrived = [("sent", &at_alpha), ("received", &at_beta)].iter().all(|(direction, text)| {
                let direction = format!("direction=\"{direction}\"");
                let labels = |method| [direction.as_str(), method, "outcome=\"ok\""];
                sum(text, calls, &labels("method=\"relayEnqueue\"")) >= 1.0
                    && sum(text, calls, &labels("method=\"resolveUser\"")) >= 1.0
            });
            // A client that hangs up is missed when its connection has ended, not when it has.
            let missed = sum(&at_alpha, "quicproquo_login_failures_total", &["reason=\"unfinished\""]) >= 1.0;
            Ok((arrived && missed).then_some(at_alpha))
        })
        .await?;
        for (name, labels) in [
            ("quicproquo_build_info", &[][..]),
            ("quicproquo_process_start_timestamp_seconds", &[]),
            ("quicproquo_certificate_not_after_timestamp_seconds", &["purpose=\"listeners\""]),
            ("quicproquo_rpc_duration_seconds_count", &["method=\"rpc.groups.submit\"", "outcome=\"ok\""]),
            ("quicproquo_storage_duration_seconds_count", &["operation=\"write-batch\""]),
            ("quicproquo_storage_duration_seconds_count", &["operation=\"write-commit\""]),
            ("quicproquo_storage_duration_seconds_count", &["operation=\"read-open\""]),
            ("quicproquo_login_failures_total", &["reason=\"unfinished\""]),
            ("quicproquo_http_request_duration_seconds_count", &["route=\"unknown\"", "status=\"4xx\""]),
            ("quicproquo_http_request_duration_seconds_count", &["route=\"/livez\"", "status=\"2xx\""]),
            ("quicproquo_peers", &["state=\"healthy\""]),
            ("quicproquo_bans", &["kind=\"user\""]),
            ("quicproquo_audit_rows", &[]),
            ("quicproquo_database_bytes", &[]),
            ("quicproquo_database_wal_bytes", &[]),
            ("quicproquo_scrapes_total", &[]),
        ] {
            ensure!(sum(&told, name, labels) >= 1.0, "{name} {labels:?} is not told in\n{told}");
        }
        let body = told.split_once("\r\n\r\n").context("no body")?.1;
        for name in ["alice", "bob", "mallory", "beta.test"] {
            ensure!(!body.contains(name), "`{name}` became a label");
        }
        Ok(())
    })
}
