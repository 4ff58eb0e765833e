//! Fills the database of a domain that does not run: users with devices and sessions, bans, tokens, peers with rows that
//! wait, audit rows. Through the store itself, so everything is as a homeserver would have written it.

use std::path::Path;

use anyhow::{Context as _, ensure};
use data_encoding::HEXLOWER_PERMISSIVE;
use ed25519_dalek::SigningKey;
use qpq_core::{
    AccountId, Address, Clock as _, DeviceAddress, DeviceCertificate, DeviceId, Digest, Domain, Entropy,
    IdentityKey, MessageId, Millis, OsEntropy, Pin, RequestId, SessionId, SignatureKey, SystemClock,
    Timestamp, TokenId,
};
use qpq_storage::{
    Account, AccountCreated, AuditEntry, Ban, BanSubject, Device, NewOutboxRow, Peer, PeerState,
    RegistrationToken, Session, Storage, WriteTx,
};
use qpq_storage_sqlite::{DatabaseKey, Options, SqliteStorage};

use super::signed_in;

/// Rows in one transaction.
const BATCH: u32 = 250;
/// Every so many-th user is banned, and every so many-th peer blocked.
const BANNED: u32 = 50;
/// Every so many-th peer has rows that wait.
const WAITED_FOR: u32 = 4;
/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:9";

/// How much of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) users: u32,
    pub(super) peers: u32,
    pub(super) tokens: u32,
    pub(super) audit_rows: u32,
}

impl Size {
    /// What the console's pages are measured at.
    pub(super) const fn crowded() -> Self {
        Self { users: 10_000, peers: 1_000, tokens: 1_000, audit_rows: 10_000 }
    }

    /// A look whether it works.
    pub(super) const fn small() -> Self {
        Self { users: 120, peers: 40, tokens: 30, audit_rows: 60 }
    }
}

/// Fills the domain in this data directory, which no process serves meanwhile; answers with the header of a signed-in owner.
pub(super) async fn domain(directory: &Path, name: &Domain, size: Size) -> anyhow::Result<String> {
    let path = directory.join("keys/database");
    let text = std::fs::read_to_string(&path).with_context(|| format!("no key in {}", path.display()))?;
    let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes())?;
    let key = bytes.try_into().ok().map(DatabaseKey::new).context("the database key has another length")?;
    let storage = SqliteStorage::open(&directory.join("homeserver.db"), &key, &Options::default()).await?;
    let filled = async {
        store(&storage, name, size, SystemClock.now(), &mut OsEntropy::new()?).await?;
        signed_in::owner(&storage).await
    };
    let filled = filled.await;
    storage.close().await?;
    filled
}

