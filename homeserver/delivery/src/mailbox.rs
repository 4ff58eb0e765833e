//! How much may wait for a device, and what happens then.
//!
//! The limit is of undelivered application messages and their bytes; handshakes don't count and are always stored. In a
//! group of more than two accounts one slow device must not silence the others, so it is cut off; between two there is
//! nobody else to protect, so the sender waits.

use qpq_core::{DeviceId, Millis};

/// When a sender who met a full queue may try again.
const RETRY: Millis = Millis::from_secs(60);

/// The limit in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxLimit {
    /// Undelivered application messages per device.
    pub messages: u64,
    /// Bytes of their ciphertexts. One message has room in an empty queue.
    pub bytes: u64,
}

/// A member device that the storing domain knows, and what waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which device.
    pub device: DeviceId,
    /// Application messages in all its feeds that it has not acknowledged.
    pub messages: u64,
    /// The bytes of their ciphertexts.
    pub bytes: u64,
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
    /// Decides about one more application message of so many bytes to a group with `accounts` members.
    pub fn room(&self, accounts: u32, size: u64, devices: &[Waiting]) -> Room {
        let full = |waiting: &&Waiting| {
            let heavy = waiting.messages > 0 && waiting.bytes.saturating_add(size) > self.bytes;
            waiting.messages >= self.messages || heavy
        };
        let cut_off: Vec<_> = devices.iter().filter(full).map(|waiting| waiting.device).collect();
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
            .map(|(n, c)| Waiting { device: DeviceId::from_bytes([n; 16]), messages: *c, bytes: 10 * *c })
            .collect()
    }

    #[test]
    fn bytes_count_like_messages_and_one_message_has_room_in_an_empty_queue() {
        let limit = MailboxLimit { messages: 100, bytes: 25 };
        assert_eq!(limit.room(2, 5, &waiting(&[2])), Room::Store { cut_off: vec![] });
        assert_eq!(limit.room(2, 6, &waiting(&[2])), Room::Full { retry_after: RETRY });
        let first = Room::Store { cut_off: vec![DeviceId::from_bytes([0; 16])] };
        assert_eq!(limit.room(3, 16, &waiting(&[1, 0])), first);
        assert_eq!(limit.room(2, 1_000, &waiting(&[0])), Room::Store { cut_off: vec![] });
    }

    #[test]
    fn two_members_wait_and_larger_groups_cut_off() {
        let limit = MailboxLimit { messages: 3, bytes: u64::MAX };
        assert_eq!(limit.room(2, 1, &waiting(&[0, 2])), Room::Store { cut_off: vec![] });
        assert_eq!(limit.room(2, 1, &waiting(&[0, 3])), Room::Full { retry_after: RETRY });
        assert_eq!(
            limit.room(3, 1, &waiting(&[0, 3])),
            Room::Store { cut_off: vec![DeviceId::from_bytes([1; 16])] }
        );
    }

    proptest! {
        #[test]
        fn no_device_ever_holds_more_than_the_limit(
            messages in 1_u64..20, bytes in 100_u64..1_000, accounts in 2_u32..5,
            reads in proptest::collection::vec((0_usize..4, 0_usize..4, 1_u64..100), 0..200),
        ) {
            let limit = MailboxLimit { messages, bytes };
            let mut queues: Vec<Option<Vec<u64>>> = vec![Some(Vec::new()); 4];
            for (reader, taken, size) in reads {
                let held: Vec<_> = (0_u8..).zip(&queues)
                    .filter_map(|(n, queue)| queue.as_ref().map(|sizes| Waiting {
                        device: DeviceId::from_bytes([n; 16]),
                        messages: u64::try_from(sizes.len()).unwrap(),
                        bytes: sizes.iter().sum(),
                    }))
                    .collect();
                if let Room::Store { cut_off } = limit.room(accounts, size, &held) {
                    for (n, queue) in (0_u8..).zip(&mut queues) {
                        if cut_off.contains(&DeviceId::from_bytes([n; 16])) {
                            *queue = None;
                        }
                        if let Some(sizes) = queue {
                            sizes.push(size);
                        }
                    }
                } else {
                    prop_assert_eq!(accounts, 2, "only two-member groups refuse");
                }
                for sizes in queues.iter().flatten() {
                    prop_assert!(sizes.len() <= usize::try_from(messages).unwrap());
                    prop_assert!(sizes.iter().sum::<u64>() <= bytes);
                }
                if let Some(sizes) = &mut queues[reader] {
                    sizes.drain(..taken.min(sizes.len()));
                }
            }
        }
    }
}
