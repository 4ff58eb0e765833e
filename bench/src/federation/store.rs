//! Peers and rows for them, put into the store of a domain that does not run, as a homeserver would have written them.

use std::path::Path;

use anyhow::Context as _;
use data_encoding::HEXLOWER_PERMISSIVE;
use qpq_core::{
    Clock as _, Digest, Domain, Entropy as _, MessageId, Millis, OsEntropy, Pin, SystemClock, Timestamp,
};
use qpq_storage::{NewOutboxRow, Peer, PeerState, Storage, WriteTx};
use qpq_storage_sqlite::{DatabaseKey, Options, SqliteStorage};

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:9";
/// Rows in one transaction.
const ROWS: u32 = 2_000;
/// Rows that wait for a peer that is away.
const WAITING: u32 = 20;
/// Streams that a peer's rows are in.
const STREAMS: u32 = 16;

/// A peer as it is to be stored.
pub(super) struct PeerToStore {
    pub(super) domain: Domain,
    pub(super) address: String,
    pub(super) pin: Pin,
    pub(super) ca_certificate: Vec<u8>,
    /// Rows that wait for it.
    pub(super) rows: u32,
}

/// A peer that is away while rows wait for it.
pub(super) fn away(n: u32) -> anyhow::Result<PeerToStore> {
    Ok(PeerToStore {
        domain: format!("away-{n}.test").parse()?,
        address: NOBODY.to_owned(),
        pin: Pin::of_spki(&n.to_be_bytes()),
        ca_certificate: vec![9; 400],
        rows: WAITING,
    })
}

/// Opens a stopped domain's store (its key lies beside it) and stores the peers.
pub(super) async fn peers(directory: &Path, peers: Vec<PeerToStore>) -> anyhow::Result<()> {
    let path = directory.join("keys/database");
    let text = std::fs::read_to_string(&path).with_context(|| format!("no key in {}", path.display()))?;
    let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes())?;
    let key = bytes.try_into().ok().map(DatabaseKey::new).context("the database key has another length")?;
    let storage = SqliteStorage::open(&directory.join("homeserver.db"), &key, &Options::default()).await?;
    let stored = store(&storage, peers).await;
    storage.close().await?;
    stored
}

async fn store(storage: &dyn Storage, peers: Vec<PeerToStore>) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let mut tx = storage.write().await?;
    let mut rows = Vec::new();
    for PeerToStore { domain, address, pin, ca_certificate, rows: waiting } in peers {
        let peer = Peer {
            domain: domain.clone(),
            state: PeerState::Allowed,
            address: Some(address),
            pin,
            ca_certificate,
            federation_key: [7; 32],
            incarnation: None,
            refused: None,
            since: now,
            note: "made by the bench".to_owned(),
        };
        tx.peer_store(&peer).await?;
        rows.push((domain, waiting));
    }
    tx.commit().await?;
    for (domain, waiting) in rows {
        for begin in (0..waiting).step_by(usize::try_from(ROWS)?) {
            let mut tx = storage.write().await?;
            append(tx.as_mut(), &domain, begin..waiting.min(begin + ROWS), now).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

async fn append(
    tx: &mut dyn WriteTx,
    destination: &Domain,
    numbers: std::ops::Range<u32>,
    now: Timestamp,
) -> anyhow::Result<()> {
    let mut entropy = OsEntropy::new()?;
    let mut rows = Vec::new();
    for n in numbers {
        let stream = Digest::of(&[destination.as_str().as_bytes(), &(n % STREAMS).to_be_bytes()]);
        let mut id = [0; 16];
        entropy.fill(&mut id);
        rows.push(NewOutboxRow {
            destination: destination.clone(),
            stream: *stream.as_bytes().first_chunk().context("16 bytes")?,
            id: MessageId::from_bytes(id),
            kind: 1,
            expires_at: Some(now.after(Millis::from_days(30))),
            payload: vec![5; 256],
            at: now,
            request: None,
        });
    }
    tx.outbox_append(&rows).await?;
    Ok(())
}
