//! What becomes of witnesses' answers.

use proptest::prelude::*;

use super::*;

#[tokio::test]
async fn a_checkpoint_counts_once_its_own_config_has_enough_cosignatures() {
    let world = World::new().await;
    world.registers(1).await;
    assert_eq!(world.cosigned().await, None);
    assert!(world.names(&[3, 1, 2]).await);
    assert!(!world.names(&[1, 2, 3]).await, "that is what it says already");
    assert_eq!(world.cosigned_size().await, 2, "the checkpoint before it needs nobody");
    let checkpoint = world.round().await;
    assert_eq!(world.signs(1, &checkpoint).await, Taken::Collecting { cosignatures: 1 });
    assert_eq!(world.signs(1, &checkpoint).await, Taken::Collecting { cosignatures: 1 });
    assert_eq!(world.cosigned_size().await, 2);
    assert_eq!(world.signs(3, &checkpoint).await, Taken::Cosigned(checkpoint.head()));
    assert_eq!(world.cosigned().await.unwrap().note().signatures().len(), 3);
    // The third comes along.
    assert_eq!(world.signs(2, &checkpoint).await, Taken::Cosigned(checkpoint.head()));
    assert_eq!(world.cosigned().await.unwrap().note().signatures().len(), 4);
}

#[tokio::test]
async fn checkpoints_collect_side_by_side_and_never_go_back() {
    let world = World::new().await;
    world.names(&[1, 2, 3]).await;
    let first = world.round().await;
    world.registers(1).await;
    let second = world.round().await;
    world.registers(2).await;
    let third = world.round().await;
    assert_eq!(world.signs(1, &third).await, Taken::Collecting { cosignatures: 1 });
    assert_eq!(world.signs(1, &second).await, Taken::Collecting { cosignatures: 1 });
    assert_eq!(world.signs(2, &second).await, Taken::Cosigned(second.head()));
    assert_eq!(world.signs(1, &first).await, Taken::Late);
    assert_eq!(world.signs(2, &first).await, Taken::Late);
    assert_eq!(world.cosigned_size().await, second.head().size);
    assert_eq!(world.signs(3, &third).await, Taken::Cosigned(third.head()));
    assert_eq!(world.signs(3, &second).await, Taken::Late);
    assert_eq!(world.cosigned_size().await, third.head().size);
}

#[tokio::test]
async fn a_heartbeat_makes_it_fresh_and_an_old_signature_does_not_make_it_old() {
    let mut world = World::new().await;
    world.names(&[1]).await;
    let checkpoint = world.round().await;
    let early = checkpoint.cosign(witness_key(1).signer(), world.now);
    world.signs(1, &checkpoint).await;
    world.now = NOW.after(Millis::from_secs(900));
    assert_eq!(world.signs(1, &checkpoint).await, Taken::Cosigned(checkpoint.head()));
    world.takes(KEPT, &vkey(1), &checkpoint, &[early]).await.unwrap().unwrap();
    let policy = Policy::of_log(world.keys.log().verifier().clone(), &[vkey(1)]);
    let accepted = policy.accepts(&world.cosigned().await.unwrap()).unwrap();
    assert_eq!(accepted.witnessed_at, Some(world.now));
}

