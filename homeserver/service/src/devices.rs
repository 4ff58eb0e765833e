//! Devices: listed and revoked by their owners and by admins. Enrolment is part of logging in.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{AccountId, Address, DeviceId, ErrorCode, Timestamp, limits};
use qpq_storage::{Device, ReadTx, Stored, WriteTx};

use crate::{
    Answered, Effects, Ground, LiveSessions, Refusal, SessionEnd, SessionHandle, Sessions, Wakes, WriteJob,
    accounts,
};

/// How many devices are read at once.
const PAGE: usize = 1_000;

/// A device as its owner and admins see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceView {
    /// The device.
    pub device: Device,
    /// Its stock of one-time KeyPackages.
    pub key_packages: u64,
}

/// The use cases of devices.
#[derive(Clone, Debug)]
pub struct Devices {
    ground: Arc<Ground>,
    sessions: Sessions,
}

impl Devices {
    /// On this ground; revoking a device ends its sessions.
    pub const fn new(ground: Arc<Ground>, sessions: Sessions) -> Self {
        Self { ground, sessions }
    }

    /// The devices of the session's own account, oldest first.
    pub async fn own(&self, session: &SessionHandle) -> Answered<Vec<DeviceView>> {
        session.check(self.ground.now())?;
        let mut tx = self.ground.read().await?;
        let devices = tx.devices(&session.account()).await?;
        self.views(tx.as_mut(), devices).await
    }

    /// The devices of an account, or of all, oldest first.
    pub async fn list(&self, of: Option<&Address>) -> Answered<Vec<DeviceView>> {
        let mut tx = self.ground.read().await?;
        let devices = match of {
            Some(address) => {
                let account = accounts::find(&self.ground, tx.as_mut(), address).await?;
                tx.devices(&account.id).await?
            }
            None => everybodys(tx.as_mut()).await?,
        };
        self.views(tx.as_mut(), devices).await
    }

    /// Revokes a device of the session's own account, be it the asking one.
    pub async fn revoke_own(&self, session: &SessionHandle, device: DeviceId) -> Answered<()> {
        session.check(self.ground.now())?;
        let done = self.ground.write(self.revocation(device, Some(session.account()))).await?;
        if done { Ok(()) } else { Err(unknown(&device)) }
    }

    /// Revokes any device.
    pub async fn revoke(&self, device: DeviceId) -> Answered<()> {
        let done = self.ground.write(self.revocation(device, None)).await?;
        if done { Ok(()) } else { Err(unknown(&device)) }
    }

    /// The job behind revoking, for whoever adds something to its transaction.
    pub(crate) fn revocation(&self, device: DeviceId, of: Option<AccountId>) -> RevokeDevice {
        RevokeDevice {
            device,
            of,
            now: self.ground.now(),
            live: Arc::clone(self.sessions.live()),
            wakes: Arc::clone(self.ground.wakes()),
            done: false,
        }
    }

    async fn views(&self, tx: &mut dyn ReadTx, devices: Vec<Device>) -> Answered<Vec<DeviceView>> {
        let ends_after = self.ground.now().after(limits::KEY_PACKAGE_REMAINING);
        let mut views = Vec::with_capacity(devices.len());
        for device in devices {
            let stock = tx.key_package_stock(&device.certificate.device.device, ends_after).await?;
            views.push(DeviceView { device, key_packages: stock.one_time });
        }
        Ok(views)
    }
}

async fn everybodys(tx: &mut dyn ReadTx) -> Stored<Vec<Device>> {
    let mut devices: Vec<Device> = Vec::new();
    loop {
        let after = devices.last().map(|device| device.certificate.device.device);
        let page = tx.all_devices(after.as_ref(), PAGE).await?;
        let complete = page.len() < PAGE;
        devices.extend(page);
        if complete {
            return Ok(devices);
        }
    }
}

/// No such device.
pub(crate) fn unknown(device: &DeviceId) -> Refusal {
    Refusal::new(ErrorCode::NotFound, format!("there is no active device `{device}`"))
}

/// Revokes one device; `false` if there is no such active one.
pub(crate) struct RevokeDevice {
    device: DeviceId,
    of: Option<AccountId>,
    now: Timestamp,
    live: Arc<LiveSessions>,
    wakes: Arc<Wakes>,
    done: bool,
}

#[async_trait]
impl WriteJob for RevokeDevice {
    type Output = bool;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<bool> {
        self.done = false;
        let known = tx.device(&self.device).await?;
        let ours = known.is_some_and(|known| self.of.is_none_or(|account| known.account == account));
        self.done = ours && tx.device_revoke(&self.device, self.now).await?;
        Ok(self.done)
    }

    fn effects(&mut self) -> Effects {
        if self.done {
            self.live.end_device(&self.device, &SessionEnd::Revoked);
            self.wakes.end(&self.device);
        }
        Effects::default()
    }
}
