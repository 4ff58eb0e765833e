//! `Contacts`: whom of other domains the account accepts, and who asks.

use std::rc::Rc;

use qpq_schemas::client_capnp::contacts;
use qpq_service::wire;

use crate::{
    call::{call_span, or_fail, read},
    session::Live,
};

pub(crate) struct ContactsServer(Rc<Live>);

impl ContactsServer {
    pub(crate) const fn new(live: Rc<Live>) -> Self {
        Self(live)
    }
}

impl contacts::Server for ContactsServer {
    async fn requests(
        self: Rc<Self>,
        _: contacts::RequestsParams,
        mut results: contacts::RequestsResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = live.cases().contacts.requests(&live.handle);
        let requests = or_fail!(live.answer(call_span!("rpc.contacts.requests"), work).await?, results);
        let mut list = results.get().init_requests(wire::length(requests.len()));
        for (index, request) in (0..).zip(&requests) {
            let mut builder = list.reborrow().get(index);
            builder.set_from(request.from.to_string());
            builder.set_since(request.since.as_millis());
        }
        Ok(())
    }

    async fn accept(
        self: Rc<Self>,
        params: contacts::AcceptParams,
        mut results: contacts::AcceptResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let addresses = wire::addresses("addresses", read!(params)?.get_addresses())?;
            live.cases().contacts.accept(&live.handle, &addresses).await
        };
        let asked = or_fail!(live.answer(call_span!("rpc.contacts.accept"), work).await?, results);
        let mut list = results.get().init_asked(wire::length(asked.len()));
        for (index, address) in (0..).zip(&asked) {
            list.set(index, address.to_string());
        }
        Ok(())
    }

    async fn decline(
        self: Rc<Self>,
        params: contacts::DeclineParams,
        mut results: contacts::DeclineResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let address = wire::address("address", read!(params)?.get_address())?;
            live.cases().contacts.decline(&live.handle, &address).await
        };
        or_fail!(live.answer(call_span!("rpc.contacts.decline"), work).await?, results);
        Ok(())
    }
}