#[tokio::test]
async fn answers_that_show_nothing_are_refused_and_change_nothing() {
    let world = World::new().await;
    world.names(&[1, 2]).await;
    let checkpoint = world.round().await;
    let good = checkpoint.cosign(witness_key(1).signer(), world.now);
    let of_text = |text: &str| witness_key(1).signer().cosign(text, world.now);
    let at = world.now.after(Millis::from_secs(31));
    let ahead = checkpoint.cosign(witness_key(1).signer(), at);
    let (head, log) = (checkpoint.head(), world.keys.log());
    let other = SignedCheckpoint::sign(log, TreeHead { root: qpq_core::Digest::ZERO, ..head });
    let beyond = SignedCheckpoint::sign(log, TreeHead { size: head.size + 1, ..head });
    let seeds = LogSeeds { log: Secret::new([8; 32]), vrf: Secret::new([2; 32]) };
    let unsigned = SignedCheckpoint::sign(LogKeys::new(&"alpha.test".parse().unwrap(), &seeds).log(), head);
    // Another key under the witness's name.
    let namesake = WitnessSigner::new(vkey(1).name().clone(), SigningKey::from_bytes(&[77; 32]));
    let by_namesake = checkpoint.cosign(&namesake, world.now);
    let namesake = namesake.verifier().clone();
    let bad = of_text("x\n");
    for (what, witness, checkpoint, answer, refusal) in [
        ("nothing", vkey(1), &checkpoint, vec![], NotTaken::Unsigned),
        ("another's", vkey(2), &checkpoint, vec![good.clone()], NotTaken::Unsigned),
        ("no witness", vkey(3), &checkpoint, vec![good.clone()], NotTaken::NotNamed(vkey(3))),
        ("a namesake", namesake.clone(), &checkpoint, vec![by_namesake], NotTaken::NotNamed(namesake)),
        ("of another text", vkey(1), &checkpoint, vec![bad.clone()], NotTaken::BadSignature),
        ("good and bad", vkey(1), &checkpoint, vec![good.clone(), bad], NotTaken::BadSignature),
        ("ahead", vkey(1), &checkpoint, vec![ahead], NotTaken::Ahead { at }),
        ("another history", vkey(1), &other, vec![of_text(other.note().text())], NotTaken::NotOurs),
        ("beyond", vkey(1), &beyond, vec![of_text(beyond.note().text())], NotTaken::NotOurs),
        ("another log key", vkey(1), &unsigned, vec![good], NotTaken::NotOurs),
    ] {
        let taken = world.takes(KEPT, &witness, checkpoint, &answer).await.unwrap();
        assert_eq!(taken, Err(refusal), "{what}");
    }
    assert!(world.storage.read().await.unwrap().kt_our_witnesses().await.unwrap().is_empty());
    assert_eq!(world.cosigned_size().await, 1);
    let before = world.cosigned().await.unwrap();
    let signature = before.cosign(witness_key(1).signer(), world.now);
    let taken = world.takes(KEPT, &vkey(1), &before, &[signature]).await.unwrap();
    assert_eq!(taken, Err(NotTaken::NotNamed(vkey(1))), "its own CONFIG doesn't name it");
}

#[tokio::test]
async fn a_commit_that_fails_loses_an_answer_and_nothing_else() {
    let world = World::new().await;
    world.names(&[1, 2]).await;
    let checkpoint = world.round().await;
    let by = |n: u8| [checkpoint.cosign(witness_key(n).signer(), world.now)];
    assert!(world.takes(LOST, &vkey(1), &checkpoint, &by(1)).await.is_err());
    assert_eq!(world.signs(2, &checkpoint).await, Taken::Collecting { cosignatures: 1 }, "lost");
    assert!(world.takes(LOST, &vkey(1), &checkpoint, &by(1)).await.is_err());
    assert_eq!(world.cosigned_size().await, 1);
    assert!(world.takes(KEPT_UNSAID, &vkey(1), &checkpoint, &by(1)).await.is_err());
    assert_eq!(world.cosigned_size().await, 2, "kept, whatever the caller was told");
    assert_eq!(world.signs(1, &checkpoint).await, Taken::Cosigned(checkpoint.head()), "and said again");
}

#[tokio::test]
async fn witnesses_whose_naming_was_lost_are_not_named() {
    let world = World::new().await;
    for (fate, size, cosigned) in [(LOST, 1, 0), (KEPT_UNSAID, 2, 1)] {
        let mut tx = world.storage.write().await.unwrap();
        let named = configuration::name_witnesses(tx.as_mut(), &world.keys, vec![vkey(1)], OPENING, NOW);
        assert!(named.await.unwrap().unwrap().is_some());
        world.disk.will(fate);
        assert!(tx.commit().await.is_err());
        world.disk.will(KEPT);
        assert_eq!(world.round().await.head().size, size);
        assert_eq!(world.cosigned_size().await, cosigned);
    }
    assert!(!world.names(&[1]).await);
}

#[tokio::test]
async fn what_was_collected_is_there_after_a_restart() {
    let world = World::new().await;
    world.names(&[1, 2]).await;
    let checkpoint = world.round().await;
    world.signs(1, &checkpoint).await;
    let World { storage, disk, keys, now, pinned } = world;
    // The same disk, opened by another process.
    let again = storage.on(Arc::clone(&disk) as Arc<dyn qpq_storage::memory::Disk>);
    let world = World { storage: again, disk, keys, now, pinned };
    assert_eq!(world.signs(2, &world.round().await).await, Taken::Cosigned(checkpoint.head()));
}