/// Fills a store.
async fn store(
    storage: &dyn Storage,
    name: &Domain,
    size: Size,
    now: Timestamp,
    entropy: &mut dyn Entropy,
) -> anyhow::Result<()> {
    let mut filling = Filling { name, now, entropy };
    let steps: [(u32, Step); 4] = [
        (size.users, Step::User),
        (size.peers, Step::Peer),
        (size.tokens, Step::Token),
        (size.audit_rows, Step::Audit),
    ];
    for (count, step) in steps {
        for begin in (0..count).step_by(usize::try_from(BATCH)?) {
            let mut tx = storage.write().await?;
            for n in begin..count.min(begin + BATCH) {
                filling.add(tx.as_mut(), step, n).await?;
            }
            tx.commit().await?;
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Step {
    User,
    Peer,
    Token,
    Audit,
}

struct Filling<'a> {
    name: &'a Domain,
    now: Timestamp,
    entropy: &'a mut dyn Entropy,
}

impl Filling<'_> {
    async fn add(&mut self, tx: &mut dyn WriteTx, step: Step, n: u32) -> anyhow::Result<()> {
        match step {
            Step::User => self.user(tx, n).await,
            Step::Peer => self.peer(tx, n).await,
            Step::Token => self.token(tx, n).await,
            Step::Audit => self.audit(tx, n).await,
        }
    }

    /// Some minutes before now, the further back the larger `n`.
    fn ago(&self, n: u32) -> Timestamp {
        self.now.before(Millis::from_secs(u64::from(n) * 60))
    }

    async fn user(&mut self, tx: &mut dyn WriteTx, n: u32) -> anyhow::Result<()> {
        let address: Address = format!("user-{n:05}@{}", self.name).parse()?;
        let identity = SigningKey::from_bytes(&self.entropy.bytes32());
        let account = Account {
            id: AccountId::random(self.entropy),
            localpart: address.localpart().clone(),
            opaque_record: vec![7; 192],
            identity_key: IdentityKey::from_bytes(identity.verifying_key().to_bytes()),
            sealed_identity: vec![8; 80],
            created_at: self.ago(n),
        };
        let device = DeviceAddress { user: address.clone(), device: DeviceId::random(self.entropy) };
        let key = SignatureKey::from_bytes(self.entropy.bytes32());
        let device = Device {
            account: account.id,
            certificate: DeviceCertificate::issue(&identity, device, key, self.ago(n)),
            enrolled_at: self.ago(n),
            last_seen_at: self.ago(n / 2),
            revoked_at: None,
        };
        let created = tx.account_create(&account, &device, None).await?;
        ensure!(created == AccountCreated::Created, "`{address}` was not made: {created:?}");
        let session = Session {
            id: SessionId::random(self.entropy),
            account: account.id,
            device: device.certificate.device.device,
            opened_at: self.ago(n / 2),
            resumed_at: self.ago(n / 2),
            resumable_until: self.now.after(Millis::from_days(30)),
        };
        tx.session_open(&session, &Digest::from_bytes(self.entropy.bytes32())).await?;
        if n.is_multiple_of(BANNED) {
            self.ban(tx, BanSubject::User(address), n).await?;
        }
        Ok(())
    }

    async fn peer(&mut self, tx: &mut dyn WriteTx, n: u32) -> anyhow::Result<()> {
        let domain: Domain = format!("peer-{n:04}.test").parse()?;
        let peer = Peer {
            domain: domain.clone(),
            state: PeerState::Allowed,
            address: Some(NOBODY.to_owned()),
            pin: Pin::from_digest(Digest::from_bytes(self.entropy.bytes32())),
            ca_certificate: vec![9; 400],
            federation_key: self.entropy.bytes32(),
            incarnation: None,
            refused: None,
            since: self.ago(n),
            note: "made by the bench".to_owned(),
        };
        tx.peer_store(&peer).await?;
        if n.is_multiple_of(BANNED) {
            self.ban(tx, BanSubject::Domain(domain.clone()), n).await?;
        }
        if n.is_multiple_of(WAITED_FOR) {
            let row = NewOutboxRow {
                destination: domain,
                stream: *MessageId::random(self.entropy).as_bytes(),
                id: MessageId::random(self.entropy),
                kind: 1,
                expires_at: Some(self.now.after(Millis::from_days(30))),
                payload: vec![5; 400],
                at: self.ago(n),
                request: None,
            };
            tx.outbox_append(&[row]).await?;
        }
        Ok(())
    }

    async fn ban(&self, tx: &mut dyn WriteTx, subject: BanSubject, n: u32) -> anyhow::Result<()> {
        let ban = Ban {
            subject,
            reason: "the bench wants some".to_owned(),
            by: "bench".to_owned(),
            since: self.ago(n),
            until: None,
        };
        Ok(tx.ban_store(&ban).await?)
    }

    async fn token(&mut self, tx: &mut dyn WriteTx, n: u32) -> anyhow::Result<()> {
        let token = RegistrationToken {
            id: TokenId::random(self.entropy),
            uses: Some(5),
            used: 0,
            expires_at: Some(self.now.after(Millis::from_days(7))),
            created_at: self.ago(n),
            revoked_at: None,
            creator: "bench".to_owned(),
            note: format!("number {n}"),
        };
        Ok(tx.registration_token_create(&token, &Digest::from_bytes(self.entropy.bytes32())).await?)
    }

    async fn audit(&mut self, tx: &mut dyn WriteTx, n: u32) -> anyhow::Result<()> {
        let entry = AuditEntry {
            at: self.now,
            actor: "uid:0".to_owned(),
            action: "user.ban".to_owned(),
            target: format!("user-{n:05}@{}", self.name),
            reason: "the bench wants some".to_owned(),
            request: RequestId::random(self.entropy),
        };
        tx.audit_append(&entry).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
