//! `Account`: what the account knows of itself.

use std::rc::Rc;

use qpq_schemas::client_capnp::account;
use qpq_service::wire;

use crate::{
    call::{call_span, or_fail},
    session::Live,
};

pub(crate) struct AccountServer(Rc<Live>);

impl AccountServer {
    pub(crate) const fn new(live: Rc<Live>) -> Self {
        Self(live)
    }
}

impl account::Server for AccountServer {
    async fn show(
        self: Rc<Self>,
        _: account::ShowParams,
        mut results: account::ShowResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = live.cases().accounts.own(&live.handle);
        let shown = or_fail!(live.answer(call_span!("rpc.account.show"), work).await?, results);
        let mut results = results.get();
        results.set_address(shown.keys.address.to_string());
        results.set_account(shown.id.as_bytes());
        results.set_created_at(shown.created_at.as_millis());
        wire::write_keys(&shown.keys, results.init_keys());
        Ok(())
    }
}
