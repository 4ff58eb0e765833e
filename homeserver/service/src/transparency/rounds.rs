//! Rounds of cosignatures: the peers are asked to witness our log, at once when it has grown and now and then when it hasn't.
//!
//! Peers are named in the CONFIG once they have cosigned, and no more once they are no peers: three or more of them, of which a
//! majority must sign, or one. Two would both be needed, so each of them could keep the log waiting, for the same level. The one is
//! replaced when it is silent and another is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::future::{join, join_all};
use qpq_core::{Domain, ErrorCode, Millis, Timestamp, limits};
use qpq_delivery::rates::Rate;
use qpq_storage::{Stored, WriteTx};
use qpq_transparency::{configuration, cosigning};
use qpq_transparency_tree::{
    KeyName, SignedCheckpoint, VerifierKey, commitment::Opening, lookup::AHEAD, note::NoteSignature,
};
use qpq_transparency_wire::{CosignAnswer, Cosigned};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{candidates::Candidates, mirroring::Mirroring, signing::Signing, start};
use crate::{Answered, Effects, Ground, PeerCallError, Refusal, WriteJob, rates::Throttle};

/// The log is looked at this often for whatever told nobody that it grew.
const LOOK: Duration = Duration::from_secs(1);
/// Entries that come within this time share a round.
const TOGETHER: Duration = Duration::from_millis(200);
/// A checkpoint that stays the same is cosigned again after this, so that its freshness doesn't depend on activity.
const HEARTBEAT: Duration = Duration::from_mins(15);
/// When a witness that did not sign is asked again, doubled each time.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest that it is left alone.
const AGAIN_AT_MOST: Duration = Duration::from_mins(1);
/// How often the log may say who witnesses it.
const NAMING: Rate = Rate { burst: 12, refill: Millis::from_secs(600) };
/// How long a peer may take to cosign: a slow one must not hold the others up.
const ASKED: Duration = Duration::from_secs(4);
/// How far a witness's clock may be behind.
const BEHIND: Millis = Millis::from_secs(3_600);
/// From so many witnesses on, a majority is enough.
const MAJORITY: usize = 3;
/// A witness that failed so often in a row gives way to one that signs, where one is all there is.
const SILENT: u32 = 2;

/// Asks the peers, round after round.
#[derive(Debug)]
pub struct Rounds {
    ground: Arc<Ground>,
    known: BTreeMap<Domain, Peer>,
    /// How often the CONFIG may say something else: a peer could show another key each time.
    naming: Throttle<()>,
}

/// What is known of a peer as a witness.
#[derive(Clone, Debug, Default)]
struct Peer {
    /// The key that it signs with, once it has signed.
    key: Option<VerifierKey>,
    /// The size that it cosigned last.
    size: u64,
    /// When, by a clock that nobody sets.
    signed: Option<Instant>,
    /// How often it failed since.
    failures: u32,
    /// It is not asked before this.
    next: Option<Instant>,
    /// Whether it could not be reached when it failed: then it is asked as soon as it can.
    unreachable: bool,
}

/// What one peer said.
enum Said {
    Signed {
        witness: VerifierKey,
        checkpoint: SignedCheckpoint,
        lines: Vec<NoteSignature>,
    },
    Failed(String),
    /// It has seen what our database doesn't have.
    Contradicts(String),
}

impl Rounds {
    /// On this ground.
    pub fn new(ground: Arc<Ground>) -> Self {
        Self { ground, known: BTreeMap::new(), naming: Throttle::new(NAMING) }
    }

    /// Asks what was seen of our log, and then for cosignatures, until it is stopped; beside that, mirrors the logs of others.
    pub async fn run(self, stopping: CancellationToken) {
        if self.ground.log_keys().is_none() {
            return;
        }
        let mirroring = Mirroring::new(Arc::clone(&self.ground)).run(&stopping);
        join(self.ask_all(&stopping), mirroring).await;
    }

    async fn ask_all(mut self, stopping: &CancellationToken) {
        let _ = stopping.run_until_cancelled(Box::pin(start::ask_witnesses(&self.ground))).await;
        while !stopping.is_cancelled() {
            if let Some(Err(refusal)) = stopping.run_until_cancelled(Box::pin(self.round())).await {
                warn!(error = %refusal, "the log's witnesses could not be asked, will try again");
            }
            let woken = async {
                tokio::select! {
                    () = self.ground.signing().grown() => sleep(TOGETHER).await,
                    () = sleep(LOOK) => {}
                }
            };
            let _ = stopping.run_until_cancelled(woken).await;
        }
    }

