//! What a log says of one user.

use capnp::Result as Got;
use qpq_core::Digest;
use qpq_schemas::transparency_capnp::{lookup_answer, proven_entry, reset_evidence};
use qpq_transparency_tree::{
    VerifierKey,
    claim::{LatestClaim, SignedClaim},
    entry::ENTRY_BYTES,
    lookup::{Evidence, LOOKUP_LINKS, LookupAnswer, Proven, ResetEvidence},
    vrf::{VRF_PROOF_BYTES, VrfProof},
};

use crate::{
    Field, KEY_TEXT_BYTES, LOOKUP_RESETS, WireError,
    entry::{read_proven, write_proven},
    field::{array, checkpoint, count, few, hash_bytes, hashes, length, malformed, parsed},
};

/// What a domain's log says of a user, with the log's key as the teller knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldLookup {
    /// The key that signs the log; who has one pinned goes by that.
    pub log_key: VerifierKey,
    /// What the log says.
    pub answer: LookupAnswer,
}

impl ToldLookup {
    /// About how many bytes it is on the wire: for whoever puts many into one message.
    pub fn bytes(&self) -> usize {
        let hashes = |list: &[Digest]| list.len().saturating_mul(32);
        let proven = |proven: &Proven| {
            let value = proven.contents.as_ref().map_or(0, |(_, value)| value.len());
            ENTRY_BYTES.saturating_add(hashes(&proven.inclusion)).saturating_add(value).saturating_add(64)
        };
        let LookupAnswer { evidence, vrf_proof: _, latest, base, links, resets } = &self.answer;
        let entries = evidence.config.iter().chain(latest).chain(base).chain(links);
        let reset = |reset: &ResetEvidence| {
            let paths = hashes(&reset.seen_inclusion).saturating_add(hashes(&reset.consistency));
            let configs = reset.config.iter().flat_map(|(config, next)| [config, next]).map(proven);
            let fixed = paths.saturating_add(reset.seen.to_string().len());
            configs.chain([proven(&reset.pending)]).fold(fixed, usize::saturating_add)
        };
        let fixed = 512_usize.saturating_add(evidence.checkpoint.to_string().len());
        let fixed = fixed.saturating_add(hashes(&evidence.consistency));
        let parts = entries.map(proven).chain(resets.iter().map(reset));
        parts.fold(fixed, usize::saturating_add)
    }
}

/// Writes what a log says.
pub fn write_lookup(told: &ToldLookup, mut builder: lookup_answer::Builder<'_>) {
    let ToldLookup { log_key, answer } = told;
    builder.set_log_key(log_key.to_string());
    write_evidence(&answer.evidence, builder.reborrow());
    builder.set_vrf_proof(answer.vrf_proof.as_bytes());
    if let Some(latest) = &answer.latest {
        write_proven(latest, builder.reborrow().init_latest());
    }
    if let Some(base) = &answer.base {
        write_proven(base, builder.reborrow().init_base());
    }
    let mut links = builder.reborrow().init_links(length(answer.links.len()));
    for (index, link) in (0..).zip(&answer.links) {
        write_proven(link, links.reborrow().get(index));
    }
    let mut resets = builder.init_resets(length(answer.resets.len()));
    for (index, reset) in (0..).zip(&answer.resets) {
        write_reset(reset, resets.reborrow().get(index));
    }
}

fn write_evidence(evidence: &Evidence, mut builder: lookup_answer::Builder<'_>) {
    builder.set_note(evidence.checkpoint.to_string());
    builder.set_consistency(&hash_bytes(&evidence.consistency));
    builder.set_claim(&evidence.claim.claim.to_bytes());
    builder.set_claim_signature(&evidence.claim.signature);
    if let Some(config) = &evidence.config {
        write_proven(config, builder.init_config());
    }
}

fn write_reset(reset: &ResetEvidence, mut builder: reset_evidence::Builder<'_>) {
    write_proven(&reset.pending, builder.reborrow().init_pending());
    builder.set_seen(reset.seen.to_string());
    builder.set_seen_inclusion(&hash_bytes(&reset.seen_inclusion));
    builder.set_consistency(&hash_bytes(&reset.consistency));
    if let Some((config, next)) = &reset.config {
        write_proven(config, builder.reborrow().init_config());
        write_proven(next, builder.init_next_config());
    }
}

/// Reads what a log says. Nothing of it is verified here.
pub fn read_lookup(reader: lookup_answer::Reader<'_>) -> Result<ToldLookup, WireError> {
    let links = reader.get_links()?;
    few(Field::new("links"), count(links.len()), LOOKUP_LINKS)?;
    let resets = reader.get_resets()?;
    few(Field::new("resets"), count(resets.len()), LOOKUP_RESETS)?;
    let answer = LookupAnswer {
        evidence: read_evidence(reader)?,
        vrf_proof: read_vrf_proof(reader.get_vrf_proof())?,
        latest: read_optional("latest", reader.has_latest(), reader.get_latest())?,
        base: read_optional("base", reader.has_base(), reader.get_base())?,
        links: links.iter().map(|link| read_proven("links", link)).collect::<Result<_, _>>()?,
        resets: resets.iter().map(read_reset).collect::<Result<_, _>>()?,
    };
    let log_key = parsed(Field::new("logKey"), reader.get_log_key(), KEY_TEXT_BYTES)?;
    Ok(ToldLookup { log_key, answer })
}

fn read_evidence(reader: lookup_answer::Reader<'_>) -> Result<Evidence, WireError> {
    let claim = LatestClaim::from_bytes(reader.get_claim()?).map_err(malformed(Field::new("claim")))?;
    let signature = array(Field::new("claimSignature"), reader.get_claim_signature())?;
    Ok(Evidence {
        checkpoint: checkpoint(Field::new("note"), reader.get_note())?,
        consistency: hashes(Field::new("consistency"), reader.get_consistency())?,
        claim: SignedClaim { claim, signature },
        config: read_optional("config", reader.has_config(), reader.get_config())?,
    })
}

fn read_vrf_proof(reader: Got<&[u8]>) -> Result<VrfProof, WireError> {
    let bytes = reader?;
    let (field, found) = (Field::new("vrfProof"), bytes.len());
    VrfProof::from_slice(bytes).ok_or(WireError::Length { field, found, needed: VRF_PROOF_BYTES })
}

fn read_optional(
    part: &'static str,
    is_there: bool,
    reader: Got<proven_entry::Reader<'_>>,
) -> Result<Option<Proven>, WireError> {
    is_there.then(|| read_proven(part, reader?)).transpose()
}

fn read_reset(reader: reset_evidence::Reader<'_>) -> Result<ResetEvidence, WireError> {
    let field = |name| Field::of("resets", name);
    Ok(ResetEvidence {
        pending: read_proven("resets.pending", reader.get_pending()?)?,
        seen: checkpoint(field("seen"), reader.get_seen())?,
        seen_inclusion: hashes(field("seenInclusion"), reader.get_seen_inclusion())?,
        consistency: hashes(field("consistency"), reader.get_consistency())?,
        config: read_optional("resets.config", reader.has_config(), reader.get_config())?.zip(read_optional(
            "resets.nextConfig",
            reader.has_next_config(),
            reader.get_next_config(),
        )?),
    })
}
