//! The link by which the first admin comes in: on standard output and in the log once, and in `run/setup-link` as long as
//! it is the one that counts.

use std::path::PathBuf;

use anyhow::Context as _;
use qpq_service::{Admins, SetupLink};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{data_dir::DataDir, output};

/// `run/setup-link`; goes when the link is used, and with the process.
#[derive(Debug)]
pub(super) struct SetupFile {
    path: PathBuf,
    links: watch::Receiver<Option<SetupLink>>,
}

impl SetupFile {
    /// Makes a link and shows it, if nobody can sign in yet.
    pub(super) async fn announce(directory: &DataDir, admins: &Admins) -> anyhow::Result<Self> {
        let file = Self { path: directory.setup_link(), links: admins.first_link() };
        let link = admins.first_run().await.context("the link for the first admin could not be made")?;
        file.write(link.as_ref());
        if let Some(link) = link {
            output::line(&format!("No admin yet. Open this link to become the first one: {}", link.url));
            info!(
                link = %link.url,
                expires = %link.expires_at,
                file = %file.path.display(),
                "there is no admin yet; whoever opens this link becomes the first one, once"
            );
        }
        Ok(file)
    }

    /// Keeps the file true until the end.
    pub(super) async fn keep(mut self, stopping: CancellationToken) {
        while let Some(Ok(())) = stopping.run_until_cancelled(self.links.changed()).await {
            let link = self.links.borrow_and_update().clone();
            self.write(link.as_ref());
        }
        self.write(None);
    }

    /// A link that can't be written was shown all the same, and `admin setup-link` shows another one.
    fn write(&self, link: Option<&SetupLink>) {
        match link {
            Some(link) => {
                if let Err(error) = DataDir::replace(&self.path, format!("{}\n", link.url).as_bytes()) {
                    let path = self.path.display();
                    warn!(error = &error as &dyn std::error::Error, "`{path}` could not be written");
                }
            }
            // Mostly there is none.
            None => drop(std::fs::remove_file(&self.path)),
        }
    }
}
