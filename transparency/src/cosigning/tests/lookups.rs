//! What lookups are answered while cosignatures are waited for.

use super::*;

#[tokio::test]
async fn the_log_stays_answerable_when_it_names_its_first_witness() {
    let world = World::new().await;
    world.registers(1).await;
    assert_eq!(world.stranger_sees(1).await, Some((true, 2, Level::Logged)));
    world.names(&[1]).await;
    assert_eq!(world.stranger_sees(1).await, Some((true, 2, Level::Logged)), "as before");
    let checkpoint = world.round().await;
    world.signs(1, &checkpoint).await;
    assert_eq!(world.stranger_sees(1).await, Some((true, 3, Level::Peer)));
    world.names(&[]).await;
    assert_eq!(world.stranger_sees(1).await, Some((true, 4, Level::Logged)));
}

#[tokio::test]
async fn what_is_not_cosigned_yet_is_pending_and_never_absent_or_older() {
    let mut world = World::new().await;
    world.names(&[1, 2, 3]).await;
    world.registers(1).await;
    assert_eq!(world.stranger_sees(1).await, None);
    assert_eq!(world.stranger_sees(9).await, Some((false, 1, Level::Logged)), "nothing waits of that one");
    let checkpoint = world.round().await;
    world.signs(1, &checkpoint).await;
    assert_eq!(world.stranger_sees(1).await, None);
    world.signs(2, &checkpoint).await;
    assert_eq!(world.stranger_sees(1).await, Some((true, 3, Level::Quorum)));
    // Its next version takes the one before away, too.
    world.announces(1).await;
    assert_eq!(world.stranger_sees(1).await, None);
    assert_eq!(world.stranger_sees(9).await, Some((false, 3, Level::Quorum)));
    // The CONFIG that counts is the one within.
    world.names(&[4]).await;
    assert_eq!(world.stranger_sees(9).await, Some((false, 3, Level::Quorum)));
    world.signs(4, &world.round().await).await;
    assert_eq!(world.stranger_sees(1).await, Some((true, 5, Level::Peer)));
    // However long it takes: contacts elsewhere wait.
    world.registers(2).await;
    world.now = NOW.after(Millis(SILENT.0 * 5));
    assert_eq!(world.stranger_sees(2).await, None);
}

#[tokio::test]
async fn proofs_are_of_the_tree_that_is_answered_at() {
    let world = World::new().await;
    world.names(&[1]).await;
    for user in 0..20 {
        world.registers(user).await;
    }
    world.signs(1, &world.round().await).await;
    let mut pinned = world.pinned.clone();
    for user in 20..40 {
        world.registers(user).await;
        for known in [0, 7, 19] {
            let verified = world.asks_as(&pinned, known, Asker::Foreign).await.unwrap();
            assert_eq!(verified.log.head.unwrap().size, 22);
            assert!(matches!(verified.binding, Binding::Keys(_)));
            pinned = verified.log;
        }
    }
    world.signs(1, &world.round().await).await;
    for known in [0, 7, 39] {
        let verified = world.asks_as(&pinned, known, Asker::Foreign).await.unwrap();
        assert_eq!(verified.log.head.unwrap().size, 42);
    }
}

#[tokio::test]
async fn the_own_domain_does_not_wait_for_a_witness_that_is_silent() {
    let mut world = World::new().await;
    world.names(&[1]).await;
    world.signs(1, &world.round().await).await;
    world.now = NOW.after(Millis::from_secs(60));
    world.registers(1).await;
    let (pinned, asker) = (world.pinned.clone(), Asker::Own);
    assert_eq!(world.asks_as(&pinned, 1, asker).await, None, "it has not been silent for long");
    world.now = world.now.after(Millis(SILENT.0 - 1));
    assert_eq!(world.asks_as(&pinned, 1, asker).await, None);
    world.now = world.now.after(Millis(1));
    let verified = world.asks_as(&pinned, 1, asker).await.unwrap();
    assert!(verified.trust.witness_silent && matches!(verified.binding, Binding::Keys(_)));
    assert_eq!(verified.log.head.unwrap().size, 3);
    assert_eq!(world.stranger_sees(1).await, None);
    let second = world.round().await;
    world.registers(2).await;
    let ahead = world.asks_as(&verified.log, 2, asker).await.unwrap();
    assert_eq!((ahead.log.head.unwrap().size, ahead.trust.witness_silent), (4, true));
    // The witness signs again: nobody is silent, and nobody who saw more is shown less.
    world.signs(1, &second).await;
    let fresh = world.asks_as(&pinned, 1, asker).await.unwrap();
    assert_eq!((fresh.log.head.unwrap().size, fresh.trust.witness_silent), (3, false));
    let ahead = world.asks_as(&ahead.log, 1, asker).await.unwrap();
    assert_eq!((ahead.log.head.unwrap().size, ahead.trust.witness_silent), (4, true));
    assert_eq!(world.asks_as(&ahead.log, 1, Asker::Foreign).await, None);
    world.signs(1, &world.round().await).await;
    let again = world.asks_as(&ahead.log, 2, asker).await.unwrap();
    assert_eq!((again.log.head.unwrap().size, again.trust.witness_silent), (4, false));
}

#[tokio::test]
async fn a_silent_witness_of_a_quiet_log_does_not_freeze_the_own_domain() {
    let mut world = World::new().await;
    world.registers(1).await;
    world.names(&[1]).await;
    world.signs(1, &world.round().await).await;
    let pinned = world.pinned.clone();
    world.now = NOW.after(FRESH);
    assert!(!world.asks_as(&pinned, 1, Asker::Own).await.unwrap().trust.witness_silent);
    world.now = NOW.after(Millis::from_days(3));
    let verified = world.asks_as(&pinned, 1, Asker::Own).await.unwrap();
    assert!(verified.trust.witness_silent);
}

#[tokio::test]
async fn a_log_that_went_back_shows_it_to_who_saw_more() {
    let world = World::new().await;
    world.names(&[1]).await;
    world.signs(1, &world.round().await).await;
    let view = View { size: 99, ..View::default() };
    let mut tx = world.storage.read().await.unwrap();
    let answer = lookup::answer(tx.as_mut(), &world.keys, &label(9), view, Asker::Foreign, NOW).await;
    let Some(Answered::Lookup(answer)) = answer.unwrap() else { panic!("an answer") };
    assert_eq!(answer.evidence.checkpoint.head().size, 2);
}