#[tokio::test]
async fn it_is_known_how_each_witness_stands() {
    let mut world = World::new().await;
    world.names(&[1, 2]).await;
    let checkpoint = world.round().await;
    world.signs(1, &checkpoint).await;
    world.now = NOW.after(Millis::from_secs(60));
    world.names(&[1, 3]).await;
    let mut tx = world.storage.write().await.unwrap();
    failed(tx.as_mut(), &vkey(1), &"ä".repeat(WHY_BYTES), world.now).await.unwrap();
    failed(tx.as_mut(), &vkey(2), "it answered 404", world.now).await.unwrap();
    tx.commit().await.unwrap();
    let all = standings(world.storage.read().await.unwrap().as_mut()).await.unwrap();
    let standing = |n: u8, named, size, signed_at, failed: Option<String>| Standing {
        key: vkey(n),
        named,
        size,
        signed_at,
        failed: failed.map(|why| (why, world.now)),
    };
    let expected = [
        standing(1, true, 2, Some(NOW), Some("ä".repeat(WHY_BYTES / 2))),
        standing(3, true, 0, None, None),
        standing(2, false, 0, None, Some("it answered 404".to_owned())),
    ];
    assert_eq!(all, expected);
}

#[tokio::test]
async fn a_list_that_can_be_none_is_not_logged() {
    let world = World::new().await;
    let many = (0..16).map(vkey).collect();
    for list in [many, vec![vkey(1), vkey(1)], vec![world.keys.log().verifier().clone()]] {
        let mut tx = world.storage.write().await.unwrap();
        let named = configuration::name_witnesses(tx.as_mut(), &world.keys, list, OPENING, NOW).await;
        let named = named.unwrap();
        assert!(matches!(named, Err(configuration::NotNamed::Config(_))), "{named:?}");
        tx.commit().await.unwrap();
    }
    assert_eq!(world.round().await.head().size, 1);
    let empty = MemoryStorage::new();
    let mut tx = empty.write().await.unwrap();
    let named = configuration::name_witnesses(tx.as_mut(), &world.keys, vec![], OPENING, NOW).await.unwrap();
    assert_eq!(named, Err(configuration::NotNamed::NoLog));
}

#[tokio::test]
async fn an_announced_reset_counts_as_seen_from_its_first_cosigned_checkpoint() {
    let mut world = World::new().await;
    world.registers(1).await;
    let unwitnessed = world.announces(1).await;
    assert!(world.seen(unwitnessed).await.is_some(), "nobody else sees it");
    world.names(&[1, 2]).await;
    world.registers(2).await;
    let announced = world.announces(2).await;
    assert_eq!(world.seen(announced).await, None);
    let checkpoint = world.round().await;
    world.signs(1, &checkpoint).await;
    assert_eq!(world.seen(announced).await, None);
    world.registers(4).await;
    let later = world.announces(4).await;
    world.signs(2, &checkpoint).await;
    let seen = world.seen(announced).await.unwrap();
    assert_eq!(seen.note().signatures().len(), 3);
    assert_eq!(world.seen(later).await, None, "that one is not in it");
    // A day later it is still the first one.
    world.now = NOW.after(Millis::from_days(1));
    for n in [1, 2] {
        world.signs(n, &checkpoint).await;
    }
    assert_eq!(world.seen(announced).await, Some(seen));
    // Of one that waited for witnesses who are named no more, the log's own word is kept.
    world.registers(3).await;
    let waiting = world.announces(3).await;
    world.names(&[]).await;
    assert_eq!(world.seen(waiting).await.unwrap().note().signatures().len(), 1);
}

#[tokio::test]
async fn the_day_before_a_reset_begins_when_its_witnesses_had_seen_it() {
    let mut world = World::new().await;
    world.names(&[1, 2]).await;
    world.registers(1).await;
    world.announces(1).await;
    let checkpoint = world.round().await;
    world.signs(1, &checkpoint).await;
    world.now = NOW.after(Millis::from_days(2));
    assert!(!world.resets(1).await, "one of the two has not seen it");
    world.signs(2, &checkpoint).await;
    world.now = world.now.after(Millis(Millis::from_days(1).0 - 1));
    assert!(!world.resets(1).await, "a day has not gone by since");
    world.now = world.now.after(Millis(1));
    assert!(world.resets(1).await);
    for n in [1, 2] {
        world.signs(n, &world.round().await).await;
    }
    assert_eq!(world.stranger_sees(1).await, Some((true, 5, Level::Peer)));
}

