//! The row by which a home says that its user has accepted one of ours, who hears of it if they wait for it.

use qpq_core::{Address, Domain, ErrorCode, Timestamp};
use qpq_federation_proto::Row;
use qpq_schemas::records_capnp::contact_accepted;
use qpq_storage::{ContactEvent, Notice, Stored, WriteTx};

use super::asking::{is_accepted, tell};
use crate::{
    Answered, Effects, Refusal,
    relay::payload::{read, write},
    wire::{address, unreadable},
};

/// A user of the origin has accepted a user of the destination who had asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContactAccepted {
    /// Who accepted.
    pub(crate) user: Address,
    /// Who had asked.
    pub(crate) asker: Address,
}

impl ContactAccepted {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        write::<contact_accepted::Owned>(|mut record| {
            record.set_user(self.user.to_string());
            record.set_asker(self.asker.to_string());
        })
    }

    pub(crate) fn from_bytes(payload: &[u8]) -> Answered<Self> {
        let message = read(payload)?;
        let record = message.get_root::<contact_accepted::Reader<'_>>().map_err(unreadable)?;
        Ok(Self { user: address("user", record.get_user())?, asker: address("asker", record.get_asker())? })
    }
}

/// Tells our user's devices. What nobody here waits for is taken without a word: the answer must not tell the origin
/// who exists, nor let it fill mailboxes.
pub(crate) async fn apply(
    tx: &mut dyn WriteTx,
    us: &Domain,
    origin: &Domain,
    row: &Row,
    now: Timestamp,
    effects: &mut Effects,
) -> Stored<Answered<()>> {
    let ContactAccepted { user, asker } = match ContactAccepted::from_bytes(&row.payload) {
        Ok(record) => record,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if user.domain() != origin || asker.domain() != us {
        let text = format!("`{origin}` can't say that `{user}` has accepted `{asker}`");
        return Ok(Err(Refusal::new(ErrorCode::PolicyRefused, text)));
    }
    let Some(account) = tx.account_named(asker.localpart()).await? else { return Ok(Ok(())) };
    // Who asks has accepted whom they ask for.
    if is_accepted(tx, &account.id, &user).await? {
        let notice = Notice::Contact { address: user, event: ContactEvent::Accepted };
        tell(tx, &account.id, &notice, now, effects).await?;
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn garbage_is_refused_without_panic(noise: Vec<u8>, at: prop::sample::Index, value: u8) {
            drop(ContactAccepted::from_bytes(&noise));
            let record = ContactAccepted {
                user: "bob@beta.test".parse().unwrap(),
                asker: "alice@alpha.test".parse().unwrap(),
            };
            let mut bytes = record.to_bytes();
            prop_assert_eq!(ContactAccepted::from_bytes(&bytes), Ok(record));
            let at = at.index(bytes.len());
            bytes[at] = value;
            drop(ContactAccepted::from_bytes(&bytes));
        }
    }
}
