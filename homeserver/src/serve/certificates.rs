//! The leaf that both listeners show, read again when somebody replaced it on the disk.
//!
//! One slot is shared by the client listener, the federation listener and the links that we dial. Connections that are
//! up keep the leaf they began with; the next one sees the new one.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use qpq_core::{Domain, Pin};
use qpq_service::Ground;
use qpq_transport::{Anchors, Leaf, Verdict};
use tracing::info;

use crate::{data_dir::DataDir, keys};

/// What is needed to judge a new leaf and to show it.
#[derive(Debug)]
pub(super) struct Certificates {
    directory: DataDir,
    pin: Pin,
    leaf: Leaf,
    ground: Arc<Ground>,
}

impl Certificates {
    /// Shows `leaf`, which an authority with this pin issued.
    pub(super) fn new(directory: &DataDir, pin: Pin, leaf: Leaf, ground: Arc<Ground>) -> Self {
        let certificates = Self { directory: directory.clone(), pin, leaf, ground };
        certificates.count();
        certificates
    }

    /// Reads the files again and shows what they hold, if clients and peers would accept it; else nothing changes.
    pub(super) fn reload(&self) -> anyhow::Result<()> {
        let identity = keys::leaf(&self.directory)?;
        let found = identity.certificate();
        let path = self.directory.key("tls.crt");
        let reason = match found.judge(&self.anchors(self.ground.domain()), self.ground.now()) {
            Verdict::Trusted => None,
            Verdict::Unpinned => Some("another authority has signed it than `keys/ca.crt`, which others pin"),
            Verdict::Expired => Some("its time is over"),
            Verdict::NotYetValid => Some("its time has not begun"),
            Verdict::WrongDomain | Verdict::Malformed => Some("it does not name this domain"),
        };
        if let Some(reason) = reason {
            bail!("`{}` can't be used: {reason}", path.display());
        }
        if self.leaf.shows(&identity) {
            return Ok(());
        }
        self.leaf.replace(&identity).with_context(|| format!("`{}` can't be used", path.display()))?;
        self.count();
        info!(not_after = %found.not_after, "both listeners show a new certificate from now on");
        Ok(())
    }

    fn anchors<'a>(&'a self, domain: &'a Domain) -> Anchors<'a> {
        Anchors { domain, pins: std::slice::from_ref(&self.pin) }
    }

    fn count(&self) {
        self.ground.metrics().certificate("listeners", self.leaf.certificate().not_after.as_seconds());
    }
}
