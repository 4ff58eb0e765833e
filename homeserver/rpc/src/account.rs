//! `Account`: what the account knows of itself, and its keys in the log.

use std::rc::Rc;

use qpq_schemas::client_capnp::account;
use qpq_service::{Answered, Refusal, Rekeying, wire};
use qpq_transparency_wire::{write_place, write_version};

use crate::{
    call::{call_span, or_fail, read},
    session::Live,
};

/// The longest sealed identity key that is looked at; the use case has its own, lower limit.
const SEALED_BYTES: usize = 4 * 1024;

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

    async fn history(
        self: Rc<Self>,
        params: account::HistoryParams,
        mut results: account::HistoryResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let after = read!(params)?.get_after();
            live.cases().own_keys.history(&live.handle, after).await
        };
        let told = or_fail!(live.answer(call_span!("rpc.account.history"), work).await?, results);
        let mut results = results.get();
        write_place(&told.place, results.reborrow().init_place());
        results.set_more(told.more);
        let mut list = results.init_versions(wire::length(told.versions.len()));
        for (index, version) in (0..).zip(&told.versions) {
            write_version(version, list.reborrow().get(index));
        }
        Ok(())
    }

    async fn bind(
        self: Rc<Self>,
        params: account::BindParams,
        mut results: account::BindResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let binding = wire::binding(read!(params)?.get_binding())?.ok_or_else(unsigned)?;
            live.cases().own_keys.bind(&live.handle, binding).await
        };
        let place = or_fail!(live.answer(call_span!("rpc.account.bind"), work).await?, results);
        write_place(&place, results.get().init_place());
        Ok(())
    }

    async fn rekey(
        self: Rc<Self>,
        params: account::RekeyParams,
        mut results: account::RekeyResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = Box::pin(async {
            let params = read!(params)?;
            let certificates = params.get_certificates().map_err(wire::unreadable)?;
            wire::bounded("certificates", certificates.len())?;
            let new = Rekeying {
                binding: wire::binding(params.get_binding())?.ok_or_else(unsigned)?,
                sealed_identity: wire::bytes("sealedIdentity", params.get_sealed_identity(), SEALED_BYTES)?,
                certificates: certificates.iter().map(wire::read_certificate).collect::<Answered<_>>()?,
            };
            live.cases().own_keys.rekey(&live.handle, new).await
        });
        let place = or_fail!(live.answer(call_span!("rpc.account.rekey"), work).await?, results);
        write_place(&place, results.get().init_place());
        Ok(())
    }

    async fn announce_reset(
        self: Rc<Self>,
        _: account::AnnounceResetParams,
        mut results: account::AnnounceResetResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = live.cases().own_keys.announce_reset(&live.handle);
        let (place, earliest) =
            or_fail!(live.answer(call_span!("rpc.account.announce_reset"), work).await?, results);
        let mut results = results.get();
        results.set_earliest(earliest.as_millis());
        write_place(&place, results.init_place());
        Ok(())
    }
}

fn unsigned() -> Refusal {
    Refusal::malformed("`binding` is empty: it must be the next version, signed")
}
