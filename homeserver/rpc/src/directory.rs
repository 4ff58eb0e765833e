//! `Directory`: who is who, in any domain.

use std::rc::Rc;

use qpq_schemas::client_capnp::directory;
use qpq_service::wire;

use crate::{
    call::{call_span, or_fail, read},
    session::Live,
};

pub(crate) struct DirectoryServer(Rc<Live>);

impl DirectoryServer {
    pub(crate) const fn new(live: Rc<Live>) -> Self {
        Self(live)
    }
}

impl directory::Server for DirectoryServer {
    async fn resolve(
        self: Rc<Self>,
        params: directory::ResolveParams,
        mut results: directory::ResolveResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let params = read!(params)?;
            let addresses = wire::addresses("addresses", params.get_addresses())?;
            let group = wire::optional_group_id(params.get_group())?;
            let views = wire::views(params.get_views())?;
            live.cases().directory.resolve(&live.handle, &addresses, group.as_ref(), &views).await
        };
        let users = or_fail!(live.answer(call_span!("rpc.directory.resolve"), work).await?, results);
        wire::write_users(&users, results.get().init_users(wire::length(users.len())));
        Ok(())
    }
}
