//! A peer that has gone bad: who holds a domain's keys *is* that domain, and may say whatever it likes.

mod attack;
mod deaf;

use std::fs;

use anyhow::{Context as _, ensure};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use qpq_core::{Digest, Domain, Incarnation, MessageId, Seq, limits};
use qpq_federation_proto::{Batch, BatchDigest, Row, RowKind, SignedHeader, StreamId};
use qpq_schemas::federation_capnp::{link, peering, stream_answer};
use qpq_transport::{Connection, Endpoint, Leaf};

use crate::{
    HomeDomain, stranger,
    wire::{self, FederationLink, Refused, Wire},
};
pub use attack::{Attack, Attacker};
pub use deaf::Deaf;

/// A domain in the wrong hands.
#[derive(Clone, Debug)]
pub struct Impostor {
    domain: Domain,
    leaf: Leaf,
    key: SigningKey,
    life: Incarnation,
}

/// Whom it speaks to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its federation listener.
    pub address: String,
    /// Its name.
    pub domain: Domain,
}

impl Target {
    /// A domain that runs.
    pub fn of(domain: &HomeDomain) -> Self {
        Self { address: domain.federation_address(), domain: domain.name().clone() }
    }
}

/// What an introduction led to.
#[derive(Debug)]
pub struct Introduced {
    /// Who answered, if anybody did.
    pub domain: Option<String>,
    /// Whether it said what only trusted peers are told.
    pub told_more: bool,
    /// What the peer may call, if it is trusted.
    pub link: Option<Called>,
    /// Why not.
    pub failure: Option<Refused>,
}

/// The calls of a trusted peer.
#[derive(Clone)]
pub struct Called(pub link::Client);

impl std::fmt::Debug for Called {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Called(…)")
    }
}

/// What became of a stream's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// They are stored up to here.
    Applied(Seq, Digest),
    /// Rows before them are missing: this one is next.
    Expects(Seq),
    /// They contradict what is stored; the last signed header of the stream.
    Differs(Vec<u8>),
    /// Not now.
    NotNow(Refused),
}

impl Impostor {
    /// Takes the keys of a running domain, which stops afterwards.
    pub async fn of(domain: &HomeDomain) -> anyhow::Result<Self> {
        let wire = Wire::dial(&domain.client_address(), domain.name(), domain.pin()).await?;
        let life = Incarnation::from_slice(&wire.incarnation().await?).context("an incarnation")?;
        wire.close().await;
        let impostor = Self::beside(domain, life)?;
        domain.stop().await?;
        Ok(impostor)
    }

    /// Takes the keys of a domain and claims such a life for it.
    pub fn beside(domain: &HomeDomain, life: Incarnation) -> anyhow::Result<Self> {
        let text = fs::read_to_string(domain.directory().join("keys/federation"))?;
        let key: [u8; 32] = HEXLOWER.decode(text.trim().as_bytes())?.try_into().ok().context("32 bytes")?;
        let leaf = stranger::stolen_leaf(domain)?;
        Ok(Self { domain: domain.name().clone(), leaf, key: SigningKey::from_bytes(&key), life })
    }

    /// Its name.
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The life that it claims.
    pub const fn life(&self) -> Incarnation {
        self.life
    }

    /// Dials somebody and says nothing yet.
    pub async fn dial(&self, target: &Target) -> anyhow::Result<FederationLink> {
        FederationLink::dial(&target.address, &target.domain, &self.leaf).await
    }

    /// Connects to somebody and opens no stream.
    pub async fn connect(&self, target: &Target) -> anyhow::Result<(Endpoint, Connection)> {
        wire::connect_peer(&target.address, &target.domain, &self.leaf).await
    }

    /// Introduces itself.
    pub async fn introduces_itself(&self, peering: &peering::Client) -> anyhow::Result<Introduced> {
        let answer = wire::within(self.hello(peering).send().promise).await?;
        let answer = answer.get()?;
        let hello = if answer.has_hello() { Some(answer.get_hello()?) } else { None };
        Ok(Introduced {
            domain: hello.map(|hello| anyhow::Ok(hello.get_domain()?.to_string()?)).transpose()?,
            told_more: hello.is_some_and(|hello| hello.has_trusted()),
            link: if answer.has_link() { Some(Called(answer.get_link()?)) } else { None },
            failure: if answer.has_failure() { Some(wire::refused(answer.get_failure()?)?) } else { None },
        })
    }

