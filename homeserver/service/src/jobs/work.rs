//! What each job does, and how it says so. Results are short and stay the same while nothing happens: a new one is
//! stored at once.

use std::{sync::Arc, time::Duration};

use qpq_core::{Millis, RequestId};
use tokio::time::sleep;
use tracing::warn;

use super::Jobs;
use crate::{
    Answered, Caller, Depth, Integrity, Severity, Swept, Transparency, Upkeep, cut_off_absent,
    expire_messages, relay, samples,
};

/// A ban that ends sooner than the next run is waited for.
const NEXT_RUN: Millis = Millis::from_secs(1);
/// How long devices have after a start before the absent are cut off.
const TO_READ: Duration = Duration::from_hours(1);

impl Jobs {
    /// Does a job once; what it did, or why not, in words.
    pub(super) async fn perform(&self, id: &str) -> Result<String, String> {
        let ground = &self.0.ground;
        match id {
            "lift-bans" => self.lift_bans().await.map(|lifted| count(lifted, "ban", "lifted")),
            "upkeep" => Upkeep::new(Arc::clone(ground), self.0.sessions.clone())
                .tick()
                .await
                .map(|swept| words(&swept)),
            "expire-messages" => {
                expire_messages(ground).await.map(|unread| count(long(unread), "message", "expired unread"))
            }
            // Who comes back together with the homeserver has time to read first.
            "cut-off" if self.0.began.elapsed() < TO_READ => {
                return Ok("waits until the homeserver has run for an hour".to_owned());
            }
            "cut-off" => {
                let absent = cut_off_absent(ground).await;
                if let Ok(devices @ 1..) = absent {
                    warn!(devices, "devices that stayed away for too long were cut off from groups");
                }
                absent.map(|devices| count(long(devices), "device", "cut off"))
            }
            "expire-relay" => {
                let expired = relay::expire(ground).await;
                if let Ok(rows @ 1..) = expired {
                    warn!(rows, "messages for peers expired before they could be sent");
                }
                let letters = relay::expire_letters(ground).await;
                let unpeered = relay::give_back_unpeered(ground).await;
                if let Ok(rows @ 1..) = unpeered {
                    warn!(rows, "messages for domains that are no peers any more were given back");
                }
                expired
                    .and_then(|rows| Ok(rows + letters? + unpeered?))
                    .map(|rows| count(long(rows), "row", "given up unsent"))
            }
            "check" => return Ok(self.check().await),
            "sample" => samples::take(ground, &self.0.sessions, &self.0.peering, &self.0.checks)
                .await
                .map(|()| "took the figures".to_owned()),
            "check-database" => return self.check_database().await,
            "check-log" => return self.check_log().await,
            _ => return Err("nobody knows what it does".to_owned()),
        }
        .map_err(|refusal| refusal.text)
    }

    /// Lifts what is due, and what is due before the next run at its moment.
    async fn lift_bans(&self) -> Answered<u64> {
        let caller = || Caller::job("lift-bans", self.0.ground.draw(RequestId::random));
        let lifted = self.0.bans.lift_due(&caller()).await?;
        let now = self.0.ground.now();
        let soon = self.0.bans.next_end().await?.filter(|end| *end < now.after(NEXT_RUN));
        let Some(end) = soon else { return Ok(lifted) };
        sleep(end.since(now).to_duration()).await;
        Ok(lifted.saturating_add(self.0.bans.lift_due(&caller()).await?))
    }

    async fn check(&self) -> String {
        let report = self.0.checks.run(Depth::Quick).await;
        match report.worst.map(Severity::name) {
            None => "nothing is wrong".to_owned(),
            Some(worst) => format!("{} findings, the worst is {worst}", report.findings.len()),
        }
    }

    async fn check_database(&self) -> Result<String, String> {
        match self.0.checks.check_database().await {
            Integrity::Whole => Ok("the database is whole".to_owned()),
            Integrity::Damaged(faults) => Err(format!("the database is damaged: {}", faults.join("; "))),
            Integrity::Closed(why) | Integrity::Unknown(why) => Err(why),
        }
    }

    async fn check_log(&self) -> Result<String, String> {
        if self.0.ground.log_keys().is_none() {
            return Ok("there is no log".to_owned());
        }
        let found = Transparency::new(Arc::clone(&self.0.ground)).verify().await;
        match found.map_err(|refusal| refusal.text)?.wrong {
            None => Ok("the log is what it signed".to_owned()),
            Some(why) => Err(format!("the key-transparency log is not what it signed: {why}")),
        }
    }
}

fn words(swept: &Swept) -> String {
    let Swept { sessions, key_packages, submits, log_entries, kept_rows, console, contacts } = swept;
    let all = [
        (*sessions, "sessions"),
        (*key_packages, "KeyPackages"),
        (*submits, "submit records"),
        (*log_entries, "entries of groups' logs"),
        (*kept_rows, "kept rows"),
        (*console, "console sessions and links"),
        (*contacts, "contact requests"),
    ];
    let gone: Vec<String> =
        all.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if gone.is_empty() { "nothing to let go of".to_owned() } else { format!("let go of {}", gone.join(", ")) }
}

fn count(number: u64, what: &str, done: &str) -> String {
    match number {
        0 => format!("no {what} {done}"),
        1 => format!("1 {what} {done}"),
        _ => format!("{number} {what}s {done}"),
    }
}

fn long(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
