//! Notices in mailboxes.

use std::collections::BTreeMap;

use qpq_core::{DeviceId, MessageId, Seq, Timestamp};
use qpq_storage::{ContactEvent, KeyPackageStock, MailboxRow, Notice, Stored};

use crate::{
    fields::{Fields, each},
    transaction::{Statement, Transaction, int, position, size, sql, time},
};

/// `mailbox.kind` of each notice.
const WELCOME: i64 = 0;
const REFUSED: i64 = 1;
const KEY_PACKAGES_LOW: i64 = 2;
const NEEDS_RESYNC: i64 = 3;
const REMOVED: i64 = 4;
const CONTACT: i64 = 5;
const RECEIPT: i64 = 6;

/// `mailbox.code` of what is said about a contact.
const CONTACT_REQUESTED: u16 = 0;
const CONTACT_ACCEPTED: u16 = 1;

/// The columns of a notice; which of them are set depends on its kind.
#[derive(Default)]
struct Columns {
    kind: i64,
    group_id: Option<Vec<u8>>,
    epoch: Option<i64>,
    start: Option<i64>,
    sender: Option<String>,
    message_id: Option<Vec<u8>>,
    code: Option<u16>,
    retry_after_ms: Option<i64>,
    text: Option<String>,
    one_time: Option<i64>,
    last_resort_until: Option<i64>,
    welcome: Option<Vec<u8>>,
    receipt: Option<Vec<u8>>,
}

impl Columns {
    fn of(notice: &Notice) -> Self {
        match notice {
            Notice::Welcome { group, epoch, welcome, sender, start } => Self {
                kind: WELCOME,
                group_id: Some(group.to_bytes()),
                epoch: Some(int(*epoch)),
                start: Some(position(*start)),
                sender: Some(sender.to_string()),
                welcome: Some(welcome.clone()),
                ..Self::default()
            },
            Notice::Refused { group, id, code, text, retry_after_ms } => Self {
                kind: REFUSED,
                group_id: Some(group.to_bytes()),
                message_id: Some(id.as_bytes().to_vec()),
                code: Some(*code),
                retry_after_ms: Some(int(*retry_after_ms)),
                text: Some(text.clone()),
                ..Self::default()
            },
            Notice::KeyPackagesLow(stock) => Self {
                kind: KEY_PACKAGES_LOW,
                one_time: Some(int(stock.one_time)),
                last_resort_until: stock.last_resort_until.map(time),
                ..Self::default()
            },
            Notice::NeedsResync { group } => {
                Self { kind: NEEDS_RESYNC, group_id: Some(group.to_bytes()), ..Self::default() }
            }
            Notice::Removed { group } => {
                Self { kind: REMOVED, group_id: Some(group.to_bytes()), ..Self::default() }
            }
            Notice::Contact { address, event } => Self {
                kind: CONTACT,
                text: Some(address.to_string()),
                code: Some(match event {
                    ContactEvent::Requested => CONTACT_REQUESTED,
                    ContactEvent::Accepted => CONTACT_ACCEPTED,
                }),
                ..Self::default()
            },
            Notice::Receipt { receipt } => {
                Self { kind: RECEIPT, receipt: Some(receipt.clone()), ..Self::default() }
            }
        }
    }

    fn bind(self, statement: Statement) -> Statement {
        statement
            .bind(self.kind)
            .bind(self.group_id)
            .bind(self.epoch)
            .bind(self.start)
            .bind(self.sender)
            .bind(self.message_id)
            .bind(self.code)
            .bind(self.retry_after_ms)
            .bind(self.text)
            .bind(self.one_time)
            .bind(self.last_resort_until)
            .bind(self.welcome)
            .bind(self.receipt)
    }
}

/// Deletes what a notice takes the place of, if it does.
fn former(device: &DeviceId, notice: &Notice) -> Option<Statement> {
    let device = device.as_bytes().to_vec();
    match notice {
        Notice::KeyPackagesLow(_) => {
            Some(sql("DELETE FROM mailbox WHERE device = ? AND kind = 2").bind(device))
        }
        Notice::Contact { address, .. } => {
            let delete = sql("DELETE FROM mailbox WHERE device = ? AND kind = 5 AND text = ?");
            Some(delete.bind(device).bind(address.to_string()))
        }
        Notice::Welcome { .. }
        | Notice::Refused { .. }
        | Notice::NeedsResync { .. }
        | Notice::Removed { .. }
        | Notice::Receipt { .. } => None,
    }
}

