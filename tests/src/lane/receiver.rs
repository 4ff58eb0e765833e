//! The receiving end: an `Inbox` that acknowledges what comes, writes it down, then returns.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use anyhow::Context as _;
use qpq_client::{session::Session, store::Feed, wire::Position};
use qpq_core::{Cursor, GroupId, Incarnation, MessageId, Seq};
use qpq_schemas::client_capnp::{delivery, feed_position, inbox};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// What has been delivered to one user.
#[derive(Debug)]
pub struct Receiver {
    session: Session,
    delivered: RefCell<Vec<(MessageId, Instant)>>,
    news: Notify,
}

impl Receiver {
    /// Has everything pushed to it from now on.
    pub(super) async fn subscribe(session: Session) -> anyhow::Result<Rc<Self>> {
        let receiver =
            Rc::new(Self { session: session.clone(), delivered: RefCell::default(), news: Notify::new() });
        session.subscribe(capnp_rpc::new_client(Inbox(Rc::clone(&receiver)))).await?;
        Ok(receiver)
    }

    /// The messages delivered so far, in their order, repeats included.
    pub fn delivered(&self) -> Vec<MessageId> {
        self.delivered.borrow().iter().map(|(id, _)| *id).collect()
    }

    /// How many messages were delivered so far.
    pub fn count(&self) -> usize {
        self.delivered.borrow().len()
    }

    /// When the message with this place in the order was delivered.
    pub fn delivered_at(&self, place: usize) -> Option<Instant> {
        self.delivered.borrow().get(place).map(|(_, at)| *at)
    }

    /// Waits until so many messages were delivered in all. While some come, there is no hurry; `patience` is for the next.
    pub async fn until(&self, count: usize, patience: Duration) -> anyhow::Result<()> {
        loop {
            let news = self.news.notified();
            let have = self.count();
            if have >= count {
                return Ok(());
            }
            timeout(patience, news).await.with_context(|| {
                format!("{have} of {count} messages came, then none for {} s", patience.as_secs())
            })?;
        }
    }
}

struct Inbox(Rc<Receiver>);

impl inbox::Server for Inbox {
    async fn deliver(self: Rc<Self>, params: inbox::DeliverParams) -> Result<(), capnp::Error> {
        let now = Instant::now();
        let mut came = Vec::new();
        let mut positions: HashMap<Feed, Cursor> = HashMap::new();
        for delivery in params.get()?.get_deliveries()? {
            let (feed, cursor) = position(delivery.get_position()?)?;
            positions.insert(feed, cursor);
            if let delivery::Application(message) = delivery.which()? {
                came.push((MessageId::from_slice(message?.get_id()?).ok_or_else(malformed)?, now));
            }
        }
        drop(params);
        let positions: Vec<_> =
            positions.into_iter().map(|(feed, cursor)| Position { feed, cursor }).collect();
        let acknowledged = self.0.session.acknowledge(&positions).await;
        acknowledged.map_err(|error| capnp::Error::failed(error.to_string()))?;
        self.0.delivered.borrow_mut().extend(came);
        self.0.news.notify_waiters();
        Ok(())
    }

    async fn draining(
        self: Rc<Self>,
        _: inbox::DrainingParams,
        _: inbox::DrainingResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

fn position(reader: feed_position::Reader<'_>) -> Result<(Feed, Cursor), capnp::Error> {
    let feed = match reader.get_feed().which()? {
        feed_position::feed::Mailbox(()) => Feed::Mailbox,
        feed_position::feed::Group(id) => Feed::Group(GroupId::from_bytes(id?).map_err(|_| malformed())?),
    };
    let incarnation = Incarnation::from_slice(reader.get_incarnation()?).ok_or_else(malformed)?;
    Ok((feed, Cursor { incarnation, seq: Seq(reader.get_seq()) }))
}

fn malformed() -> capnp::Error {
    capnp::Error::failed(String::from("a malformed delivery"))
}
