//! The `Inbox` capability: what the homeserver pushes goes into a bounded queue, one batch after the other.

use std::rc::Rc;

use qpq_schemas::client_capnp::inbox;
use tokio::sync::{mpsc, oneshot};

use crate::wire::{self, Delivery};

/// Batches that may wait here; the homeserver's own window bounds what is under way.
pub(crate) const WAITING: usize = 8;

/// What the homeserver pushed.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// Deliveries; the call returns when `done` fires, after they are stored.
    Batch { deliveries: Vec<Delivery>, done: oneshot::Sender<()> },
    /// The homeserver is about to stop.
    Draining,
}

/// Serves the capability.
pub(crate) struct Inbox {
    queue: mpsc::Sender<Pushed>,
}

impl Inbox {
    /// The capability, and the queue behind it.
    pub(crate) fn open() -> (inbox::Client, mpsc::Receiver<Pushed>) {
        let (queue, pushed) = mpsc::channel(WAITING);
        (capnp_rpc::new_client(Self { queue }), pushed)
    }
}

impl inbox::Server for Inbox {
    async fn deliver(self: Rc<Self>, params: inbox::DeliverParams) -> Result<(), capnp::Error> {
        let refused = |error: crate::ClientError| capnp::Error::failed(error.to_string());
        let deliveries = params
            .get()?
            .get_deliveries()?
            .iter()
            .map(wire::read_delivery)
            .collect::<Result<Vec<_>, _>>()
            .map_err(refused)?;
        drop(params);
        let (done, stored) = oneshot::channel();
        let gone = || capnp::Error::disconnected(String::from("the client has stopped receiving"));
        self.queue.send(Pushed::Batch { deliveries, done }).await.map_err(|_| gone())?;
        stored.await.map_err(|_| gone())
    }

    async fn draining(
        self: Rc<Self>,
        _: inbox::DrainingParams,
        _: inbox::DrainingResults,
    ) -> Result<(), capnp::Error> {
        // A full queue means that the client is busy; it will see the end of the connection instead.
        self.queue.try_send(Pushed::Draining).ok();
        Ok(())
    }
}
