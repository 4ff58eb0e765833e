//! What waits for domains that are no peers any more: it goes nowhere, and whom it concerns hears of it.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use qpq_core::Domain;
use qpq_storage::{Stored, WriteTx};

use super::tombstone::group_of;
use crate::{
    Answered, Effects, Ground, WriteJob,
    groups::{self, Missed},
};

/// Rows that are given back in one transaction; a handshake may have some mebibytes.
const AT_ONCE: usize = 32;

/// Gives back what waits for domains whose peering has ended; returns how many rows. A domain that is a peer again by the time
/// it is looked at keeps its queue.
pub async fn give_back_unpeered(ground: &Arc<Ground>) -> Answered<usize> {
    let (mut tx, mut unpeered) = (ground.read().await?, Vec::new());
    for domain in tx.outbox_destinations().await? {
        // Numbers that were taken wait for ever; rows don't.
        if tx.peer(&domain).await?.is_none() && tx.outbox_weight(&domain).await?.rows > 0 {
            unpeered.push(domain);
        }
    }
    drop(tx);
    let mut all = 0;
    for domain in unpeered {
        loop {
            let job =
                GiveBack { ground: Arc::clone(ground), domain: domain.clone(), effects: Effects::default() };
            let given = ground.write(job).await?;
            all += given;
            if given < AT_ONCE {
                break;
            }
        }
    }
    Ok(all)
}

struct GiveBack {
    ground: Arc<Ground>,
    domain: Domain,
    effects: Effects,
}

#[async_trait]
impl WriteJob for GiveBack {
    type Output = usize;

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<usize> {
        self.effects = Effects::default();
        if tx.peer(&self.domain).await?.is_some() {
            return Ok(0);
        }
        let rows = tx.outbox_take(&self.domain, AT_ONCE).await?;
        let text = format!("`{}` is no peer of this domain any more", self.domain);
        let (us, now) = (self.ground.domain(), self.ground.now());
        let mut groups_cut = BTreeMap::new();
        for row in &rows {
            groups::give_back(&self.ground, tx, &row.row, &text, &mut self.effects).await?;
            if let Some((group, _)) = group_of(&row.row) {
                groups_cut.entry(group).or_insert(row.row.id);
            }
        }
        // If it is a peer again, what is missing in the stream of a group is a gap, and a gap leaves nobody there who follows.
        for (group, id) in groups_cut {
            Missed { us, group: &group, domain: &self.domain, id, now }.mark(tx).await?;
        }
        Ok(rows.len())
    }

    fn effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }
}