    async fn round(&mut self) -> Answered<()> {
        let plan = Candidates::read(&self.ground).await?;
        self.known.retain(|peer, _| plan.peers.contains(peer));
        let now = Instant::now();
        for (peer, known) in &mut self.known {
            // Its link came up again: no need to wait.
            if known.unreachable && self.ground.peers().health(peer).await.reachable {
                known.unreachable = false;
                known.next = None;
            }
        }
        let due: Vec<(Domain, u64)> =
            plan.peers.iter().filter_map(|peer| self.due(peer, &plan, now)).collect();
        let asked = join_all(due.iter().map(|(peer, size)| timeout(ASKED, self.ask(peer, *size)))).await;
        // What one says must not be lost because of another.
        let mut trouble = None;
        for ((peer, _), said) in due.into_iter().zip(asked) {
            let late = || Ok(Said::Failed("it did not answer in time".to_owned()));
            let heard = match said.unwrap_or_else(|_| late()) {
                Ok(said) => self.hear(peer, said, &plan).await,
                Err(refusal) => Err(refusal),
            };
            trouble = trouble.or_else(|| heard.err());
        }
        self.name(&plan).await?;
        trouble.map_or(Ok(()), Err)
    }

    fn due(&self, peer: &Domain, plan: &Candidates, now: Instant) -> Option<(Domain, u64)> {
        let known = self.known.get(peer).cloned().unwrap_or_default();
        let news = known.size != plan.size;
        let old = known.signed.is_none_or(|at| at + HEARTBEAT <= now);
        (known.next.is_none_or(|next| next <= now) && (news || old)).then(|| (peer.clone(), known.size))
    }

    /// Asks a peer to cosign; it says itself from where, if we don't know.
    async fn ask(&self, peer: &Domain, known: u64) -> Answered<Said> {
        let Some(keys) = self.ground.log_keys() else { return Ok(Said::Failed(String::new())) };
        let mut old = known;
        for _ in 0..2 {
            let request = {
                let mut tx = self.ground.read().await?;
                cosigning::request(tx.as_mut(), old).await?
            };
            // It says that it has seen more than there is.
            let Some(request) = request else { break };
            let deadline = self.ground.now().after(limits::INTERACTIVE);
            let log = keys.log().verifier();
            match self.ground.peers().add_checkpoint(peer, log, &request, deadline).await {
                Ok(CosignAnswer { witness, said: Cosigned::Signed(lines) }) => {
                    let now = self.ground.now();
                    return Ok(signed(peer, witness, request.checkpoint, (lines, now)));
                }
                Ok(CosignAnswer { said: Cosigned::Conflict(size), .. }) => old = size,
                Err(PeerCallError::Refused(refusal)) if refusal.code == ErrorCode::LogRefused => {
                    let seen = start::seen_by(&self.ground, peer).await;
                    let why = seen.ok().flatten();
                    return Ok(why.map_or_else(|| Said::Failed(refusal.text.clone()), Said::Contradicts));
                }
                Err(error) => return Ok(Said::Failed(Refusal::from(error).text)),
            }
        }
        let why = start::seen_by(&self.ground, peer).await.ok().flatten();
        let unclear =
            || "it says that it has cosigned another size of our log, and does not show it".to_owned();
        Ok(why.map_or_else(|| Said::Failed(unclear()), Said::Contradicts))
    }

    async fn hear(&mut self, peer: Domain, said: Said, plan: &Candidates) -> Answered<()> {
        let now = self.ground.now();
        let said = match said {
            Said::Signed { witness, checkpoint, lines } => {
                let size = checkpoint.head().size;
                let (ground, key) = (Arc::clone(&self.ground), witness.clone());
                let taken = self.ground.write(Take { ground, witness, checkpoint, lines, now }).await?;
                match taken {
                    // One that is not named yet has nothing to be noted of.
                    Ok(_) | Err(cosigning::NotTaken::NotNamed(_)) => {
                        let (key, signed) = (Some(key), Some(Instant::now()));
                        let known = Peer { key, size, signed, failures: 0, next: None, unreachable: false };
                        self.known.insert(peer, known);
                        return Ok(());
                    }
                    Err(why) => Said::Failed(why.to_string()),
                }
            }
            other => other,
        };
        let known = self.known.entry(peer.clone()).or_default();
        match said {
            Said::Contradicts(why) => {
                known.next = Some(Instant::now() + AGAIN_AT_MOST);
                start::halt(&self.ground, &peer, &why);
            }
            Said::Failed(why) => {
                known.unreachable = !self.ground.peers().health(&peer).await.reachable;
                let wait = AGAIN.saturating_mul(1_u32.checked_shl(known.failures).unwrap_or(u32::MAX));
                known.next = Some(Instant::now() + wait.min(AGAIN_AT_MOST));
                known.failures = known.failures.saturating_add(1);
                if let (true, Some(witness)) = (known.failures == 1, plan.named(&peer).cloned()) {
                    warn!(peer.domain = %peer, %why, "a witness did not sign our log");
                    self.ground.write(Failed { witness, why, now }).await?;
                }
            }
            Said::Signed { .. } => {}
        }
        Ok(())
    }

