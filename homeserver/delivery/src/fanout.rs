//! Who gets what from an entry of a group's log.
//!
//! A commit goes to every domain that had a member before it, the removed devices' domains included, since they must
//! learn that they are out. A domain whose devices only join gets no commit: its stream begins with the Welcome.

use std::collections::{BTreeMap, BTreeSet};

use qpq_core::{Address, DeviceAddress, Domain};

use crate::view::CommitFacts;

/// What one domain gets of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DomainShare {
    /// Devices that get the Welcome; it is the first row when the domain had no member before.
    pub welcomed: Vec<DeviceAddress>,
    /// The commit itself; absent when the domain had no member before.
    pub entry: Option<EntryShare>,
}

/// The commit as one domain gets it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct EntryShare {
    /// Devices of the domain that the commit removes and doesn't add again: this entry is their last.
    pub removed: Vec<DeviceAddress>,
}

/// What follows from one granted commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFanout {
    /// By domain, the hub's own included.
    pub shares: BTreeMap<Domain, DomainShare>,
    /// Every device that is in the group afterwards.
    pub members: Vec<DeviceAddress>,
    /// How many accounts those are.
    pub accounts: u32,
}

/// Spreads a commit that changes `before` as `facts` say.
pub fn of_commit(before: &[DeviceAddress], facts: &CommitFacts) -> CommitFanout {
    let added: BTreeSet<_> = facts.added.iter().map(|added| &added.device).collect();
    let removed: BTreeSet<_> = facts.removed.iter().map(|member| &member.device).collect();
    let mut shares: BTreeMap<Domain, DomainShare> = BTreeMap::new();
    for device in before {
        let entry = shares.entry(domain(device)).or_default().entry.get_or_insert_default();
        if removed.contains(device) && !added.contains(device) {
            entry.removed.push(device.clone());
        }
    }
    for device in &added {
        shares.entry(domain(device)).or_default().welcomed.push((*device).clone());
    }
    let stay = before.iter().filter(|device| !removed.contains(device));
    let members: BTreeSet<_> = stay.chain(added.iter().copied()).cloned().collect();
    let members: Vec<_> = members.into_iter().collect();
    CommitFanout { shares, accounts: accounts(&members), members }
}

/// The domains that get an application message: those of the members.
pub fn of_message(members: &[DeviceAddress]) -> BTreeSet<Domain> {
    members.iter().map(domain).collect()
}

/// How many accounts own these devices.
pub fn accounts(members: &[DeviceAddress]) -> u32 {
    let accounts: BTreeSet<&Address> = members.iter().map(|device| &device.user).collect();
    u32::try_from(accounts.len()).unwrap_or(u32::MAX)
}

fn domain(device: &DeviceAddress) -> Domain {
    device.user.domain().clone()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::tests::{added, device, facts, member};

    #[test]
    fn a_domain_that_only_joins_gets_the_welcome_alone() {
        let (alice, bob) = (device("alice@alpha.test", 1), device("bob@beta.test", 1));
        let fanout = of_commit(std::slice::from_ref(&alice), &facts(&alice, vec![added(&bob)], vec![]));
        let share = &fanout.shares[bob.user.domain()];
        assert_eq!((share.welcomed.as_slice(), share.entry.as_ref()), (&[bob.clone()][..], None));
        assert!(fanout.shares[alice.user.domain()].entry.is_some());
        assert_eq!(fanout.accounts, 2);
    }

    #[test]
    fn a_removed_device_still_gets_the_commit_that_removes_it() {
        let (alice, bob) = (device("alice@alpha.test", 1), device("bob@beta.test", 1));
        let fanout = of_commit(&[alice.clone(), bob.clone()], &facts(&alice, vec![], vec![member(1, &bob)]));
        assert_eq!(
            fanout.shares[bob.user.domain()].entry.as_ref().unwrap().removed,
            std::slice::from_ref(&bob)
        );
        assert_eq!(fanout.members, [alice]);
    }

    #[test]
    fn a_device_removed_and_added_again_is_welcomed_and_not_removed() {
        let (alice, bob) = (device("alice@alpha.test", 1), device("bob@beta.test", 1));
        let change = facts(&alice, vec![added(&bob)], vec![member(1, &bob)]);
        let share = of_commit(&[alice, bob.clone()], &change).shares[bob.user.domain()].clone();
        assert_eq!(share, DomainShare { welcomed: vec![bob], entry: Some(EntryShare::default()) });
    }

    proptest! {
        #[test]
        fn every_member_before_and_after_is_reached(
            before in proptest::collection::btree_set(0_u8..24, 1..12),
            gone in proptest::collection::btree_set(0_u8..24, 0..6),
            new in proptest::collection::btree_set(0_u8..24, 0..6),
        ) {
            let name = |n: u8| device(&format!("user{}@d{}.test", n / 2, n % 5), n);
            let gone: Vec<u8> = gone.intersection(&before).copied().collect();
            let new: Vec<u8> = new.into_iter().filter(|n| !before.contains(n) || gone.contains(n)).collect();
            let devices: Vec<_> = before.iter().map(|n| name(*n)).collect();
            let removed = gone.iter().map(|n| member(u32::from(*n), &name(*n))).collect();
            let change = facts(&devices[0], new.iter().map(|n| added(&name(*n))).collect(), removed);
            let fanout = of_commit(&devices, &change);
            for device in &devices {
                prop_assert!(fanout.shares[device.user.domain()].entry.is_some());
            }
            for n in &new {
                prop_assert!(fanout.shares[name(*n).user.domain()].welcomed.contains(&name(*n)));
            }
            for n in before.iter().filter(|n| !gone.contains(n)).chain(&new) {
                prop_assert!(fanout.members.contains(&name(*n)));
            }
            let expected: BTreeSet<u8> = before.iter().copied().filter(|n| !gone.contains(n)).chain(new).collect();
            prop_assert_eq!(fanout.members.len(), expected.len());
        }
    }
}
