//! What only the binary can do or knows, handed to the actions.

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{Configuration, Integrity, MachineFacts, NoConfiguration};

/// What only the binary can see: files and their permissions, the disk, sockets, certificates, the whole database file.
#[async_trait]
pub trait Machine: Send + Sync + fmt::Debug {
    /// Looks at everything that is cheap to look at. It ends in some seconds, whatever the machine does; what could not be
    /// looked at is said.
    async fn look(&self) -> MachineFacts;

    /// Reads the whole database; takes as long as the disk does.
    async fn integrity(&self) -> Integrity;
}

/// The binary's part of the actions; cheap to clone.
#[derive(Clone, Debug)]
pub struct Appliance {
    /// The effective configuration.
    pub configuration: Arc<dyn Configuration>,
    /// The machine.
    pub machine: Arc<dyn Machine>,
}

impl Appliance {
    /// Of a homeserver that was put together without a binary around it: it has no configuration file, and nobody looks
    /// at its machine.
    pub fn bare() -> Self {
        Self { configuration: Arc::new(NoConfiguration), machine: Arc::new(NoMachine) }
    }
}

/// A machine that nobody looks at: for a homeserver that was put together in memory.
#[derive(Clone, Copy, Debug)]
pub struct NoMachine;

#[async_trait]
impl Machine for NoMachine {
    async fn look(&self) -> MachineFacts {
        MachineFacts::default()
    }

    async fn integrity(&self) -> Integrity {
        Integrity::Whole
    }
}
