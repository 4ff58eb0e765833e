//! How much may wait for a device, and what happens then.
//!
//! The limit counts undelivered application messages; handshakes don't count and are always stored. In a group of
//! more than two accounts one slow device must not silence the others, so it is cut off; between two there is
//! nobody else to protect, so the sender waits.

use qpq_core::{DeviceId, Millis};

/// When a sender who met a full queue may try again.
const RETRY: Millis = Millis::from_secs(60);

/// The limit in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxLimit {
    /// Undelivered application messages per device.
    pub messages: u64,
}

/// A member device that the storing domain knows, and what waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which device.
    pub device: DeviceId,
    /// Application messages in all its feeds that it has not acknowledged.
    pub undelivered: u64,
}

/// What a new application message meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Room {
    /// Store it; these devices (none, as a rule) are cut off from the group and told so.
    Store {
        /// Whom to mark `needsResync`.
        cut_off: Vec<DeviceId>,
    },
    /// Refuse it with `mailboxFull`.
    Full {
        /// When to try again.
        retry_after: Millis,
    },
}

impl MailboxLimit {
    /// Decides about one more application message to a group with `accounts` members.
    pub fn room(&self, accounts: u32, devices: &[Waiting]) -> Room {
        let full = devices.iter().filter(|waiting| waiting.undelivered >= self.messages);
        let cut_off: Vec<_> = full.map(|waiting| waiting.device).collect();
        if accounts <= 2 && !cut_off.is_empty() {
            return Room::Full { retry_after: RETRY };
        }
        Room::Store { cut_off }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn waiting(counts: &[u64]) -> Vec<Waiting> {
        (0_u8..)
            .zip(counts)
            .map(|(n, c)| Waiting { device: DeviceId::from_bytes([n; 16]), undelivered: *c })
            .collect()
    }

    #[test]
    fn two_members_wait_and_larger_groups_cut_off() {
        let limit = MailboxLimit { messages: 3 };
        assert_eq!(limit.room(2, &waiting(&[0, 2])), Room::Store { cut_off: vec![] });
        assert_eq!(limit.room(2, &waiting(&[0, 3])), Room::Full { retry_after: RETRY });
        assert_eq!(
            limit.room(3, &waiting(&[0, 3])),
            Room::Store { cut_off: vec![DeviceId::from_bytes([1; 16])] }
        );
    }

    proptest! {
        #[test]
        fn no_device_ever_holds_more_than_the_limit(
            messages in 1_u64..20, accounts in 2_u32..5, reads in proptest::collection::vec((0_usize..4, 0_u64..4), 0..200),
        ) {
            let limit = MailboxLimit { messages };
            let mut queues: Vec<Option<u64>> = vec![Some(0); 4];
            for (reader, taken) in reads {
                let held: Vec<_> = (0_u8..).zip(&queues)
                    .filter_map(|(n, q)| q.map(|undelivered| Waiting { device: DeviceId::from_bytes([n; 16]), undelivered }))
                    .collect();
                if let Room::Store { cut_off } = limit.room(accounts, &held) {
                    for (n, queue) in (0_u8..).zip(&mut queues) {
                        *queue = queue.filter(|_| !cut_off.contains(&DeviceId::from_bytes([n; 16]))).map(|q| q + 1);
                    }
                } else {
                    prop_assert_eq!(accounts, 2, "only two-member groups refuse");
                }
                prop_assert!(queues.iter().flatten().all(|held| *held <= messages));
                queues[reader] = queues[reader].map(|held| held.saturating_sub(taken));
            }
        }
    }
}
