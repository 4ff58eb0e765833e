//! SRV records in the order in which they are tried (RFC 2782).

use qpq_core::{Domain, Entropy};

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Service {
    /// Lower ones first.
    pub priority: u16,
    /// The share among those of the same priority.
    pub weight: u16,
    /// The UDP port.
    pub port: u16,
    /// The host; `None`: the root, which says that the service is not offered.
    pub target: Option<Domain>,
}

/// Records in the order in which they are tried: by priority, and drawn by weight within one. A record of weight 0 is
/// drawn before others only if the lot falls on 0.
pub(super) fn ordered(mut services: Vec<Service>, entropy: &mut dyn Entropy) -> Vec<Service> {
    // Those of weight 0 come first in their priority, so that the lot of 0 finds them.
    services.sort_unstable_by(|one, other| {
        (one.priority, one.weight, &one.target, one.port).cmp(&(
            other.priority,
            other.weight,
            &other.target,
            other.port,
        ))
    });
    let mut order = Vec::with_capacity(services.len());
    while let Some(priority) = services.first().map(|service| service.priority) {
        let end = services.partition_point(|service| service.priority == priority);
        let mut group: Vec<Service> = services.drain(..end).collect();
        while let Some(chosen) = draw(&group, entropy) {
            order.push(group.remove(chosen));
        }
    }
    order
}

/// The index of the next one.
fn draw(group: &[Service], entropy: &mut dyn Entropy) -> Option<usize> {
    let sum: u64 = group.iter().map(|service| u64::from(service.weight)).sum();
    let lot = if group.len() > 1 { entropy.below(sum.saturating_add(1)) } else { 0 };
    let mut running = 0_u64;
    let found = group.iter().position(|service| {
        running = running.saturating_add(u64::from(service.weight));
        running >= lot
    });
    found.or_else(|| group.len().checked_sub(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use qpq_core::SeededEntropy;

    use super::*;

    fn service(priority: u16, weight: u16, host: &str) -> Service {
        Service { priority, weight, port: 7444, target: Some(host.parse().unwrap()) }
    }

    #[test]
    fn weights_are_shares_of_who_is_tried_first() {
        let records = vec![service(1, 10, "a.test"), service(1, 30, "b.test"), service(1, 0, "c.test")];
        let mut first = [0_u32; 3];
        let mut entropy = SeededEntropy::new(11);
        for _ in 0..4_100 {
            match ordered(records.clone(), &mut entropy)[0].target.as_ref().unwrap().as_str() {
                "a.test" => first[0] += 1,
                "b.test" => first[1] += 1,
                _ => first[2] += 1,
            }
        }
        // 10, 30 and 1 (the lot of 0) of 41.
        assert!((850..1_150).contains(&first[0]), "{first:?}");
        assert!((2_850..3_150).contains(&first[1]), "{first:?}");
        assert!((40..180).contains(&first[2]), "{first:?}");
    }

    proptest! {
        #[test]
        fn every_record_is_tried_once_and_lower_priorities_first(
            records in prop::collection::vec((0..4_u16, any::<u16>()), 0..12),
            seed: u64,
        ) {
            let records: Vec<Service> = records
                .into_iter()
                .enumerate()
                .map(|(host, (priority, weight))| service(priority, weight, &format!("h{host}.test")))
                .collect();
            let order = ordered(records.clone(), &mut SeededEntropy::new(seed));
            prop_assert!(order.is_sorted_by_key(|service| service.priority));
            let sorted = |mut records: Vec<Service>| { records.sort_unstable(); records };
            prop_assert_eq!(sorted(order), sorted(records));
        }
    }
}
