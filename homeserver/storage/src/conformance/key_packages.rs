//! Stock and claims.

use qpq_core::{Address, GroupId};

use super::{
    Failure, Outcome, Subject, conflicts,
    fixtures::{at, device_id, digest, enrol, foreign_device, foreign_group_id},
    read, same, write,
};
use crate::{Claim, KeyPackageStock, KeyPackagesUploaded, StoredKeyPackage};

fn package(number: u8, ends: u64, last_resort: bool) -> StoredKeyPackage {
    StoredKeyPackage {
        device: device_id(1),
        reference: digest(number),
        message: vec![number; 50],
        not_after: at(ends),
        last_resort,
    }
}

/// Who claims, for which group.
struct Requester {
    address: Address,
    group: GroupId,
    nonce: [u8; 16],
}

impl Requester {
    fn new(nonce: u8) -> Result<Self, Failure> {
        let address = foreign_device("bob", 2)?.user;
        Ok(Self { address, group: foreign_group_id(1)?, nonce: [nonce; 16] })
    }

    async fn claims(&self, subject: &dyn Subject, last_resort_only: bool) -> Result<Option<u8>, Failure> {
        let claim = Claim {
            requester: &self.address,
            group: &self.group,
            nonce: &self.nonce,
            device: &device_id(1),
            ends_after: at(100),
            last_resort_only,
            now: at(1),
        };
        let mut tx = write(subject).await?;
        let known = tx.key_package_claim_known(&claim).await?;
        let got = tx.key_package_claim(&claim).await?;
        same("known afterwards", tx.key_package_claim_known(&claim).await?, known || got.is_some())?;
        tx.commit().await?;
        Ok(got.and_then(|package| package.message.first().copied()))
    }
}

async fn stocked(subject: &dyn Subject, packages: &[StoredKeyPackage]) -> Outcome {
    enrol(subject, "alice", 1).await?;
    let mut tx = write(subject).await?;
    same("upload", tx.key_packages_upload(packages, 10).await?, KeyPackagesUploaded::Stored)?;
    tx.commit().await?;
    Ok(())
}

/// Only what lasts long enough counts.
pub async fn stock_is_counted(subject: &mut dyn Subject) -> Outcome {
    stocked(subject, &[package(1, 200, false), package(2, 50, false), package(3, 300, true)]).await?;
    let mut tx = read(subject).await?;
    let all = KeyPackageStock { one_time: 2, last_resort_until: Some(at(300)) };
    same("all", tx.key_package_stock(&device_id(1), at(10)).await?, all)?;
    let lasting = KeyPackageStock { one_time: 1, last_resort_until: Some(at(300)) };
    same("lasting", tx.key_package_stock(&device_id(1), at(100)).await?, lasting)?;
    same("of another", tx.key_package_stock(&device_id(9), at(0)).await?, KeyPackageStock::default())
}

/// More than the limit is refused as a whole; a repeat counts once.
pub async fn uploads_are_limited_and_repeatable(subject: &mut dyn Subject) -> Outcome {
    stocked(subject, &[package(1, 200, false), package(1, 200, false)]).await?;
    let mut tx = write(subject).await?;
    let repeat = [package(1, 200, false), package(2, 200, false)];
    same("a repeat", tx.key_packages_upload(&repeat, 2).await?, KeyPackagesUploaded::Stored)?;
    let more = [package(3, 200, false), package(4, 200, true)];
    same("too many", tx.key_packages_upload(&more, 2).await?, KeyPackagesUploaded::TooMany)?;
    let stock = KeyPackageStock { one_time: 2, last_resort_until: None };
    same("stock", tx.key_package_stock(&device_id(1), at(0)).await?, stock)?;
    let stray = StoredKeyPackage { device: device_id(9), ..package(5, 200, false) };
    conflicts("of no device", tx.key_packages_upload(&[stray], 2).await)
}

/// The same claim gets the same package, whatever happened in between.
pub async fn a_claim_is_repeatable(subject: &mut dyn Subject) -> Outcome {
    stocked(subject, &[package(1, 200, false), package(2, 300, false)]).await?;
    let (first, second) = (Requester::new(1)?, Requester::new(2)?);
    same("first", first.claims(subject, false).await?, Some(1))?;
    same("second", second.claims(subject, false).await?, Some(2))?;
    subject.reopen().await?;
    same("first again", first.claims(subject, false).await?, Some(1))?;
    same("none left", Requester::new(3)?.claims(subject, false).await?, None)?;
    let mut tx = write(subject).await?;
    tx.key_packages_upload(&[package(1, 200, false)], 10).await?;
    same("a claimed one does not return", tx.key_package_stock(&device_id(1), at(0)).await?.one_time, 0)
}

