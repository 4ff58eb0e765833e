//! `qpq-server log audit URL`: the whole log that a domain publishes, read and judged by an outsider.
//!
//! The rules are `qpq_transparency_tree::audit`'s; here is where the bytes come from and what is said in the end. What the
//! log is to blame for becomes a finding; what may be the network's fault, or the URL's, is an error.

mod site;

use qpq_transparency_tree::{
    SignedCheckpoint, TreeHead, VerifierKey,
    audit::{Audit, AuditError},
    entry::ENTRY_BYTES,
    note::{NOTE_BYTES, NoteSignature},
    tile::{BundleId, TILE_WIDTH, TileId, TilePath, tile_from_bytes, unbundle},
};
use serde_json::{Value, json};

pub(crate) use self::site::LogPlace;
use self::site::{Got, Site, SiteError};
use crate::{cli::LogAudit, output};

const UNCHECKED: &str = "first seen: checked against no key. Ask the domain for its log's key by another way and give it with `--key`";
const BROKEN: &str = "don't believe new keys of this domain before its admin has explained this; `qpq-server log verify` says there what \
                      is wrong. If something stands between, such as a mirror, read the log without it";

/// Why there is no checkpoint to begin with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLog {
    /// There is nothing.
    #[error(
        "there is no log at `{0}`: give the URL below which `checkpoint` lies, such as `https://alpha.example/kt/v1`"
    )]
    Nothing(String),
    /// There is something else.
    #[error(
        "what is at `{url}/checkpoint` is no log's checkpoint ({why}): give the URL below which `checkpoint` lies, or ask the domain's admin"
    )]
    SomethingElse {
        /// Where.
        url: String,
        /// What it is not.
        why: String,
    },
}

/// Reads the log and says what was found.
pub(crate) fn run(flags: &LogAudit) -> anyhow::Result<Value> {
    let site = Site::new(flags.url.clone())?;
    let signed = checkpoint(&site)?;
    let mut reading = Reading { site: &site, head: signed.head(), audit: Audit::new() };
    let broken = match who_signed(&signed, flags.key.as_ref()) {
        Err(why) => Ok(Some(why)),
        Ok(()) => reading.broken(),
    };
    output::progress("");
    Ok(found(&signed, flags.key.as_ref(), &reading.audit, broken?.as_deref()))
}

fn checkpoint(site: &Site) -> anyhow::Result<SignedCheckpoint> {
    let something_else = |why: String| NoLog::SomethingElse { url: site.place().to_string(), why };
    match site.get("checkpoint", NOTE_BYTES)? {
        Got::Found(note) => {
            Ok(SignedCheckpoint::parse(&note).map_err(|error| something_else(error.to_string()))?)
        }
        Got::Nothing => Err(NoLog::Nothing(site.place().to_string()).into()),
        Got::TooLong => Err(something_else(format!("it has more than {NOTE_BYTES} bytes")).into()),
    }
}

/// Whether the log itself signed, as far as anybody can tell without its key.
fn who_signed(signed: &SignedCheckpoint, key: Option<&VerifierKey>) -> Result<(), String> {
    let origin = &signed.checkpoint().origin;
    match key {
        Some(key) if key.name() != origin => {
            Err(format!("this is the log `{origin}`, and the key that was given is of `{}`", key.name()))
        }
        Some(key) => signed.signed_by(key).map_err(|error| error.to_string()),
        None if log_signature(signed).is_none() => {
            Err(format!("nobody signed the checkpoint in the name of `{origin}`"))
        }
        None => Ok(()),
    }
}

/// The signature in the log's own name.
fn log_signature(signed: &SignedCheckpoint) -> Option<&NoteSignature> {
    signed.note().signatures().iter().find(|signature| *signature.name() == signed.checkpoint().origin)
}

fn found(signed: &SignedCheckpoint, key: Option<&VerifierKey>, audit: &Audit, broken: Option<&str>) -> Value {
    let (origin, head) = (&signed.checkpoint().origin, signed.head());
    let shown = |signature: &NoteSignature| format!("{}+{:08x}", signature.name(), signature.id());
    let by = key.map(|key| format!("{}+{:08x}", key.name(), key.id()));
    let others = signed.note().signatures().iter().filter(|signature| signature.name() != origin);
    json!({
        "ok": broken.is_none(),
        "origin": origin.to_string(),
        "size": head.size,
        "root": head.root.to_string(),
        "entries": audit.size(),
        "labels": audit.labels(),
        "signed_by": by.or_else(|| log_signature(signed).map(shown)),
        "signature": if key.is_some() { "checked" } else { UNCHECKED },
        "cosignatures": others.map(shown).collect::<Vec<_>>(),
        "remedy": broken.map(|_| BROKEN),
        "broken": broken,
    })
}

