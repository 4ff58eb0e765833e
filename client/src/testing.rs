//! Devices without a homeserver, for tests: real MLS, a real store, deliveries made by hand.

use qpq_core::{
    Address, Cursor, GroupId, Incarnation, MessageId, OsEntropy, Pin, Seq, Timestamp, opaque::Stretch,
};
use tempfile::TempDir;

use crate::{
    Client, Options, Server, Suite, Trust,
    identity::Identity,
    mls::{
        Claimed, Content, Group, NewKeyPackage, StagedCommit, StockKind, new_key_package, verify_key_package,
    },
    store::{Feed, StoreKey, Unlock},
    sync::Trees,
    wire::{Delivery, DeliveryBody, Position},
};

/// A device with its home, and no homeserver.
pub(crate) struct Somebody {
    pub(crate) client: Client,
    _home: TempDir,
}

impl Somebody {
    pub(crate) async fn called(address: &str) -> Self {
        let home = TempDir::new().unwrap();
        let key = StoreKey::from_raw([7; 32]);
        let options = Options { suite: Suite::Classical, stretch: Stretch::cheap(), ..Options::default() };
        let client = Client::create(&home.path().join("home"), Unlock::Key(&key), options).await.unwrap();
        let address: Address = address.parse().unwrap();
        let server =
            Server { address: "127.0.0.1:7443".parse().unwrap(), trust: Trust::Pin(Pin::of_spki(b"key")) };
        let identity = Identity::generate(&mut OsEntropy::new().unwrap());
        let account = client.new_account(&address, &server, &identity).unwrap();
        client.keep_account(&account).await.unwrap();
        Self { client, _home: home }
    }

    pub(crate) async fn key_package(&self) -> NewKeyPackage {
        let me = self.client.me().unwrap();
        let package =
            new_key_package(&me.device, Suite::Classical, StockKind::OneTime, self.client.now()).unwrap();
        let mut tx = self.client.inner.store.begin().await.unwrap();
        tx.add_key_packages(std::slice::from_ref(&package)).await.unwrap();
        tx.commit().await.unwrap();
        package
    }

    /// Believes another's device, as if its domain had told about it.
    pub(crate) async fn knows(&self, other: &Self) {
        let certificate = other.client.me().unwrap().account.certificate.clone();
        let mut tx = self.client.inner.store.begin().await.unwrap();
        tx.save_certificates(&[certificate]).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub(crate) async fn texts(&self) -> Vec<String> {
        self.client.unread(100).await.unwrap().into_iter().map(|message| message.text).collect()
    }
}

/// A conversation that alice has made, and everything that bob needs to be in it.
pub(crate) struct Conversation {
    pub(crate) id: GroupId,
    pub(crate) alice: Group,
    pub(crate) welcome: Delivery,
    pub(crate) trees: Trees,
}

pub(crate) fn at(feed: Feed, seq: u64, body: DeliveryBody) -> Delivery {
    let incarnation = Incarnation::from_slice(&[1; 16]).unwrap();
    Delivery {
        position: Position { feed, cursor: Cursor { incarnation, seq: Seq(seq) } },
        stored_at: Timestamp::from_millis(1),
        body,
    }
}

pub(crate) fn id(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

pub(crate) async fn add(alice: &Somebody, group: &mut Group, whom: &Somebody) -> StagedCommit {
    let package = whom.key_package().await;
    let claimed = Claimed {
        certificate: whom.client.me().unwrap().account.certificate.clone(),
        key_package: package.key_package,
    };
    let verified = verify_key_package(&claimed, Suite::Classical, alice.client.now()).unwrap();
    group.stage_add(&alice.client.me().unwrap().device, id(99), &[verified], &[]).unwrap()
}

pub(crate) async fn conversation(alice: &Somebody, bob: &Somebody) -> Conversation {
    let me = alice.client.me().unwrap();
    let group_id = GroupId::new([3; 16], 1, "alpha.test".parse().unwrap());
    let (mut group, _) = Group::create(&me.device, &group_id, Suite::Classical, alice.client.now()).unwrap();
    let staged = add(alice, &mut group, bob).await;
    let commit = crate::mls::LogCommit {
        id: &staged.id,
        commit: &staged.commit,
        sender: me.device.address(),
        signature: &staged.signature,
    };
    group.apply_commit(&commit).unwrap();
    let tree = group.export(&me.device).unwrap().ratchet_tree;
    let welcome = DeliveryBody::Welcome {
        group: group_id.clone(),
        epoch: 1,
        welcome: staged.welcome,
        sender: me.device.address().clone(),
        start: Seq(1),
    };
    Conversation {
        trees: Trees::from([((group_id.clone(), 1), Ok(tree))]),
        welcome: at(Feed::Mailbox, 1, welcome),
        id: group_id,
        alice: group,
    }
}

impl Conversation {
    pub(crate) fn says(&mut self, alice: &Somebody, seq: u64, text: &str) -> Delivery {
        let me = alice.client.me().unwrap();
        let content = Content::text(text, Timestamp::from_millis(5));
        let message = self.alice.encrypt(&me.device, &content).unwrap();
        let id = id(u8::try_from(seq).unwrap());
        at(Feed::Group(self.id.clone()), seq, DeliveryBody::Application { id, message })
    }
}