    /// An introduction, not sent yet.
    pub fn hello(
        &self,
        peering: &peering::Client,
    ) -> capnp::capability::Request<peering::hello_params::Owned, peering::hello_results::Owned> {
        let mut request = peering.hello_request();
        let mut hello = request.get().init_hello();
        hello.set_min_version(limits::PROTOCOL_VERSION);
        hello.set_max_version(limits::PROTOCOL_VERSION);
        hello.set_domain(self.domain.as_str());
        let mut trusted = hello.init_trusted();
        trusted.set_incarnation(&self.life.to_bytes());
        trusted.set_heads_digest(&[0; 32]);
        trusted.set_clock(1);
        request
    }

    /// A link that is trusted.
    pub async fn link(&self, target: &Target) -> anyhow::Result<(FederationLink, link::Client)> {
        let dialled = self.dial(target).await?;
        let introduced = self.introduces_itself(dialled.peering()).await?;
        let link = introduced.link.with_context(|| format!("no link: {:?}", introduced.failure))?;
        Ok((dialled, link.0))
    }

    /// Signs batches for somebody, as this domain or, falsely, as another.
    pub fn sign(
        &self,
        origin: &Domain,
        destination: &Domain,
        batches: &[Batch],
    ) -> anyhow::Result<SignedHeader> {
        let digests = batches.iter().map(BatchDigest::of).collect();
        Ok(SignedHeader::sign(&self.key, origin.clone(), destination.clone(), self.life, digests)?)
    }
}

/// Rows of one stream that mean nothing: tombstones, which anybody may send. The id says which they are.
pub fn rows(stream: u8, first: u64, count: u64, id: u8, payload: usize) -> anyhow::Result<Batch> {
    rows_after(None, stream, first, count, id, payload)
}

/// The same, behind rows with such a chain.
pub fn rows_after(
    before: Option<Digest>,
    stream: u8,
    first: u64,
    count: u64,
    id: u8,
    payload: usize,
) -> anyhow::Result<Batch> {
    let row = |seq| Row {
        seq: Seq(seq),
        id: MessageId::from_bytes([id; 16]),
        kind: RowKind::Tombstone,
        ttl: None,
        payload: vec![id; payload],
        request: None,
    };
    Ok(Batch::new(StreamId::from_bytes([stream; 16]), before, (first..first + count).map(row).collect())?)
}

/// A relay call with this header, not sent yet.
pub fn relay(
    link: &link::Client,
    header: &SignedHeader,
    signature: &[u8],
    batches: &[Batch],
) -> capnp::capability::Request<link::relay_enqueue_params::Owned, link::relay_enqueue_results::Owned> {
    let mut request = link.relay_enqueue_request();
    let mut signed = request.get().init_header();
    signed.set_origin(header.origin().as_str());
    signed.set_destination(header.destination().as_str());
    signed.set_incarnation(&header.incarnation().to_bytes());
    signed.set_signature(signature);
    let mut list = request.get().init_batches(u32::try_from(batches.len()).unwrap_or(u32::MAX));
    for (index, batch) in (0..).zip(batches) {
        let mut sent = list.reborrow().get(index);
        sent.set_stream(batch.stream().as_bytes());
        sent.set_first(batch.first().0);
        if let Some(before) = batch.before() {
            sent.set_before(before.as_bytes());
        }
        let mut rows = sent.init_rows(u32::try_from(batch.rows().len()).unwrap_or(u32::MAX));
        for (index, row) in (0..).zip(batch.rows()) {
            let mut sent = rows.reborrow().get(index);
            sent.set_id(row.id.as_bytes());
            sent.set_kind(row.kind.number());
            sent.set_payload(&row.payload);
        }
    }
    request
}

/// Sends one batch with this header, and what came of it.
pub async fn relays(
    link: &link::Client,
    header: &SignedHeader,
    signature: &[u8],
    batch: &Batch,
) -> anyhow::Result<Result<Answered, Refused>> {
    let answer =
        wire::within(relay(link, header, signature, std::slice::from_ref(batch)).send().promise).await?;
    let answer = answer.get()?;
    if answer.has_failure() {
        return Ok(Err(wire::refused(answer.get_failure()?)?));
    }
    let answers = answer.get_answers()?;
    ensure!(answers.len() == 1, "one stream has one answer");
    Ok(Ok(match answers.get(0).which()? {
        stream_answer::Applied(applied) => {
            let applied = applied?;
            let chain = Digest::from_slice(applied.get_chain()?).context("a chain")?;
            Answered::Applied(Seq(applied.get_through()), chain)
        }
        stream_answer::ExpectSeq(next) => Answered::Expects(Seq(next)),
        stream_answer::ChainDiffers(header) => Answered::Differs(header?.to_vec()),
        stream_answer::NotNow(failure) => Answered::NotNow(wire::refused(failure?)?),
    }))
}
