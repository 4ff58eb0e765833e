//! `keys`: of others, shown and accepted; of one's own, shown, rotated and reset.

use std::{fs, path::Path};

use anyhow::Context as _;
use qpq_client::{Client, ExportedProof, InLog, KeyComparison, KeyReport, OwnHistory, ResetState};

use crate::{args::KeysVerb, output::Format, secrets};

/// Shows and changes keys.
pub(crate) async fn run(client: &Client, format: Format, verb: KeysVerb) -> anyhow::Result<()> {
    let report = match verb {
        KeysVerb::Rotate { password_file } => {
            let password = secrets::from_file(&password_file, "the password file")?;
            let version = client.keys_rotate(&password).await?;
            return format.show(&Rekeyed { version }, |new| {
                format!(
                    "a new identity key, logged as version {}; log in again on your other devices",
                    new.version
                )
            });
        }
        KeysVerb::Reset { password_file } => {
            let password = secrets::from_file(&password_file, "the password file")?;
            return format.show(&client.keys_reset(&password).await?, reset);
        }
        KeysVerb::Revoke { yes } => {
            anyhow::ensure!(
                yes,
                "this can't be taken back: nobody sends you anything, and none of your devices sends, until `qpq keys reset` \
                 has brought another identity key, a day after it is announced; your contacts are asked to compare it. If \
                 you want that, say --yes"
            );
            let version = client.keys_revoke().await?;
            return format.show(&Rekeyed { version }, |new| {
                format!(
                    "your identity key is revoked, logged as version {}; `qpq keys reset` announces another one",
                    new.version
                )
            });
        }
        KeysVerb::CancelReset => {
            let version = client.keys_cancel_reset().await?;
            return format.show(&Rekeyed { version }, |new| {
                format!("the reset is refused, logged as version {}: your key stays", new.version)
            });
        }
        KeysVerb::Verify { address } => {
            return format.show(&client.keys_verify(&address).await?, comparison);
        }
        KeysVerb::ExportProof { address, file } => {
            return export(format, &client.keys_export_proof(&address).await?, file.as_deref());
        }
        KeysVerb::History => return format.show(&client.keys_history().await?, history),
        KeysVerb::Show { address } => client.keys_show(&address).await?,
        KeysVerb::Accept { address } => client.keys_accept(&address).await?,
    };
    format.show(&report, text)
}

fn text(report: &KeyReport) -> String {
    let key =
        |key: Option<qpq_core::IdentityKey>| key.map_or_else(|| String::from("none"), |key| key.to_string());
    let verdict = if report.changed {
        "CHANGED: nothing is sent until you accept it (`qpq keys accept`)"
    } else {
        "the same"
    };
    let log = match (&report.log, report.in_log) {
        (Some(log), _) => format!("version {} ({}), {}, {}", log.version, log.status, log.level, log.at),
        (None, InLog::Unlogged | InLog::Logged) => String::from(
            "UNLOGGED: their domain keeps a log and they are not in it; compare the key with them",
        ),
        (None, InLog::NoLog) => String::from("no log of their domain was seen: the key seen first counts"),
    };
    format!(
        "{}\n  seen first  {}\n  shown now   {}\n  log         {log}\n  {verdict}",
        report.address,
        key(report.pinned),
        key(report.presented)
    )
}

fn comparison(found: &KeyComparison) -> String {
    let number = found.safety_number.to_string();
    let groups: Vec<&str> = number.split(' ').collect();
    let lines: Vec<String> = groups.chunks(4).map(|four| format!("    {}", four.join(" "))).collect();
    format!("{}\n  safety number, the same for both of you\n{}", text(&found.keys), lines.join("\n"))
}

fn export(format: Format, exported: &ExportedProof, file: Option<&Path>) -> anyhow::Result<()> {
    let Some(file) = file else {
        // The line feed at its end comes with the printing.
        return format.show(exported, |exported| exported.proof.trim_end().to_owned());
    };
    fs::write(file, &exported.proof).with_context(|| format!("could not write `{}`", file.display()))?;
    format.show(exported, |exported| {
        format!(
            "version {} of {} is entry {} of {} in the log with the key\n  {}\nCompare that key with what the domain itself says.",
            exported.version, exported.address, exported.index, exported.size, exported.log_key
        )
    })
}

/// A version that was logged.
#[derive(serde::Serialize)]
struct Rekeyed {
    version: u32,
}

fn reset(state: &ResetState) -> String {
    match state {
        ResetState::Announced { from } => format!(
            "announced: run the same command again from {from} on. Until then any of your devices can say no with \
             `qpq keys cancel-reset`"
        ),
        ResetState::Made { version } => {
            format!("a new identity key, logged as version {version}; your contacts are asked to compare it")
        }
    }
}

fn history(history: &OwnHistory) -> String {
    let mut lines: Vec<String> = history
        .versions
        .iter()
        .map(|row| format!("{:>4}  {}  {}  devices {}", row.version, row.time, row.reason, row.devices))
        .collect();
    if lines.is_empty() {
        lines.push(String::from("nothing is logged of this account"));
    }
    lines.extend(history.alarm.iter().map(|alarm| format!("ALARM: {alarm}")));
    lines.join("\n")
}
