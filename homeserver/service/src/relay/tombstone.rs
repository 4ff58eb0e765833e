//! Tombstones: rows that keep a position and say why its row will not come.

use qpq_core::GroupId;
use qpq_federation_proto::RowKind;
use qpq_schemas::records_capnp::tombstone;
use qpq_storage::NewOutboxRow;

use super::payload::{read, write};
use crate::{
    Answered,
    groups::{GroupEntry, GroupWelcome},
    wire::{optional_group_id, unreadable},
};

/// What takes a row's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tombstone {
    /// Why the row will not come, in a word.
    pub(crate) reason: String,
    /// What it was; 0: several things.
    pub(crate) kind: u16,
    /// The group that the destination's devices can't follow without it.
    pub(crate) group: Option<GroupId>,
}

impl Tombstone {
    /// What takes the place of a row of this kind.
    pub(super) fn plain(reason: &str, kind: u16) -> Self {
        Self { reason: reason.to_owned(), kind, group: None }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        write::<tombstone::Owned>(|mut record| {
            record.set_reason(&self.reason);
            record.set_kind(self.kind);
            if let Some(group) = &self.group {
                record.set_group(&group.to_bytes());
            }
        })
    }

    /// The group that a peer's tombstone names; what it says beside is for whoever reads a queue.
    pub(crate) fn group_in(payload: &[u8]) -> Answered<Option<GroupId>> {
        let message = read(payload)?;
        let record = message.get_root::<tombstone::Reader<'_>>().map_err(unreadable)?;
        optional_group_id(record.get_group())
    }
}

/// The group of a row of its log, and whether nobody at the row's destination can follow it without the row: it is a commit or
/// a Welcome.
pub(super) fn group_of(row: &NewOutboxRow) -> Option<(GroupId, bool)> {
    match RowKind::from_number(row.kind) {
        RowKind::GroupEntry => {
            let entry = GroupEntry::from_bytes(&row.payload).ok()?;
            Some((entry.group, entry.committer.is_some()))
        }
        RowKind::Welcome => Some((GroupWelcome::from_bytes(&row.payload).ok()?.group, true)),
        RowKind::GroupSubmit
        | RowKind::SubmitRefused
        | RowKind::Tombstone
        | RowKind::ContactAccepted
        | RowKind::Receipt
        | RowKind::Unknown(_) => None,
    }
}