/// Reads a notice.
pub(super) fn mailbox_row(row: Fields<'_>) -> Stored<MailboxRow> {
    let notice = match row.int("kind")? {
        WELCOME => Notice::Welcome {
            group: row.group("group_id")?,
            epoch: row.number("epoch")?,
            welcome: row.blob("welcome")?,
            sender: row.parsed("sender")?,
            start: row.seq("start")?,
        },
        REFUSED => Notice::Refused {
            group: row.group("group_id")?,
            id: MessageId::from_bytes(row.bytes("message_id")?),
            code: row.number("code")?,
            text: row.text("text")?,
            retry_after_ms: row.number("retry_after_ms")?,
        },
        KEY_PACKAGES_LOW => Notice::KeyPackagesLow(KeyPackageStock {
            one_time: row.number("one_time")?,
            last_resort_until: row.optional_time("last_resort_until")?,
        }),
        NEEDS_RESYNC => Notice::NeedsResync { group: row.group("group_id")? },
        REMOVED => Notice::Removed { group: row.group("group_id")? },
        CONTACT => Notice::Contact {
            address: row.parsed("text")?,
            event: match row.number::<u16>("code")? {
                CONTACT_REQUESTED => ContactEvent::Requested,
                CONTACT_ACCEPTED => ContactEvent::Accepted,
                other => return Err(row.corrupt("code", &other)),
            },
        },
        RECEIPT => Notice::Receipt { receipt: row.blob("receipt")? },
        other => return Err(row.corrupt("kind", &other)),
    };
    Ok(MailboxRow { seq: row.seq("seq")?, at: row.time("at")?, notice })
}

impl Transaction {
    pub(super) async fn append_notices(
        &mut self,
        notices: &[(DeviceId, Notice)],
        now: Timestamp,
    ) -> Stored<Vec<DeviceId>> {
        let what = "mailbox_append";
        let mut next = self.reserve_positions(what, notices).await?;
        let mut reached: Vec<DeviceId> = Vec::new();
        let mut rows: Vec<(DeviceId, Seq, &Notice)> = Vec::with_capacity(notices.len());
        for (device, notice) in notices {
            let Some(last) = next.get_mut(device) else { continue };
            *last = last.next();
            if let Some(former) = former(device, notice) {
                self.run(what, former).await?;
                rows.retain(|(owner, _, known)| owner != device || !notice.replaces(known));
            }
            rows.push((*device, *last, notice));
            if !reached.contains(device) {
                reached.push(*device);
            }
        }
        let head =
            "INSERT INTO mailbox (device, seq, at, kind, group_id, epoch, start, sender, message_id, code,
                                         retry_after_ms, text, one_time, last_resort_until, welcome, receipt) VALUES";
        self.insert_all(what, head, 16, &rows, |statement, (device, seq, notice)| {
            let statement = statement.bind(device.as_bytes().to_vec()).bind(position(*seq)).bind(time(now));
            Columns::of(notice).bind(statement)
        })
        .await?;
        Ok(reached)
    }

    /// Numbers the notices of each device that has a mailbox; returns the position before its first.
    async fn reserve_positions(
        &mut self,
        what: &'static str,
        notices: &[(DeviceId, Notice)],
    ) -> Stored<BTreeMap<DeviceId, Seq>> {
        let mut counts: BTreeMap<DeviceId, usize> = BTreeMap::new();
        for (device, _) in notices {
            *counts.entry(*device).or_default() += 1;
        }
        let mut before = BTreeMap::new();
        for (device, count) in counts {
            let reserve = sql("UPDATE devices SET mailbox_last = mailbox_last + ?1
                               WHERE id = ?2 AND revoked_at IS NULL
                               RETURNING id, mailbox_last - ?1 AS before")
            .bind(size(count))
            .bind(device.as_bytes().to_vec());
            let rows = self.rows(what, reserve).await?;
            for seq in each("devices", &rows, |row| row.seq("before"))? {
                before.insert(device, seq);
            }
        }
        Ok(before)
    }
}
