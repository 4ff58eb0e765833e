//! The account's devices.

use qpq_core::DeviceId;

use crate::{Client, ClientError, log::Care, wire::DeviceRow};

impl Client {
    /// Lists them, revoked ones included.
    pub async fn devices(&self) -> Result<Vec<DeviceRow>, ClientError> {
        self.connect().await?;
        self.session()?.device_list().await
    }

    /// Ends one: its sessions, its KeyPackages, its place in the directory and in the log.
    pub async fn revoke_device(&self, device: &DeviceId) -> Result<(), ClientError> {
        self.connect().await?;
        self.session()?.device_revoke(device).await?;
        // It is ended whatever the log says; what is wrong there is told before the next message.
        self.look_after_own_keys(Care::Full).await
    }
}