/// Of those that last long enough, the one that ends first is given out first.
pub async fn the_first_to_end_goes_first(subject: &mut dyn Subject) -> Outcome {
    stocked(subject, &[package(3, 300, false), package(1, 50, false), package(2, 200, false)]).await?;
    same("first", Requester::new(1)?.claims(subject, false).await?, Some(2))?;
    same("second", Requester::new(2)?.claims(subject, false).await?, Some(3))?;
    same("too short a life", Requester::new(3)?.claims(subject, false).await?, None)
}

/// The last-resort package is lent when the rest is gone, or on demand, and stays.
pub async fn the_last_resort_stays(subject: &mut dyn Subject) -> Outcome {
    stocked(subject, &[package(1, 200, false), package(2, 300, true)]).await?;
    same("on demand", Requester::new(1)?.claims(subject, true).await?, Some(2))?;
    same("one-time first", Requester::new(2)?.claims(subject, false).await?, Some(1))?;
    same("then the last resort", Requester::new(3)?.claims(subject, false).await?, Some(2))?;
    same("again", Requester::new(4)?.claims(subject, false).await?, Some(2))
}

/// Claims at the same time never share a one-time package.
pub async fn two_claims_get_two_packages(subject: &mut dyn Subject) -> Outcome {
    stocked(subject, &[package(1, 200, false), package(2, 200, false)]).await?;
    let (a, b, c) = (Requester::new(1)?, Requester::new(2)?, Requester::new(3)?);
    let subject: &dyn Subject = subject;
    let (a, b, c) =
        tokio::join!(a.claims(subject, false), b.claims(subject, false), c.claims(subject, false));
    let mut got = vec![a?, b?, c?];
    got.sort_unstable();
    same("packages", got, vec![None, Some(1), Some(2)])
}

/// A new last-resort package replaces the former; who claimed that one still gets it.
pub async fn a_replaced_last_resort_is_lent_no_more(subject: &mut dyn Subject) -> Outcome {
    stocked(subject, &[package(1, 300, true)]).await?;
    same("before", Requester::new(1)?.claims(subject, false).await?, Some(1))?;
    let mut tx = write(subject).await?;
    tx.key_packages_upload(&[package(2, 400, true)], 10).await?;
    tx.commit().await?;
    same("after", Requester::new(2)?.claims(subject, false).await?, Some(2))?;
    same("a repeat", Requester::new(1)?.claims(subject, false).await?, Some(1))?;
    let until = read(subject).await?.key_package_stock(&device_id(1), at(0)).await?.last_resort_until;
    same("stock", until, Some(at(400)))
}

/// What is over goes, and a claim on it starts anew.
pub async fn expiry_takes_packages_and_claims(subject: &mut dyn Subject) -> Outcome {
    stocked(subject, &[package(1, 200, false), package(2, 300, false)]).await?;
    same("claim", Requester::new(1)?.claims(subject, false).await?, Some(1))?;
    let mut tx = write(subject).await?;
    same("early", tx.key_packages_expire(at(199)).await?, 0)?;
    same("late", tx.key_packages_expire(at(200)).await?, 1)?;
    tx.commit().await?;
    same("the claim anew", Requester::new(1)?.claims(subject, false).await?, Some(2))
}

/// A device's packages are remembered with the groups that they were handed out for, as long as they last.
pub async fn what_was_handed_out_for_a_group_is_known(subject: &mut dyn Subject) -> Outcome {
    stocked(subject, &[package(1, 200, false), package(2, 200, true)]).await?;
    let bob = Requester::new(1)?;
    same("nothing yet", write(subject).await?.key_package_claimed(&bob.group, &device_id(1)).await?, false)?;
    same("claimed", bob.claims(subject, true).await?, Some(2))?;
    let mut tx = write(subject).await?;
    same("claimed", tx.key_package_claimed(&bob.group, &device_id(1)).await?, true)?;
    same("another device", tx.key_package_claimed(&bob.group, &device_id(2)).await?, false)?;
    same("another group", tx.key_package_claimed(&foreign_group_id(2)?, &device_id(1)).await?, false)?;
    tx.key_packages_expire(at(200)).await?;
    same("forgotten", tx.key_package_claimed(&bob.group, &device_id(1)).await?, false)
}
