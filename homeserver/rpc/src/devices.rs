//! `Devices`: the account's devices.

use std::rc::Rc;

use qpq_core::DeviceId;
use qpq_schemas::client_capnp::{device_info, devices};
use qpq_service::{DeviceView, wire};

use crate::{
    call::{call_span, or_fail, read},
    session::Live,
};

pub(crate) struct DevicesServer(Rc<Live>);

impl DevicesServer {
    pub(crate) const fn new(live: Rc<Live>) -> Self {
        Self(live)
    }
}

impl devices::Server for DevicesServer {
    async fn list(
        self: Rc<Self>,
        _: devices::ListParams,
        mut results: devices::ListResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = live.cases().devices.own(&live.handle);
        let views = or_fail!(live.answer(call_span!("rpc.devices.list"), work).await?, results);
        let current = live.handle.device().device;
        let mut list = results.get().init_devices(wire::length(views.len()));
        for (index, view) in (0..).zip(&views) {
            write_device(view, current, list.reborrow().get(index));
        }
        Ok(())
    }

    async fn revoke(
        self: Rc<Self>,
        params: devices::RevokeParams,
        mut results: devices::RevokeResults,
    ) -> capnp::Result<()> {
        let live = &self.0;
        let work = async {
            let device = DeviceId::from_bytes(wire::array("device", read!(params)?.get_device())?);
            live.cases().devices.revoke_own(&live.handle, device).await
        };
        or_fail!(live.answer(call_span!("rpc.devices.revoke"), work).await?, results);
        Ok(())
    }
}

fn write_device(view: &DeviceView, current: DeviceId, mut builder: device_info::Builder<'_>) {
    let device = &view.device;
    wire::write_certificate(&device.certificate, builder.reborrow().init_certificate());
    builder.set_enrolled_at(device.enrolled_at.as_millis());
    builder.set_last_seen_at(device.last_seen_at.as_millis());
    builder.set_revoked_at(device.revoked_at.map_or(0, qpq_core::Timestamp::as_millis));
    builder.set_current(device.certificate.device.device == current);
    builder.set_key_packages(u32::try_from(view.key_packages).unwrap_or(u32::MAX));
}
