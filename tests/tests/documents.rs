//! The documents that SDK builders read say what the code does.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, ensure};
use qpq_core::{ErrorCode, limits};

fn readme() -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/README.md");
    std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))
}

#[test]
fn the_table_of_error_codes_is_complete_and_names_nothing_else() -> anyhow::Result<()> {
    let text = readme()?;
    let listed: BTreeMap<u16, &str> = text
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let number = cells.next()?.parse().ok()?;
            Some((number, cells.next()?))
        })
        .collect();
    let known: BTreeMap<u16, &str> = ErrorCode::ALL.iter().map(|code| (code.number(), code.name())).collect();
    ensure!(listed == known, "the table says {listed:?}, the code {known:?}");
    Ok(())
}

#[test]
fn the_numbers_in_the_text_are_the_limits_in_force() -> anyhow::Result<()> {
    let text = readme()?.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in [
        format!("up to {} items", limits::BATCH_ITEMS),
        format!("Beyond {} calls in flight", limits::CALLS_IN_FLIGHT),
        format!("Log in within {} s", limits::LOGIN_DEADLINE.0 / 1_000),
        format!("A session ends after {} h", limits::SESSION_LIFETIME.0 / 3_600_000),
        format!("at most {} days of lifetime", limits::KEY_PACKAGE_LIFETIME.0 / 86_400_000),
        format!("Adds need {} days left", limits::KEY_PACKAGE_REMAINING.0 / 86_400_000),
        format!("renew after {} days", limits::LAST_RESORT_RENEWAL.0 / 86_400_000),
        format!("Keep {} past epochs", limits::PAST_EPOCHS),
        format!("default {})", limits::CLIENT_PORT),
        format!("for {} days", (limits::MESSAGE_TTL.0 + limits::IDEMPOTENCY_EXTRA.0) / 86_400_000),
        format!("this is version {}", limits::PROTOCOL_VERSION),
        format!("A message over {} MiB", (2 * limits::HANDSHAKE_BYTES + limits::BATCH_BYTES) / 1_024 / 1_024),
    ] {
        ensure!(text.contains(&said), "schemas/README.md doesn't say `{said}`");
    }
    Ok(())
}
