//! Which application messages the hub takes into a group's log.

use qpq_core::limits;

use crate::policy::Refusal;

/// What the hub knows of the device that sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It is in the group at the hub's current epoch.
    Member,
    /// It is not, or not any more: a removed device's submits stop at once.
    Outside,
}

/// Decides about one application message by its epoch and its sender.
///
/// A message from an epoch ahead of the hub can't exist unless somebody forked: there is no such epoch.
pub fn judge(message_epoch: u64, current: u64, sender: Membership) -> Result<(), Refusal> {
    match sender {
        Membership::Outside => Err(Refusal::NotMember),
        Membership::Member if message_epoch > current => Err(Refusal::EpochAhead { current }),
        Membership::Member if message_epoch < current.saturating_sub(limits::PAST_EPOCHS) => {
            Err(Refusal::EpochTooOld { current })
        }
        Membership::Member => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_past_epochs_are_taken_and_no_future_one() {
        for (epoch, expected) in [
            (10, Ok(())),
            (5, Ok(())),
            (4, Err(Refusal::EpochTooOld { current: 10 })),
            (11, Err(Refusal::EpochAhead { current: 10 })),
        ] {
            assert_eq!(judge(epoch, 10, Membership::Member), expected);
        }
        assert_eq!(judge(0, 3, Membership::Member), Ok(()));
        assert_eq!(judge(10, 10, Membership::Outside), Err(Refusal::NotMember));
    }
}
