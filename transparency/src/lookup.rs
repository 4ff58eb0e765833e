//! What the log answers to a lookup: everything that a client needs to verify it, beginning where the client stands.
//!
//! It is answered at one checkpoint: the newest that has the cosignatures its CONFIG asks for. Everything in the answer is of the
//! tree of that size, whatever came after it; and who asks about something that came after it is told to wait, never that it isn't
//! there. Members of the own domain are not kept waiting for long by a witness that is silent: they are answered at the newest
//! checkpoint that the log signed, and their clients show that.

use std::collections::BTreeMap;

use qpq_core::{Digest, Timestamp};
use qpq_storage::{LogRow, ReadTx, Stored, TransparencyRead};
use qpq_transparency_tree::{
    SignedCheckpoint, TreeHead,
    claim::LatestClaim,
    commitment::Opening,
    entry::Entry,
    label::{Label, LabelId},
    lookup::{Asker, Evidence, LOOKUP_LINKS, LookupAnswer, Proven, ResetEvidence, View},
    proofs::ProofPlan,
    tile::tile_from_bytes,
    value::{Reason, SignedValue},
};

use crate::{
    LogKeys,
    cosigning::{self, Served},
    sequence::{corrupt, read_entry},
};

/// How many versions are read at once.
const PAGE: usize = 64;

/// What is answered to a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// This, at a checkpoint that the asker may rely on.
    Lookup(Box<LookupAnswer>),
    /// What was asked for is in the log, and not in such a checkpoint yet: ask again in a few seconds.
    Pending,
}