/// Why reading ends early.
#[derive(Debug)]
enum Halt {
    /// The log is not what it signed.
    Broken(String),
    /// It can't be read on.
    Site(SiteError),
}

impl From<SiteError> for Halt {
    fn from(error: SiteError) -> Self {
        Self::Site(error)
    }
}

impl From<AuditError> for Halt {
    fn from(error: AuditError) -> Self {
        Self::Broken(error.to_string())
    }
}

struct Reading<'a> {
    site: &'a Site,
    head: TreeHead,
    audit: Audit,
}

impl Reading<'_> {
    /// Reads to the end; what is wrong with the log, if anything is.
    fn broken(&mut self) -> Result<Option<String>, SiteError> {
        match self.whole() {
            Ok(()) => Ok(None),
            Err(Halt::Broken(why)) => Ok(Some(why)),
            Err(Halt::Site(error)) => Err(error),
        }
    }

    fn whole(&mut self) -> Result<(), Halt> {
        if self.head.size == 0 {
            return Err(AuditError::NoConfig.into());
        }
        for index in 0.. {
            let Some(bundle) = BundleId::of(index, self.head.size) else { break };
            output::progress(&format!("{} of {} entries", self.audit.size(), self.head.size));
            self.read(bundle)?;
        }
        Ok(self.audit.finish(self.head)?)
    }

    /// The next entries, and the tiles that are complete with them.
    fn read(&mut self, bundle: BundleId) -> Result<(), Halt> {
        let full = BundleId::new(bundle.index(), TILE_WIDTH).map(TilePath::Entries);
        let (bytes, width) =
            self.published(TilePath::Entries(bundle), full, ENTRY_BYTES.saturating_add(2))?;
        let entries = unbundle(&bytes).map_err(|error| Halt::Broken(format!("`{bundle}`: {error}")))?;
        let needed = entries.get(..usize::from(bundle.width()));
        let Some(needed) = needed.filter(|_| entries.len() == usize::from(width)) else {
            return Err(Halt::Broken(format!("`{bundle}` has {} entries, not {width}", entries.len())));
        };
        for (tile, hashes) in self.audit.take(needed)? {
            // Tiles above the lowest grow while one reads: only what the signed tree has is published.
            if TileId::of(tile.level(), tile.index(), self.head.size) == Some(tile)
                && self.tile(tile)? != hashes
            {
                return Err(Halt::Broken(format!("`{tile}` is not the tile over the log's entries")));
            }
        }
        Ok(())
    }

    fn tile(&self, tile: TileId) -> Result<Vec<qpq_core::Digest>, Halt> {
        let full = TileId::new(tile.level(), tile.index(), TILE_WIDTH);
        let (bytes, width) = self.published(TilePath::Hashes(tile), full.map(TilePath::Hashes), 32)?;
        let shown = if width == tile.width() { Some(tile) } else { full };
        let read = shown.map(|shown| tile_from_bytes(shown, &bytes)).transpose();
        let mut hashes = read.map_err(|error| Halt::Broken(error.to_string()))?.unwrap_or_default();
        hashes.truncate(usize::from(tile.width()));
        Ok(hashes)
    }

    /// A tile's bytes and how many items they should be. Where the log has grown since, the full tile may be all that is left
    /// of a partial one (C2SP tlog-tiles, "Partial Tiles").
    fn published(
        &self,
        path: TilePath,
        full: Option<TilePath>,
        item_bytes: usize,
    ) -> Result<(Vec<u8>, u16), Halt> {
        let width = match path {
            TilePath::Hashes(tile) => tile.width(),
            TilePath::Entries(bundle) => bundle.width(),
        };
        for (path, width) in [(Some(path), width), (full.filter(|full| *full != path), TILE_WIDTH)] {
            let Some(path) = path else { continue };
            let most = item_bytes.saturating_mul(usize::from(width));
            match self.site.get(&path.to_string(), most)? {
                Got::Found(bytes) => return Ok((bytes, width)),
                Got::Nothing => {}
                Got::TooLong => {
                    return Err(Halt::Broken(format!(
                        "`{path}` has more than the {most} bytes that it may have"
                    )));
                }
            }
        }
        Err(Halt::Broken(format!("`{path}` is missing, and the checkpoint says that it is there")))
    }
}
