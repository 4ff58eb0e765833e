//! Adds where users have to accept first: judged by their own domain as hub, by what homes say to another hub, and by
//! their home when a Welcome comes.

use qpq_core::{Address, ErrorCode, GroupId};
use qpq_federation_proto::DirectoryPolicy;
use qpq_storage::Notice;

use super::{
    log,
    member::{CLASSICAL, Change, Member},
    world::{User, World, group},
};
use crate::{CommitAnswer, DeliveryBody, Refusal, Settings, relay::RowOutcome};

fn settings() -> Settings {
    Settings { directory: DirectoryPolicy::Consent, ..Settings::default() }
}

/// Offers to add these devices; the refusal, or `None` if it was granted.
async fn offers(user: &mut User, group: &GroupId, added: &[&Member]) -> Option<Refusal> {
    let add = added.iter().map(|member| member.key_package(84)).collect();
    let submit = user.offers(group, Change { add, ..Change::default() });
    match user.site.groups.commit(&user.session, submit).await {
        Ok(CommitAnswer::Accepted { .. }) => {
            user.mls.won();
            None
        }
        Ok(CommitAnswer::Refused(refusal)) | Err(refusal) => {
            user.mls.lost();
            Some(refusal)
        }
        Ok(CommitAnswer::WrongEpoch { current, .. }) => panic!("the group is at epoch {current}"),
    }
}

async fn requests(user: &User) -> Vec<Address> {
    let mut tx = user.site.ground.read().await.unwrap();
    let now = user.site.ground.now();
    let requests = tx.contact_requests(&user.session.account(), now, 10).await.unwrap();
    requests.into_iter().map(|request| request.from).collect()
}

fn welcomed(notices: &[Notice]) -> bool {
    notices.iter().any(|notice| matches!(notice, Notice::Welcome { .. }))
}

#[tokio::test]
async fn a_hub_grants_no_add_of_its_users_who_have_not_accepted_the_committer() {
    let world = World::new(&["alpha.test", "beta.test"], settings()).await;
    let (mut alice, mut bob) =
        (world.user("alice@alpha.test", 1).await, world.user("bob@beta.test", 2).await);
    let carol = world.user("carol@alpha.test", 3).await;
    let nobody = Member::new("nobody@alpha.test", 4, CLASSICAL);
    let group = group("alpha.test");
    bob.accepts(&alice).await;
    alice.creates(&group).await;
    alice.adds(&group, &[&bob]).await;
    assert_eq!(world.relay().await, []);
    bob.joins(&group).await;

    let unaccepted = offers(&mut bob, &group, &[&carol.mls]).await.unwrap();
    let missing = offers(&mut bob, &group, &[&nobody]).await.unwrap();
    assert_eq!(unaccepted.code, ErrorCode::Requested);
    assert_eq!(unaccepted, missing, "the same for who does not exist");
    assert_eq!(requests(&carol).await, std::slice::from_ref(&bob.mls.device.user));

    carol.accepts(&bob).await;
    assert_eq!(offers(&mut bob, &group, &[&carol.mls]).await, None);
    // Members of one domain need no acceptance.
    let dan = world.user("dan@alpha.test", 5).await;
    assert_eq!(world.relay().await, []);
    let DeliveryBody::Commit { commit, .. } = log(&alice, &group, 1).await.remove(0) else {
        panic!("bob's commit")
    };
    alice.mls.apply(&commit);
    assert_eq!(offers(&mut alice, &group, &[&dan.mls]).await, None);
}

#[tokio::test]
async fn a_home_tells_its_device_of_no_group_that_a_stranger_adds_it_to() {
    let world = World::new(&["alpha.test", "beta.test"], settings()).await;
    let (mut alice, bob) = (world.user("alice@alpha.test", 1).await, world.user("bob@beta.test", 2).await);
    let group = group("alpha.test");
    alice.creates(&group).await;
    // The hub is alice's own domain, which lets her do what beta would not.
    alice.adds(&group, &[&bob]).await;
    let refused = world.relay().await;
    assert!(matches!(refused[..], [RowOutcome::Refused(_)]), "{refused:?}");
    assert!(!welcomed(&bob.site.notices(&bob.mls.device).await));

    bob.accepts(&alice).await;
    let second = super::world::group("alpha.test");
    alice.mls.group = None;
    alice.creates(&second).await;
    alice.adds(&second, &[&bob]).await;
    assert_eq!(world.relay().await, []);
    assert!(welcomed(&bob.site.notices(&bob.mls.device).await));
}
