//! The account's devices.

use qpq_core::DeviceId;

use crate::{Client, ClientError, wire::DeviceRow};

impl Client {
    /// Lists them, revoked ones included.
    pub async fn devices(&self) -> Result<Vec<DeviceRow>, ClientError> {
        self.connect().await?;
        self.session()?.device_list().await
    }

    /// Ends one: its sessions, its KeyPackages, its place in the directory.
    pub async fn revoke_device(&self, device: &DeviceId) -> Result<(), ClientError> {
        self.connect().await?;
        self.session()?.device_revoke(device).await
    }
}
