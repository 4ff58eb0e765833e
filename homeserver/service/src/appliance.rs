//! What only the binary can do or knows, handed to the actions.

use std::sync::Arc;

use crate::{Configuration, NoConfiguration};

/// The binary's part of the actions; cheap to clone.
#[derive(Clone, Debug)]
pub struct Appliance {
    /// The effective configuration.
    pub configuration: Arc<dyn Configuration>,
}

impl Appliance {
    /// Of a homeserver that was put together without a binary around it: it has no configuration file.
    pub fn bare() -> Self {
        Self { configuration: Arc::new(NoConfiguration) }
    }
}
