//! What a client writes to its disk for each message in a group of a hundred: the engine and the store on a real
//! disk, as the client uses them, without a homeserver.

use std::path::Path;

use anyhow::{Context as _, ensure};
use ed25519_dalek::SigningKey;
use qpq_client::{
    mls::{
        Claimed, CommitOutcome, Content, ContentKind, Device, Group, KeyPackageSecret, LogCommit, Received,
        StockKind, Suite, VerifiedKeyPackage, new_key_package, verify_key_package,
    },
    store::{Feed, NewMessage, NewOutgoing, Store, StoreKey, Target, Unlock},
};
use qpq_core::{
    Clock as _, Cursor, DeviceAddress, DeviceCertificate, DeviceId, Entropy as _, GroupId, Incarnation,
    MessageId, OsEntropy, Seq, SystemClock,
};

use crate::{
    Plan, machine,
    report::{self, number},
    statistics::ratio,
};

const MEMBERS: u32 = 100;
/// Members added by one commit.
const CHUNK: usize = 33;
/// Messages whose journal is looked at: so few that it has not begun again from its start.
const FEW: usize = 64;
/// Further ones, for what checkpoints add.
const MORE: usize = 192;
/// Messages that are stored together where a batch is.
const BATCH: usize = 32;

/// What messages cost, in bytes.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Growth of the database's journal.
    journal: u64,
    /// Everything handed to the system, checkpoints included.
    written: u64,
}

impl Cost {
    /// Together with what further messages wrote.
    const fn and(self, more: Self) -> Self {
        Self { journal: self.journal, written: self.written + more.written }
    }
}

/// One member on its own disk.
struct Member {
    device: Device,
    store: Store,
    group: Group,
    seq: u64,
}

/// Measures and prints.
pub(crate) async fn measure(plan: &Plan, place: &Path) -> anyhow::Result<()> {
    report::progress("a group of a hundred");
    let suite = if plan.quick { Suite::Classical } else { Suite::default() };
    let (mut alice, mut bob) = couple(&place.join("hundred"), suite).await?;
    let (at_alice, at_bob) = (place.join("hundred/alice"), place.join("hundred/bob"));
    let mut ciphertexts = Vec::new();
    let few = cost(&at_alice, async || alice.say(FEW, &mut ciphertexts).await).await?;
    let more = cost(&at_alice, async || alice.say(MORE, &mut ciphertexts).await).await?;
    let sent = few.and(more);
    let (first, others) = ciphertexts.split_at_checked(FEW).context("too few messages")?;
    let (together, others) = others.split_at_checked(FEW).context("too few messages")?;
    let few = cost(&at_bob, async || bob.hear(first, 1).await).await?;
    let heard_together = cost(&at_bob, async || bob.hear(together, BATCH).await).await?;
    let more = cost(&at_bob, async || bob.hear(others, 1).await).await?;
    let heard = few.and(more);

    let title =
        format!("Bytes that a client writes per message in a group of {MEMBERS} ({})", suite_name(suite));
    report::table(&title, &["message", "journal", "written in all, checkpoints included"]);
    for (what, cost, all) in [
        ("sent", sent, FEW + MORE),
        ("received, one a transaction", heard, MORE),
        ("received, 32 a transaction", heard_together, FEW),
    ] {
        let journal = ratio(cost.journal, u64::try_from(FEW)?);
        let written = ratio(cost.written, u64::try_from(all)?);
        let cells = [journal, written].map(number);
        let cells: Vec<_> = std::iter::once(what.to_owned()).chain(cells).collect();
        report::row(&cells);
    }
    Ok(())
}

const fn suite_name(suite: Suite) -> &'static str {
    match suite {
        Suite::Classical => "classical suite",
        Suite::PostQuantum => "X-Wing",
    }
}

/// Runs something, and looks what that wrote.
async fn cost(home: &Path, work: impl AsyncFnOnce() -> anyhow::Result<()>) -> anyhow::Result<Cost> {
    let journal = || anyhow::Ok(std::fs::metadata(home.join("store.db-wal"))?.len());
    let written = || machine::field(&std::fs::read_to_string("/proc/self/io")?, "wchar:");
    let (journal_before, written_before) = (journal()?, written()?);
    work().await?;
    Ok(Cost {
        // The journal is used again from its beginning after a checkpoint; then its length stands for a part only.
        journal: journal()?.saturating_sub(journal_before),
        written: written()? - written_before,
    })
}

