//! Before anything is signed after a start: what the witnesses have seen of our log. A database that was put back must not sign a
//! second history of what came after it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::join_all;
use qpq_core::{Domain, limits};
use qpq_transparency::{cosigning, lookup};
use qpq_transparency_tree::{KeyName, SignedCheckpoint, is_consistent};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, warn};

use super::{candidates::Candidates, configure, signing::Signing};
use crate::{Answered, Ground, PeerCallError};

/// How long the named witnesses have to say what they have seen.
const START: Duration = Duration::from_secs(30);
/// How long those that are not named may keep the start waiting.
const OTHERS: Duration = Duration::from_secs(2);
/// Who did not say is asked again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Asks the witnesses, and lets the log be signed unless one of them has seen more. Each that the CONFIG names says what it has
/// seen, or has had its time.
pub(super) async fn ask_witnesses(ground: &Arc<Ground>) {
    if ground.signing().state() != Signing::Asking {
        return;
    }
    let end = Instant::now() + START;
    if let Some(candidates) = candidates(ground, end).await {
        ask_each(ground, &candidates, end).await;
    }
    ground.signing().open();
    if let Err(refusal) = configure(ground).await {
        warn!(error = %refusal, "what the domain's keys are could not be logged");
    }
}

/// Who is to be asked; `None` if the store could not say until the end.
async fn candidates(ground: &Ground, end: Instant) -> Option<Candidates> {
    loop {
        match Candidates::read(ground).await {
            Ok(candidates) => return Some(candidates),
            Err(refusal) => warn!(error = %refusal, "the log's witnesses can't be asked at the start yet"),
        }
        if Instant::now() + AGAIN > end {
            return None;
        }
        sleep(AGAIN).await;
    }
}

async fn ask_each(ground: &Ground, candidates: &Candidates, end: Instant) {
    let named: BTreeSet<Domain> = candidates.witnesses.iter().filter_map(|key| key.name().domain()).collect();
    // The newer database may have named others.
    let others = candidates.peers.iter().filter(|peer| !named.contains(*peer)).cloned();
    let soon = Instant::now() + OTHERS;
    let all = named.iter().cloned().map(|peer| (peer, end)).chain(others.map(|peer| (peer, soon)));
    let all: Vec<(Domain, Instant)> = all.collect();
    let asked = all.iter().map(|(peer, end)| timeout_at(*end, ask_until_it_says(ground, peer)));
    for ((peer, _), said) in all.iter().zip(join_all(asked).await) {
        match said {
            Ok(Some(why)) => halt(ground, peer, &why),
            Err(_) if named.contains(peer) => warn!(
                peer.domain = %peer,
                "a witness of our log did not say in time what it has seen; the log goes on"
            ),
            Ok(None) | Err(_) => {}
        }
    }
}

async fn ask_until_it_says(ground: &Ground, witness: &Domain) -> Option<String> {
    loop {
        match seen_by(ground, witness).await {
            Ok(answer) => return answer,
            Err(_) => sleep(AGAIN).await,
        }
    }
}

/// What a witness has seen that we don't have, in words; `None` if all is well.
pub(super) async fn seen_by(ground: &Ground, witness: &Domain) -> Result<Option<String>, PeerCallError> {
    let origin = KeyName::of_log(ground.domain());
    let deadline = ground.now().after(limits::INTERACTIVE);
    match ground.peers().witnessed_checkpoint(witness, &origin, deadline).await? {
        None => Ok(None),
        Some(seen) => contradiction(ground, &seen).await.map_err(PeerCallError::Refused),
    }
}

/// Signs nothing any more, because of what a witness has seen.
pub(super) fn halt(ground: &Ground, witness: &Domain, why: &str) {
    let why = format!("`{witness}`, which witnesses our log, says: {why}");
    if ground.signing().halt(&why) {
        error!(%why, "the key-transparency log is not signed any more (runbooks/split-view.md)");
    }
}

/// Whether a checkpoint that somebody shows is ours and can't be true together with what we have; why, in words.
async fn contradiction(ground: &Ground, seen: &SignedCheckpoint) -> Answered<Option<String>> {
    let Some(keys) = ground.log_keys() else { return Ok(None) };
    if seen.signed_by(keys.log().verifier()).is_err() {
        // Anybody can say anything: only what our key signed counts.
        return Ok(None);
    }
    let mut tx = ground.read().await?;
    let Some(request) = cosigning::request(tx.as_mut(), 0).await? else { return Ok(None) };
    let (ours, theirs) = (request.checkpoint.head(), seen.head());
    if theirs.size > ours.size {
        return Ok(Some(format!(
            "it has seen {} entries of our log, and this database has {}: it is older than what was signed",
            theirs.size, ours.size
        )));
    }
    let proof = lookup::consistency(tx.as_mut(), theirs.size, ours.size).await?.unwrap_or_default();
    let one = is_consistent(theirs.size, &theirs.root, ours.size, &ours.root, &proof);
    let two = || format!("it has seen another history of our log, of {} entries", theirs.size);
    Ok((!one).then(two))
}