    /// Who witnesses from now on: those that were named and are peers still, and those that have signed.
    fn choose(&self, plan: &Candidates) -> Vec<VerifierKey> {
        let mut keys: BTreeMap<&Domain, VerifierKey> = BTreeMap::new();
        for peer in &plan.peers {
            let signs = self.known.get(peer).and_then(|known| known.key.as_ref());
            if let Some(key) = signs.or_else(|| plan.named(peer)) {
                keys.insert(peer, key.clone());
            }
        }
        if keys.len() >= MAJORITY {
            return keys.into_values().collect();
        }
        let failures = |peer: &Domain| self.known.get(peer).map_or(0, |known| known.failures);
        // Who is named stays, unless it is silent and another is not.
        let best = keys.iter().min_by_key(|(peer, _)| (failures(peer) >= SILENT, plan.named(peer).is_none()));
        best.map(|(_, key)| key.clone()).into_iter().collect()
    }

    /// Names them.
    async fn name(&self, plan: &Candidates) -> Answered<()> {
        if self.ground.signing().state() != Signing::Open {
            return Ok(());
        }
        let named = self.choose(plan);
        let now: BTreeSet<String> = named.iter().map(ToString::to_string).collect();
        let before: BTreeSet<String> = plan.witnesses.iter().map(ToString::to_string).collect();
        if now == before || self.naming.take(&(), 1, self.ground.now()).is_err() {
            return Ok(());
        }
        let ground = Arc::clone(&self.ground);
        let opening = self.ground.draw(Opening::random);
        let (witnesses, now) = (named, self.ground.now());
        let count = self.ground.write(Name { ground, witnesses, opening, now }).await?;
        if let Some(count) = count {
            info!(witnesses = count, "the log says who witnesses it");
            self.ground.signing().grows();
        }
        Ok(())
    }
}

/// What a signature is worth that a peer's witness made: it must be its own, and hold.
fn signed(
    peer: &Domain,
    witness: VerifierKey,
    checkpoint: SignedCheckpoint,
    (lines, now): (Vec<NoteSignature>, Timestamp),
) -> Said {
    if *witness.name() != KeyName::of_witness(peer) {
        return Said::Failed(format!("it signs as `{}`, which is not its witness", witness.name()));
    }
    let own = lines.iter().filter(|line| witness.claims(line));
    let at = own.filter_map(|line| witness.verify(checkpoint.note().text(), line)?.at_secs).max();
    let Some(at) = at else { return Said::Failed("its signature does not hold".to_owned()) };
    let at = Timestamp::from_millis(at.saturating_mul(1_000));
    if at > now.after(AHEAD) || at.after(BEHIND) < now {
        return Said::Failed(format!("it signed at {at}, so its clock or ours is wrong"));
    }
    Said::Signed { witness, checkpoint, lines }
}

struct Take {
    ground: Arc<Ground>,
    witness: VerifierKey,
    checkpoint: SignedCheckpoint,
    lines: Vec<NoteSignature>,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for Take {
    type Output = Result<cosigning::Taken, cosigning::NotTaken>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Self::Output> {
        let Some(keys) = self.ground.log_keys() else { return Ok(Err(cosigning::NotTaken::NotOurs)) };
        cosigning::take(tx, keys, &self.witness, &self.checkpoint, &self.lines, self.now).await
    }

    fn effects(&mut self) -> Effects {
        Effects::default()
    }
}

struct Failed {
    witness: VerifierKey,
    why: String,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for Failed {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        cosigning::failed(tx, &self.witness, &self.why, self.now).await
    }

    fn effects(&mut self) -> Effects {
        Effects::default()
    }
}

struct Name {
    ground: Arc<Ground>,
    witnesses: Vec<VerifierKey>,
    opening: Opening,
    now: Timestamp,
}

#[async_trait]
impl WriteJob for Name {
    type Output = Option<usize>;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<Option<usize>> {
        let Some(keys) = self.ground.log_keys() else { return Ok(None) };
        let (witnesses, opening) = (self.witnesses.clone(), self.opening);
        let named = configuration::name_witnesses(tx, keys, witnesses, opening, self.now).await?;
        Ok(match named {
            Ok(Some(_)) => Some(self.witnesses.len()),
            Ok(None) => None,
            Err(why) => {
                warn!(%why, "the log can't say who witnesses it");
                None
            }
        })
    }

    fn effects(&mut self) -> Effects {
        Effects::default()
    }
}

#[cfg(test)]
mod tests;
