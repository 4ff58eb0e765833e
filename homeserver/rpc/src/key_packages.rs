//! `KeyPackages`: one's own stock, and claims on the stock of others.

use std::rc::Rc;

use qpq_core::limits;
use qpq_schemas::client_capnp::{key_package_stock, key_package_upload, key_packages};
use qpq_service::{Answered, KeyPackageUpload, wire};
use qpq_storage::KeyPackageStock;

use crate::{
    call::{call_span, or_fail, read},
    session::Live,
};

pub(crate) struct KeyPackagesServer(Rc<Live>);

impl KeyPackagesServer {
    pub(crate) const fn new(live: Rc<Live>) -> Self {
        Self(live)
    }
}

impl key_packages::Server for KeyPackagesServer {
    async fn upload(
        self: Rc<Self>,
        params: key_packages::UploadParams,
        mut results: key_packages::UploadResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let packages = read!(params)?.get_packages().map_err(wire::unreadable)?;
            wire::bounded("packages", packages.len())?;
            let packages = packages.iter().map(read_upload).collect::<Answered<_>>()?;
            live.cases().key_packages.upload(&live.handle, packages).await
        };
        let stock = or_fail!(live.answer(call_span!("rpc.key_packages.upload"), work).await?, results);
        write_stock(&stock, results.get().init_stock());
        Ok(())
    }

    async fn stock(
        self: Rc<Self>,
        _: key_packages::StockParams,
        mut results: key_packages::StockResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = live.cases().key_packages.stock(&live.handle);
        let stock = or_fail!(live.answer(call_span!("rpc.key_packages.stock"), work).await?, results);
        write_stock(&stock, results.get().init_stock());
        Ok(())
    }

    async fn claim(
        self: Rc<Self>,
        params: key_packages::ClaimParams,
        mut results: key_packages::ClaimResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let params = read!(params)?;
            let group = wire::group_id(params.get_group())?;
            let nonce = wire::array("nonce", params.get_nonce())?;
            let targets = wire::addresses("targets", params.get_targets())?;
            let views = wire::views(params.get_views())?;
            live.cases().key_packages.claim(&live.handle, &group, nonce, &targets, &views).await
        };
        let users = or_fail!(live.answer(call_span!("rpc.key_packages.claim"), work).await?, results);
        wire::write_claimed(&users, results.get().init_users(wire::length(users.len())));
        Ok(())
    }
}

fn read_upload(reader: key_package_upload::Reader<'_>) -> Answered<KeyPackageUpload> {
    Ok(KeyPackageUpload {
        message: wire::bytes("keyPackage", reader.get_key_package(), limits::KEY_PACKAGE_BYTES)?,
        last_resort: reader.get_last_resort(),
    })
}

/// Writes a device's stock, also into the notice that it is low.
pub(crate) fn write_stock(stock: &KeyPackageStock, mut builder: key_package_stock::Builder<'_>) {
    builder.set_one_time(u32::try_from(stock.one_time).unwrap_or(u32::MAX));
    builder.set_last_resort_until(stock.last_resort_until.map_or(0, qpq_core::Timestamp::as_millis));
}
