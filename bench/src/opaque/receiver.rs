//! The receiving end: an `Inbox` that acknowledges what comes, then counts it, then returns.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use qpq_client::{session::Session, store::Feed, wire::Position};
use qpq_core::{Cursor, GroupId, Incarnation, MessageId, Seq};
use qpq_schemas::client_capnp::{delivery, feed_position, inbox};
use tokio::sync::Notify;

use crate::stopwatch::Stopwatch;

/// What has been delivered to one receiver.
#[derive(Debug)]
pub(crate) struct Receiver {
    session: Session,
    delivered: Cell<u64>,
    /// Messages whose way is timed, by id.
    under_way: RefCell<HashMap<MessageId, Stopwatch>>,
    took: RefCell<Vec<Duration>>,
    news: Notify,
}

impl Receiver {
    /// Has everything pushed to it from now on.
    pub(crate) async fn subscribe(session: Session) -> anyhow::Result<Rc<Self>> {
        let receiver = Rc::new(Self {
            session: session.clone(),
            delivered: Cell::new(0),
            under_way: RefCell::default(),
            took: RefCell::default(),
            news: Notify::new(),
        });
        session.subscribe(capnp_rpc::new_client(Inbox(Rc::clone(&receiver)))).await?;
        Ok(receiver)
    }

    /// Messages delivered so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.get()
    }

    /// Fires at the next delivery after it was called.
    pub(crate) fn news(&self) -> tokio::sync::futures::Notified<'_> {
        self.news.notified()
    }

    /// Times a message that is about to be submitted.
    pub(crate) fn time(&self, id: MessageId, since: Stopwatch) {
        self.under_way.borrow_mut().insert(id, since);
    }

    /// How many timed messages have not come yet.
    pub(crate) fn missing(&self) -> usize {
        self.under_way.borrow().len()
    }

    /// What the timed messages took.
    pub(crate) fn take_times(&self) -> Vec<Duration> {
        self.took.take()
    }

    fn came(&self, ids: &[MessageId]) {
        let mut under_way = self.under_way.borrow_mut();
        let mut took = self.took.borrow_mut();
        took.extend(ids.iter().filter_map(|id| under_way.remove(id)).map(|since| since.elapsed()));
        self.delivered.update(|count| count + u64::try_from(ids.len()).unwrap_or(0));
        self.news.notify_waiters();
    }
}

struct Inbox(Rc<Receiver>);

impl inbox::Server for Inbox {
    async fn deliver(self: Rc<Self>, params: inbox::DeliverParams) -> Result<(), capnp::Error> {
        let mut ids = Vec::new();
        let mut positions: HashMap<Feed, Cursor> = HashMap::new();
        for delivery in params.get()?.get_deliveries()? {
            let (feed, cursor) = position(delivery.get_position()?)?;
            positions.insert(feed, cursor);
            if let delivery::Application(message) = delivery.which()? {
                ids.push(MessageId::from_slice(message?.get_id()?).ok_or_else(malformed)?);
            }
        }
        drop(params);
        let positions: Vec<_> =
            positions.into_iter().map(|(feed, cursor)| Position { feed, cursor }).collect();
        self.0
            .session
            .acknowledge(&positions)
            .await
            .map_err(|error| capnp::Error::failed(error.to_string()))?;
        self.0.came(&ids);
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