/// Answers a lookup of one label; `None` before the first entry, and for a label without a place.
pub async fn answer(
    tx: &mut (dyn ReadTx + '_),
    keys: &LogKeys,
    label: &Label,
    view: View,
    asker: Asker,
    now: Timestamp,
) -> Stored<Option<Answered>> {
    let Some((label_id, vrf_proof)) = keys.place(label) else { return Ok(None) };
    let Some(head) = tx.kt_head().await? else { return Ok(None) };
    let Some(checkpoint) = checkpoint(tx, keys, view, asker, now).await? else {
        return Ok(Some(Answered::Pending));
    };
    let size = checkpoint.head().size;
    if size < head.size && tx.kt_latest(label_id.as_bytes()).await?.is_some_and(|row| row.index >= size) {
        return Ok(Some(Answered::Pending));
    }
    let mut log = Reader { tx, head: checkpoint.head(), tiles: BTreeMap::new() };
    let config =
        log.row(LabelId::CONFIG).await?.ok_or_else(|| corrupt("kt_entries", "no CONFIG".to_owned()))?;
    let latest = log.row(label_id).await?;
    let claim = LatestClaim {
        origin: keys.origin().clone(),
        label_id,
        latest: latest.as_ref().map(|(_, entry)| (entry.version, entry.leaf_hash())),
        config: (config.1.version, config.1.leaf_hash()),
        head: log.head,
        // The log's times never run back, so its word doesn't either.
        time: latest.as_ref().map_or(now, |(_, entry)| entry.time.max(now)),
    };
    let has_config = view.config == Some(config.1.version);
    let evidence = Evidence {
        consistency: log.consistency(view.size, log.head.size).await?,
        claim: claim.sign(keys.log()),
        config: if has_config { None } else { Some(log.proven(&config).await?) },
        checkpoint,
    };
    let mut answer =
        LookupAnswer { evidence, vrf_proof, latest: None, base: None, links: vec![], resets: vec![] };
    let Some(latest) = latest else { return Ok(Some(Answered::Lookup(Box::new(answer)))) };
    answer.latest = Some(log.proven(&latest).await?);
    let mut carrier = latest;
    if log.reason(&carrier).await? == Some(Reason::ResetPending)
        && let Some(before) = carrier.1.version.checked_sub(1)
        && let Some(base) = log.version(label_id, before).await?
    {
        answer.base = Some(log.proven(&base).await?);
        carrier = base;
    }
    let mut links = Vec::new();
    if let Some(known) = view.version {
        links = log.key_changes(label_id, known.saturating_add(1), carrier.1.version).await?;
    }
    for link in &links {
        answer.links.push(log.proven(link).await?);
    }
    for changed in links.iter().chain([&carrier]) {
        if log.reason(changed).await? == Some(Reason::Reset) {
            answer.resets.extend(log.announcement(label_id, &changed.1).await?);
        }
    }
    Ok(Some(Answered::Lookup(Box::new(answer))))
}

/// The checkpoint to answer at; `None` if whoever asks must wait for one.
async fn checkpoint(
    tx: &mut (dyn ReadTx + '_),
    keys: &LogKeys,
    view: View,
    asker: Asker,
    now: Timestamp,
) -> Stored<Option<SignedCheckpoint>> {
    let Some(head) = tx.kt_head().await? else { return Ok(None) };
    let cosigned = match cosigning::served(tx).await? {
        Some(Served::Newest(newest)) => return Ok(Some(newest)),
        Some(Served::Cosigned(cosigned)) => Some(cosigned),
        Some(Served::None) | None => None,
    };
    // Who has seen a larger tree takes no smaller one. A tree larger than the log has no answer: then it is the log that went back,
    // and who asks shall see that.
    let size = cosigned.as_ref().map_or(0, |cosigned| cosigned.head().size);
    let ahead = size < view.size && view.size <= head.size;
    match asker {
        Asker::Own if ahead || cosigning::is_silent(tx, keys, cosigned.as_ref(), now).await? => {
            let newest = SignedCheckpoint::parse(head.note.as_bytes());
            let fault = |error| corrupt("kt_head", format!("the checkpoint can't be read: {error}"));
            newest.map(Some).map_err(fault)
        }
        Asker::Own | Asker::Foreign => Ok(cosigned.filter(|_| !ahead)),
    }
}

/// From one tree of the log to a later one (RFC 6962, section 2.1.2); `None` if they aren't trees of it in that order.
pub async fn consistency(
    tx: &mut (dyn TransparencyRead + '_),
    old: u64,
    new: u64,
) -> Stored<Option<Vec<Digest>>> {
    let Some(head) = tx.kt_head().await? else { return Ok(None) };
    if old > new || new > head.size {
        return Ok(None);
    }
    let head = TreeHead { size: head.size, root: Digest::ZERO };
    Reader { tx, head, tiles: BTreeMap::new() }.consistency(old, new).await.map(Some)
}

/// The root of the tree of the first `size` entries; `None` if the log has fewer.
pub(crate) async fn root(tx: &mut (dyn TransparencyRead + '_), size: u64) -> Stored<Option<Digest>> {
    let Some(head) = tx.kt_head().await?.filter(|head| size <= head.size) else { return Ok(None) };
    let Some(plan) = ProofPlan::root(size) else { return Ok(None) };
    let head = TreeHead { size: head.size, root: Digest::ZERO };
    let root = Reader { tx, head, tiles: BTreeMap::new() }.prove(&plan).await?;
    Ok(root.first().copied())
}

/// A row with its entry.
type Known = (LogRow, Entry);

/// The log while one answer is made: tiles are read once.
struct Reader<'a, 'tx> {
    tx: &'a mut (dyn TransparencyRead + 'tx),
    head: TreeHead,
    tiles: BTreeMap<(u8, u64), Vec<Digest>>,
}

impl Reader<'_, '_> {
    /// The newest entry of a label in this tree.
    async fn row(&mut self, label_id: LabelId) -> Stored<Option<Known>> {
        let row = self.tx.kt_latest_within(label_id.as_bytes(), self.head.size).await?;
        row.map(|row| read_entry(&row).map(|entry| (row, entry))).transpose()
    }

    async fn version(&mut self, label_id: LabelId, version: u32) -> Stored<Option<Known>> {
        let rows = self.tx.kt_versions(label_id.as_bytes(), version, 1).await?;
        let row = rows.into_iter().next().filter(|row| row.version == version);
        row.map(|row| read_entry(&row).map(|entry| (row, entry))).transpose()
    }

    async fn reason(&mut self, known: &Known) -> Stored<Option<Reason>> {
        let contents = self.tx.kt_contents(known.0.index).await?;
        let signed = contents.and_then(|contents| SignedValue::from_bytes(&contents.value).ok());
        Ok(signed.map(|signed| signed.value.reason()))
    }

    /// The versions from one on and before another that changed the identity key, at most as many as a client takes. Who knows
    /// a version before more of them than that can't be shown how they follow.
    async fn key_changes(&mut self, label_id: LabelId, from: u32, before: u32) -> Stored<Vec<Known>> {
        let (mut next, mut found) = (from, Vec::new());
        while next < before && found.len() < LOOKUP_LINKS {
            let rows = self.tx.kt_versions(label_id.as_bytes(), next, PAGE).await?;
            let Some(last) = rows.last().map(|row| row.version) else { break };
            for row in rows.into_iter().filter(|row| row.version < before) {
                let known = (row.clone(), read_entry(&row)?);
                if matches!(self.reason(&known).await?, Some(Reason::Rotation | Reason::Reset)) {
                    found.push(known);
                }
            }
            next = last.saturating_add(1);
        }
        found.truncate(LOOKUP_LINKS);
        Ok(found)
    }

    async fn proven(&mut self, (row, entry): &Known) -> Stored<Proven> {
        let contents = self.tx.kt_contents(row.index).await?;
        let contents = contents.map(|contents| (Opening::from_bytes(contents.opening), contents.value));
        let inclusion = self.inclusion(row.index, self.head.size).await?;
        Ok(Proven { entry: *entry, index: row.index, inclusion, contents })
    }

    /// That the version before a reset announced it, and when that was seen; `None` if it wasn't yet.
    async fn announcement(&mut self, label_id: LabelId, reset: &Entry) -> Stored<Option<ResetEvidence>> {
        let Some(before) = reset.version.checked_sub(1) else { return Ok(None) };
        let Some(pending) = self.version(label_id, before).await? else { return Ok(None) };
        let index = pending.0.index;
        let Some(note) = self.tx.kt_seen(index).await? else { return Ok(None) };
        let seen = SignedCheckpoint::parse(note.as_bytes())
            .map_err(|error| corrupt("kt_seen", format!("entry {index}: {error}")))?;
        let size = seen.head().size;
        if size > self.head.size {
            return Ok(None);
        }
        let pending = self.proven(&pending).await?;
        Ok(Some(ResetEvidence {
            pending,
            seen_inclusion: self.inclusion(index, size).await?,
            consistency: self.consistency(size, self.head.size).await?,
            config: self.config_of(size).await?,
            seen,
        }))
    }

    /// The CONFIG that was the newest in the tree of this size, with the one after it; `None` if there is none after it.
    async fn config_of(&mut self, size: u64) -> Stored<Option<(Proven, Proven)>> {
        let row = self.tx.kt_latest_within(LabelId::CONFIG.as_bytes(), size).await?;
        let Some(row) = row else { return Ok(None) };
        let entry = read_entry(&row)?;
        let next = self.version(LabelId::CONFIG, row.version.saturating_add(1)).await?;
        let Some(next) = next.filter(|(row, _)| row.index < self.head.size) else { return Ok(None) };
        Ok(Some((self.proven(&(row, entry)).await?, self.proven(&next).await?)))
    }

    async fn inclusion(&mut self, index: u64, size: u64) -> Stored<Vec<Digest>> {
        let plan = ProofPlan::inclusion(index, size);
        let plan = plan.ok_or_else(|| corrupt("kt_entries", format!("{index} is no entry of {size}")))?;
        self.prove(&plan).await
    }

    /// Empty if the asker has no tree, or says that it has a larger one: it sees then that this one is smaller.
    async fn consistency(&mut self, old: u64, new: u64) -> Stored<Vec<Digest>> {
        match ProofPlan::consistency(old, new) {
            Some(plan) => self.prove(&plan).await,
            None => Ok(Vec::new()),
        }
    }

    async fn prove(&mut self, plan: &ProofPlan) -> Stored<Vec<Digest>> {
        for tile in plan.tiles() {
            let place = (tile.level(), tile.index());
            let known =
                self.tiles.get(&place).is_some_and(|hashes| hashes.len() >= usize::from(tile.width()));
            if known {
                continue;
            }
            let stored = self.tx.kt_tile(tile.level(), tile.index()).await?.unwrap_or_default();
            // The tile may have grown since the tree that is spoken of.
            let wanted = stored.get(..usize::from(tile.width()).saturating_mul(32)).unwrap_or_default();
            let hashes = tile_from_bytes(tile, wanted)
                .map_err(|error| corrupt("kt_tiles", format!("`{tile}`: {error}")))?;
            self.tiles.insert(place, hashes);
        }
        plan.answer(&self.tiles).map_err(|missing| corrupt("kt_tiles", missing.to_string()))
    }
}

#[cfg(test)]
mod tests;
