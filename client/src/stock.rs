//! This device's KeyPackages at its homeserver: enough of them, fresh ones, and a last resort.

use qpq_core::{Millis, limits::KEY_PACKAGES_LOW};

use crate::{
    Client, ClientError,
    mls::{StockKind, new_key_package},
    session::Upload,
};

/// One-time KeyPackages that a device keeps in stock.
const STOCK: u32 = 30;
/// How long the private halves of expired KeyPackages are kept for invitations that are under way.
const AFTERLIFE: Millis = Millis::from_days(35);

impl Client {
    /// Makes and uploads what is missing; uploads again what may not have arrived.
    pub(crate) async fn stock_up(&self) -> Result<(), ClientError> {
        let session = self.session()?;
        let stock = session.stock().await?;
        self.make_missing(stock.one_time, stock.last_resort_until.is_none_or(|until| until <= self.now()))
            .await?;
        loop {
            let mut tx = self.inner.store.begin().await?;
            let rows = tx.key_packages_to_upload().await?;
            drop(tx);
            let Some(chunk) = rows.chunks(64).next() else { return Ok(()) };
            let uploads: Vec<_> = chunk
                .iter()
                .map(|row| Upload {
                    key_package: row.key_package.clone(),
                    last_resort: row.kind == StockKind::LastResort,
                })
                .collect();
            session.upload(&uploads).await?;
            let references: Vec<_> = chunk.iter().map(|row| row.reference.clone()).collect();
            let mut tx = self.inner.store.begin().await?;
            tx.mark_key_packages_uploaded(&references).await?;
            tx.commit().await?;
        }
    }

    async fn make_missing(&self, one_time: u32, last_resort: bool) -> Result<(), ClientError> {
        let me = self.me()?;
        let now = self.now();
        let mut tx = self.inner.store.begin().await?;
        let waiting = tx.key_packages_to_upload().await?;
        let waits =
            |kind| u32::try_from(waiting.iter().filter(|row| row.kind == kind).count()).unwrap_or(STOCK);
        let have = one_time.saturating_add(waits(StockKind::OneTime));
        let mut made = Vec::new();
        if u64::from(have) <= KEY_PACKAGES_LOW {
            for _ in have..STOCK {
                made.push(new_key_package(&me.device, me.account.suite, StockKind::OneTime, now)?);
            }
        }
        if last_resort && waits(StockKind::LastResort) == 0 {
            made.push(new_key_package(&me.device, me.account.suite, StockKind::LastResort, now)?);
        }
        if !made.is_empty() {
            tx.add_key_packages(&made).await?;
            tx.purge_key_packages(now.before(AFTERLIFE)).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
