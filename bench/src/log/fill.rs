//! A log that has grown long: made in the store of a domain that does not run, as its homeserver would have written it.

use std::{ops::Range, path::Path};

use anyhow::Context as _;
use data_encoding::HEXLOWER_PERMISSIVE;
use ed25519_dalek::{Signer as _, SigningKey};
use qpq_core::{
    AccountId, Clock as _, DeviceId, Digest, Domain, IdentityKey, OsEntropy, Secret, SignatureKey,
    SystemClock,
};
use qpq_storage::{Storage as _, WriteTx};
use qpq_storage_sqlite::{DatabaseKey, Options, SqliteStorage};
use qpq_transparency::{LogKeys, LogSeeds, NewEntry, accounts, append};
use qpq_transparency_tree::{
    commitment::Opening,
    entry::Kind,
    label::{Label, LabelId},
    value::{AccountValue, LoggedDevice, Reason, SignedValue, Standing, Status, signed_bytes},
};

/// Entries in one transaction.
const BATCH: u32 = 256;
/// At most so many users that can be looked up; the others are there to make the log long.
const MEMBERS: u32 = 256;
/// Bytes of a value with one device.
const VALUE_BYTES: usize = 169;

/// The store of a domain and the keys of its log.
pub(super) struct Place {
    pub(super) storage: SqliteStorage,
    pub(super) keys: LogKeys,
    domain: Domain,
}

/// A user with a first version of their keys.
pub(super) struct Member {
    pub(super) label: Label,
    pub(super) signed: SignedValue,
}

impl Place {
    /// Opens it; all keys lie in the directory.
    pub(super) async fn open(directory: &Path, domain: &Domain) -> anyhow::Result<Self> {
        let key = |name: &str| -> anyhow::Result<[u8; 32]> {
            let path = directory.join("keys").join(name);
            let text = std::fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
            let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes())?;
            bytes.try_into().ok().with_context(|| format!("{} has another length", path.display()))
        };
        let seeds = LogSeeds { log: Secret::new(key("log")?), vrf: Secret::new(key("vrf")?) };
        let database = DatabaseKey::new(key("database")?);
        let options = Options::default();
        let storage = SqliteStorage::open(&directory.join("homeserver.db"), &database, &options).await?;
        Ok(Self { storage, keys: LogKeys::new(domain, &seeds), domain: domain.clone() })
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        Ok(self.storage.close().await?)
    }

    /// Adds entries; gives users that are spread over them.
    pub(super) async fn fill(&self, entries: u32) -> anyhow::Result<Vec<Member>> {
        let (mut members, apart) = (Vec::new(), entries.div_ceil(BATCH).div_ceil(MEMBERS));
        for (batch, begin) in (0..).zip((0..entries).step_by(usize::try_from(BATCH)?)) {
            let mut tx = self.storage.write().await?;
            let mut strangers = begin..entries.min(begin + BATCH);
            if batch % apart == 0
                && let Some(n) = strangers.next()
            {
                let member = self.member(n)?;
                self.log(tx.as_mut(), &member).await?;
                members.push(member);
            }
            let strangers: Vec<NewEntry> = strangers.map(stranger).collect::<anyhow::Result<_>>()?;
            append(tx.as_mut(), &self.keys, &strangers, SystemClock.now()).await?;
            tx.commit().await?;
        }
        Ok(members)
    }

    /// Users that are not logged yet.
    pub(super) fn members(&self, numbers: Range<u32>) -> anyhow::Result<Vec<Member>> {
        numbers.map(|n| self.member(n)).collect()
    }

    /// Logs users in one transaction, each with a checkpoint of its own.
    pub(super) async fn register(&self, members: &[Member]) -> anyhow::Result<()> {
        let mut tx = self.storage.write().await?;
        for member in members {
            self.log(tx.as_mut(), member).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn log(&self, tx: &mut dyn WriteTx, member: &Member) -> anyhow::Result<()> {
        let opening = Opening::random(&mut OsEntropy::new()?);
        let (keys, now) = (&self.keys, SystemClock.now());
        accounts::bind(tx, keys, &member.label, &member.signed, opening, now).await??;
        Ok(())
    }

    fn member(&self, n: u32) -> anyhow::Result<Member> {
        let label = Label::of(&format!("user-{n}@{}", self.domain).parse()?);
        let (label_id, _) = self.keys.place(&label).context("a label without a place")?;
        let seed = *Digest::of(&[b"the bench's user", &n.to_be_bytes()]).as_bytes();
        let identity = SigningKey::from_bytes(&seed);
        let id = *seed.first_chunk().context("16 bytes")?;
        let device = LoggedDevice {
            device: DeviceId::from_bytes(id),
            signature_key: SignatureKey::from_bytes(seed),
            added_in: 0,
        };
        let public = IdentityKey::from_bytes(identity.verifying_key().to_bytes());
        let account = AccountId::from_bytes(id);
        let value = AccountValue::new(account, public, Status::Active, Reason::Registration, vec![device])?;
        let origin = self.keys.origin();
        let standing = Standing { origin, label_id, version: 0, prev: Digest::ZERO };
        let by_self = identity.sign(&signed_bytes(&standing, &value)).to_bytes();
        Ok(Member { label, signed: SignedValue { value, by_previous: None, by_self: Some(by_self) } })
    }
}

/// Somebody whom nobody looks up: as many bytes as a user has, in a place that no name leads to.
fn stranger(n: u32) -> anyhow::Result<NewEntry> {
    Ok(NewEntry {
        kind: Kind::Bind,
        label_id: LabelId::from_bytes(*Digest::of(&[b"the bench's stranger", &n.to_be_bytes()]).as_bytes()),
        label: format!("u/stranger-{n}@bench.test").into_bytes(),
        opening: Opening::random(&mut OsEntropy::new()?),
        value: vec![7; VALUE_BYTES],
    })
}