/// Two of a hundred members, both in the group's last epoch.
async fn couple(place: &Path, suite: Suite) -> anyhow::Result<(Member, Member)> {
    let now = SystemClock.now();
    let mut entropy = OsEntropy::new()?;
    let id = GroupId::random("alpha.test".parse()?, &mut entropy);
    let alice = device("alice@alpha.test")?;
    let (mut group, _) = Group::create(&alice, &id, suite, now)?;
    let bob = device("bob@alpha.test")?;
    let (for_bob, secret) = key_package(&bob, suite)?;
    let mut newcomers = Vec::new();
    for n in 2..MEMBERS {
        newcomers.push(key_package(&device(&format!("user-{n}@beta.test"))?, suite)?.0);
    }
    newcomers.push(for_bob);
    let mut welcome = Vec::new();
    for chunk in newcomers.chunks(CHUNK) {
        let staged = group.stage_add(&alice, MessageId::random(&mut entropy), chunk, &[])?;
        let commit = LogCommit {
            id: &staged.id,
            commit: &staged.commit,
            sender: alice.address(),
            signature: &staged.signature,
        };
        let outcome = group.apply_commit(&commit)?;
        ensure!(matches!(outcome, CommitOutcome::Applied(_)), "an own commit was not applied: {outcome:?}");
        welcome = staged.welcome;
    }
    let tree = group.export(&alice)?.ratchet_tree;
    let joined = Group::join(&welcome, &tree, &[secret])?;
    let alice = Member::settle(place.join("alice").as_path(), alice, group).await?;
    let bob = Member::settle(place.join("bob").as_path(), bob, joined.group).await?;
    Ok((alice, bob))
}

fn device(user: &str) -> anyhow::Result<Device> {
    let mut entropy = OsEntropy::new()?;
    let address = DeviceAddress { user: user.parse()?, device: DeviceId::random(&mut entropy) };
    Ok(Device::generate(address, &mut entropy))
}

fn key_package(device: &Device, suite: Suite) -> anyhow::Result<(VerifiedKeyPackage, KeyPackageSecret)> {
    let now = SystemClock.now();
    let made = new_key_package(device, suite, StockKind::OneTime, now)?;
    let identity = SigningKey::from_bytes(&OsEntropy::new()?.bytes32());
    let certificate =
        DeviceCertificate::issue(&identity, device.address().clone(), device.signature_key(), now);
    let claimed = Claimed { certificate, key_package: made.key_package };
    Ok((verify_key_package(&claimed, suite, now)?, made.secret))
}

impl Member {
    /// Stores the group, and closes and opens the store, so that the journal begins anew.
    async fn settle(home: &Path, device: Device, mut group: Group) -> anyhow::Result<Self> {
        let key = StoreKey::from_raw([7; 32]);
        let store = Store::create(home, Unlock::Key(&key)).await?;
        let mut tx = store.begin().await?;
        tx.save_group(&mut group).await?;
        tx.commit().await?;
        store.close().await;
        let store = Store::open(home, Unlock::Key(&key)).await?;
        let mut tx = store.begin().await?;
        let group = tx.load_group(group.id()).await?.context("the group is not stored")?;
        // The first write makes the journal.
        tx.set_position(&Feed::Mailbox, Cursor { incarnation: incarnation()?, seq: Seq::ZERO }).await?;
        tx.commit().await?;
        Ok(Self { device, store, group, seq: 0 })
    }

    /// Sends as the client does: queued, encrypted, accepted, each durable.
    async fn say(&mut self, count: usize, ciphertexts: &mut Vec<Vec<u8>>) -> anyhow::Result<()> {
        let mut entropy = OsEntropy::new()?;
        for n in 0..count {
            let now = SystemClock.now();
            let (id, content) =
                (MessageId::random(&mut entropy), Content::text(format!("short message {n}"), now));
            let target = Target::Group(self.group.id().clone());
            let mut tx = self.store.begin().await?;
            tx.enqueue(&NewOutgoing { id, target, content: content.clone() }).await?;
            tx.commit().await?;

            let mut tx = self.store.begin().await?;
            let ciphertext = self.group.encrypt(&self.device, &content)?;
            tx.save_group(&mut self.group).await?;
            tx.set_encrypted(&id, &ciphertext, self.group.epoch()).await?;
            tx.commit().await?;

            let mut tx = self.store.begin().await?;
            tx.mark_at_hub(&id, &ciphertext, now).await?;
            tx.commit().await?;
            ciphertexts.push(ciphertext);
        }
        Ok(())
    }

    /// Receives as the client does: a batch is one transaction.
    async fn hear(&mut self, ciphertexts: &[Vec<u8>], batch: usize) -> anyhow::Result<()> {
        let mut entropy = OsEntropy::new()?;
        let incarnation = incarnation()?;
        for ciphertexts in ciphertexts.chunks(batch) {
            let mut tx = self.store.begin().await?;
            for ciphertext in ciphertexts {
                let Received::Content { sender, epoch, content } = self.group.decrypt(ciphertext)? else {
                    anyhow::bail!("a message could not be read");
                };
                let ContentKind::Text(text) = content.kind else {
                    anyhow::bail!("a message is no text");
                };
                tx.record_received(&NewMessage {
                    group: self.group.id().clone(),
                    id: MessageId::random(&mut entropy),
                    sender,
                    text,
                    sent_at: content.sent_at,
                    received_at: SystemClock.now(),
                    epoch,
                })
                .await?;
                self.seq += 1;
            }
            tx.save_group(&mut self.group).await?;
            let feed = Feed::Group(self.group.id().clone());
            tx.set_position(&feed, Cursor { incarnation, seq: Seq(self.seq) }).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

fn incarnation() -> anyhow::Result<Incarnation> {
    Ok(Incarnation::begin(SystemClock.now(), &mut OsEntropy::new()?))
}
