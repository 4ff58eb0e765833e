//! `Mailbox`: what waits for the session's device, pushed, fetched and acknowledged.

use std::rc::Rc;

use qpq_schemas::client_capnp::mailbox;
use qpq_service::{Refusal, wire};

use crate::{
    call::{call_span, or_fail, read},
    deliveries::{read_positions, write_deliveries},
    session::Live,
    subscription,
};

pub(crate) struct MailboxServer(Rc<Live>);

impl MailboxServer {
    pub(crate) const fn new(live: Rc<Live>) -> Self {
        Self(live)
    }
}

impl mailbox::Server for MailboxServer {
    async fn subscribe(
        self: Rc<Self>,
        params: mailbox::SubscribeParams,
        mut results: mailbox::SubscribeResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let inbox = read!(params)?.get_inbox();
            let inbox = inbox.map_err(|_| Refusal::malformed("`inbox` is not a capability"))?;
            Ok((live.cases().mailboxes.subscribe(&live.handle)?, inbox))
        };
        let (feeder, inbox) =
            or_fail!(live.answer(call_span!("rpc.mailbox.subscribe"), work).await?, results);
        subscription::start(Rc::clone(live), feeder, inbox);
        Ok(())
    }

    async fn fetch(
        self: Rc<Self>,
        params: mailbox::FetchParams,
        mut results: mailbox::FetchResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let params = read!(params)?;
            let after = read_positions(params.get_after())?;
            live.cases().mailboxes.fetch(&live.handle, &after, usize::from(params.get_max_items())).await
        };
        let page = or_fail!(live.answer(call_span!("rpc.mailbox.fetch"), work).await?, results);
        let mut results = results.get();
        results.set_more(page.more);
        write_deliveries(&page.deliveries, results.init_deliveries(wire::length(page.deliveries.len())));
        Ok(())
    }

    async fn acknowledge(
        self: Rc<Self>,
        params: mailbox::AcknowledgeParams,
        mut results: mailbox::AcknowledgeResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let positions = read_positions(read!(params)?.get_positions())?;
            live.cases().mailboxes.acknowledge(&live.handle, &positions).await
        };
        or_fail!(live.answer(call_span!("rpc.mailbox.acknowledge"), work).await?, results);
        Ok(())
    }
}
