//! Resets over a change of witnesses: the announcement is judged by those of its day, in the log and by whoever looks later.

use qpq_transparency_tree::lookup::{LookupAnswer, LookupError};

use super::*;

/// What a contact elsewhere gets who knows nothing of the log.
async fn answer(world: &World, user: u8) -> LookupAnswer {
    let mut tx = world.storage.read().await.unwrap();
    let (label, view) = (label(user), View::default());
    let answer = lookup::answer(tx.as_mut(), &world.keys, &label, view, Asker::Foreign, world.now).await;
    match answer.unwrap().unwrap() {
        Answered::Lookup(answer) => *answer,
        Answered::Pending => panic!("it is cosigned"),
    }
}

fn verified(world: &World, user: u8, answer: &LookupAnswer) -> Result<Level, LookupError> {
    let question = Question { label: &label(user), asker: Asker::Foreign, known: None };
    verify(&world.pinned, &question, answer, world.now).map(|verified| verified.trust.level)
}

async fn all_sign(world: &World, witnesses: &[u8]) {
    for n in witnesses {
        world.signs(*n, &world.round().await).await;
    }
}

/// An account whose reset was announced, and seen by these witnesses.
async fn announced_under(witnesses: &[u8]) -> World {
    let world = World::new().await;
    world.names(witnesses).await;
    world.registers(1).await;
    world.announces(1).await;
    all_sign(&world, witnesses).await;
    world
}

/// An account that was announced and reset under the first witnesses, and then has the others.
async fn reset_under(first: &[u8], then: &[u8]) -> World {
    let mut world = announced_under(first).await;
    world.now = NOW.after(Millis::from_days(1));
    assert!(world.resets(1).await);
    all_sign(&world, first).await;
    world.names(then).await;
    all_sign(&world, then).await;
    world
}

#[tokio::test]
async fn a_reset_is_believed_after_others_have_become_witnesses() {
    for (first, then) in [(&[][..], &[1_u8][..]), (&[1], &[2]), (&[1], &[1, 2, 3]), (&[1, 2, 3], &[4, 5, 6])]
    {
        let world = reset_under(first, then).await;
        let answer = answer(&world, 1).await;
        assert!(answer.resets[0].config.is_some(), "{first:?} then {then:?}");
        assert_eq!(verified(&world, 1, &answer), Ok(Level::of(then.len())), "{first:?} then {then:?}");
        // Those of today have not seen it.
        let mut silent = answer.clone();
        silent.resets[0].config = None;
        assert_eq!(verified(&world, 1, &silent), Err(LookupError::ResetNotAnnounced));
    }
}

#[tokio::test]
async fn an_announcement_that_waits_is_not_lost_with_its_witnesses() {
    for (first, then) in [(&[][..], &[1_u8][..]), (&[1], &[2])] {
        let mut world = announced_under(first).await;
        world.names(then).await;
        all_sign(&world, then).await;
        world.now = NOW.after(Millis(Millis::from_days(1).0 - 1));
        assert!(!world.resets(1).await, "{first:?} then {then:?}: too early");
        world.now = NOW.after(Millis::from_days(1));
        assert!(world.resets(1).await, "{first:?} then {then:?}");
    }
}

#[tokio::test]
async fn no_other_config_stands_in_for_that_of_the_day() {
    // The log named nobody, then one, under whom the reset was, then another.
    let world = reset_under(&[1], &[2]).await;
    let honest = answer(&world, 1).await;
    let (of_that_day, next) = honest.resets[0].config.clone().unwrap();
    let first = {
        let mut tx = world.storage.read().await.unwrap();
        let row =
            tx.kt_versions(qpq_transparency_tree::label::LabelId::CONFIG.as_bytes(), 0, 1).await.unwrap();
        let mut wrong = of_that_day.clone();
        wrong.entry = read_entry(&row[0]).unwrap();
        wrong.index = row[0].index;
        let contents = tx.kt_contents(wrong.index).await.unwrap().unwrap();
        wrong.contents = Some((Opening::from_bytes(contents.opening), contents.value));
        let size = honest.evidence.checkpoint.head().size;
        let leaves: Vec<_> = tx.kt_entries(0, 100).await.unwrap();
        let leaves: Vec<_> = leaves.iter().map(|row| read_entry(row).unwrap().leaf_hash()).collect();
        let (_, paths) = qpq_transparency_tree::inclusion_paths(&leaves[..usize::try_from(size).unwrap()]);
        wrong.inclusion.clone_from(&paths[usize::try_from(wrong.index).unwrap()]);
        wrong
    };
    let bare = SignedCheckpoint::sign(world.keys.log(), honest.resets[0].seen.head());
    // One that named nobody, though the next is in the tree that was seen; and the same, though others lie between.
    for config in
        [(first.clone(), of_that_day.clone()), (first, next.clone()), (next.clone(), of_that_day.clone())]
    {
        let mut lie = honest.clone();
        lie.resets[0].config = Some(config);
        lie.resets[0].seen = bare.clone();
        assert_eq!(verified(&world, 1, &lie), Err(LookupError::ResetNotAnnounced));
    }
    // And that of the day says who had to sign.
    let mut unsigned = honest.clone();
    unsigned.resets[0].seen = bare;
    assert_eq!(verified(&world, 1, &unsigned), Err(LookupError::ResetNotAnnounced));
    assert_eq!(verified(&world, 1, &honest), Ok(Level::Peer));
}