/// Two domains: one logs, the other witnesses it and keeps a mirror.
#[tokio::test]
async fn a_peer_cosigns_and_mirrors_our_log() {
    let (world, peer) = (World::new().await, MemoryStorage::new());
    let origin = world.keys.origin().as_str();
    let mut tx = peer.write().await.unwrap();
    witness::pin(tx.as_mut(), world.keys.log().verifier()).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    world.names(&[1]).await;
    let mut old_size = 0;
    for user in 0..5 {
        world.registers(user).await;
        let mut log = world.storage.read().await.unwrap();
        let asked = request(log.as_mut(), old_size).await.unwrap().unwrap();
        let beyond = asked.checkpoint.head().size + 1;
        assert_eq!(request(log.as_mut(), beyond).await.unwrap(), None, "a witness that has seen more");
        let mut tx = peer.write().await.unwrap();
        let key = witness_key(1);
        let cosigned = witness::cosign(tx.as_mut(), key.signer(), &asked, NOW).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        let taken = world.takes(KEPT, &vkey(1), &asked.checkpoint, &[cosigned.signature]).await.unwrap();
        assert_eq!(taken, Ok(Taken::Cosigned(asked.checkpoint.head())));
        old_size = asked.checkpoint.head().size;
        let mut tx = peer.write().await.unwrap();
        let wanted = mirror::wanted(tx.as_mut(), origin).await.unwrap().unwrap();
        let (from, size) = (wanted.entries.start, wanted.within.size);
        let proof = lookup::consistency(log.as_mut(), wanted.entries.end, size).await.unwrap().unwrap();
        let rows = log.kt_entries(from, 1_000).await.unwrap();
        let entries: Vec<_> = rows.iter().map(|row| row.entry).collect();
        let grown = mirror::take(tx.as_mut(), origin, from, &entries, size, &proof).await.unwrap();
        assert_eq!(grown, Ok(mirror::Grown { size, cosigned: size }));
        tx.commit().await.unwrap();
    }
    let mut tx = peer.read().await.unwrap();
    assert_eq!(mirror::entries(tx.as_mut(), origin, 0, 100).await.unwrap().len(), 7);
}

#[derive(Clone, Debug)]
enum Step {
    Registers,
    Names(Vec<u8>),
    /// A witness answers about one of the checkpoints so far, and the commit has a fate.
    Signs(u8, prop::sample::Index, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Registers),
        1 => prop::sample::subsequence(vec![1_u8, 2, 3, 4], 0..=4).prop_map(Step::Names),
        8 => (1..5_u8, any::<prop::sample::Index>(), 0..3_u8).prop_map(|(n, at, fate)| Step::Signs(n, at, fate)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever happens in whichever order: the checkpoint that lookups are answered at never goes back, and has what the CONFIG
    /// within it asks for.
    #[test]
    fn what_is_served_is_cosigned_and_never_goes_back(steps in prop::collection::vec(step(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let (mut rounds, mut users, mut before) = (vec![world.round().await], 0..u8::MAX, 0);
            for step in steps {
                match step {
                    Step::Registers => world.registers(users.next().unwrap()).await,
                    Step::Names(witnesses) => drop(world.names(&witnesses).await),
                    Step::Signs(n, at, fate) => {
                        let checkpoint = at.get(&rounds);
                        let signature = checkpoint.cosign(witness_key(n).signer(), world.now);
                        match world.takes(fate, &vkey(n), checkpoint, &[signature]).await {
                            Ok(Err(refused)) => assert_eq!(refused, NotTaken::NotNamed(vkey(n))),
                            Ok(Ok(_)) => assert_eq!(fate, KEPT),
                            Err(_) => assert_ne!(fate, KEPT),
                        }
                    }
                }
                rounds.push(world.round().await);
                let mut tx = world.storage.read().await.unwrap();
                let served = served(tx.as_mut()).await.unwrap().unwrap();
                let (Served::Newest(checkpoint) | Served::Cosigned(checkpoint)) = &served else {
                    panic!("a log that was once answered at stays answerable")
                };
                let size = checkpoint.head().size;
                assert!(before <= size, "from {before} to {size}");
                before = size;
                let within = configuration::within(tx.as_mut(), size).await.unwrap().unwrap();
                let policy = Policy::of_log(world.keys.log().verifier().clone(), within.witnesses());
                policy.accepts(checkpoint).unwrap();
                let newest = configuration::newest(tx.as_mut()).await.unwrap().unwrap();
                assert_eq!(matches!(served, Served::Newest(_)), newest.witnesses().is_empty());
            }
        });
    }
}
