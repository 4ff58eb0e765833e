//! What waits for a device arrives through its `Inbox`.

use std::rc::Rc;

use async_trait::async_trait;
use capnp_rpc::new_client;
use qpq_core::{DeviceId, GroupId, Timestamp};
use qpq_schemas::client_capnp::{delivery, feed_position, inbox, mailbox};
use qpq_service::{Effects, WriteJob};
use qpq_storage::{Feed, Notice, Stored, WriteTx};
use tokio::sync::mpsc;

use crate::{
    local,
    world::{Client, SOON, World, domain},
};

/// What came, in order: sequence numbers of removals, and 0 for the farewell.
struct Collecting(mpsc::Sender<u64>);

impl inbox::Server for Collecting {
    async fn deliver(self: Rc<Self>, params: inbox::DeliverParams) -> capnp::Result<()> {
        for delivery in params.get()?.get_deliveries()? {
            assert!(matches!(delivery.which(), Ok(delivery::Removed(_))));
            let position = delivery.get_position()?;
            assert!(matches!(position.get_feed().which(), Ok(feed_position::feed::Mailbox(()))));
            self.0.send(position.get_seq()).await.unwrap();
        }
        Ok(())
    }

    async fn draining(
        self: Rc<Self>,
        _: inbox::DrainingParams,
        _: inbox::DrainingResults,
    ) -> capnp::Result<()> {
        self.0.send(0).await.unwrap();
        Ok(())
    }
}

/// Puts a notice into a device's mailbox.
struct Remove(DeviceId);

#[async_trait]
impl WriteJob for Remove {
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        let group = GroupId::new([7; 16], 1, domain());
        tx.mailbox_append(&[(self.0, Notice::Removed { group })], Timestamp::from_millis(1)).await.map(drop)
    }

    fn effects(&mut self) -> Effects {
        let mut effects = Effects::default();
        effects.wake(self.0, Feed::Mailbox);
        effects
    }
}

async fn notify(world: &World, client: &Client) {
    world.cases.ground.write(Remove(client.device.address.device)).await.unwrap();
}

async fn subscribe(client: &Client) -> (mailbox::Client, mpsc::Receiver<u64>) {
    let (sender, came) = mpsc::channel(64);
    let mailbox = client.session.mailbox_request().send().pipeline.get_mailbox();
    let mut request = mailbox.subscribe_request();
    request.get().set_inbox(new_client(Collecting(sender)));
    assert!(!request.send().promise.await.unwrap().get().unwrap().has_failure());
    (mailbox, came)
}

async fn acknowledge(world: &World, mailbox: &mailbox::Client, seq: u64) {
    let mut request = mailbox.acknowledge_request();
    let mut position = request.get().init_positions(1).get(0);
    position.set_incarnation(&world.cases.ground.incarnation().to_bytes());
    position.set_seq(seq);
    position.init_feed().set_mailbox(());
    assert!(!request.send().promise.await.unwrap().get().unwrap().has_failure());
}

#[tokio::test]
async fn what_waits_and_what_comes_is_pushed_until_it_is_acknowledged() {
    local(async {
        let world = World::start().await;
        let alice = world.registered("alice").await;
        notify(&world, &alice).await;
        let (mailbox, mut came) = subscribe(&alice).await;
        assert_eq!(came.recv().await, Some(1));
        notify(&world, &alice).await;
        assert_eq!(came.recv().await, Some(2));
        acknowledge(&world, &mailbox, 1).await;
        let reply = mailbox.fetch_request().send().promise.await.unwrap();
        let page = reply.get().unwrap();
        let waiting: Vec<_> =
            page.get_deliveries().unwrap().iter().map(|d| d.get_position().unwrap().get_seq()).collect();
        assert_eq!((waiting, page.get_more()), (vec![2], false));
    })
    .await;
}

#[tokio::test]
async fn the_second_subscription_of_a_device_replaces_the_first() {
    local(async {
        let world = World::start().await;
        let alice = world.registered("alice").await;
        let (_, mut first) = subscribe(&alice).await;
        let (_mailbox, mut second) = subscribe(&alice).await;
        notify(&world, &alice).await;
        assert_eq!(second.recv().await, Some(1));
        assert_eq!(first.recv().await, None);
    })
    .await;
}

#[tokio::test]
async fn a_subscriber_hears_that_the_homeserver_is_stopping() {
    local(async {
        let world = World::start().await;
        let alice = world.registered("alice").await;
        let (_mailbox, mut came) = subscribe(&alice).await;
        let (report, heard) = tokio::join!(world.workers.stop(SOON), came.recv());
        assert_eq!((report.abandoned, heard), (0, Some(0)));
    })
    .await;
}
