//! The same about who witnesses whom: random steps, some of them refused, each in a transaction of its own.

use qpq_core::{Entropy as _, SeededEntropy};
use qpq_storage::{LogContents, LogHead, LogRow, NewEvidence, Storage, StorageError, Stored, WriteTx};

use super::{DatabaseKey, MemoryStorage, Options, SqliteStorage, at};

const ORIGINS: [&str; 3] = ["beta.test/kt/v1", "gamma.test/kt/v1", "nobody.test/kt/v1"];

/// One random step.
async fn step(entropy: &mut SeededEntropy, tx: &mut dyn WriteTx) -> Stored<String> {
    let mut below = |bound: u64| entropy.below(bound);
    let origin = ORIGINS[usize::try_from(below(3)).unwrap()];
    let witness = format!("w{}", below(3));
    let (size, now) = (below(12), at(below(100)));
    let head = LogHead { size, note: format!("note {}", below(1_000)) };
    let kind = below(9);
    match kind {
        0 if origin != ORIGINS[2] => tx.kt_pin(origin, &format!("key {size}")).await,
        0 | 1 => tx.kt_cosign(origin, &head).await.map(|()| "cosigned".to_owned()),
        2 => {
            let from = tx.kt_mirrored(origin).await?.size + below(5) / 4;
            let count = usize::try_from(below(4)).unwrap();
            let entry = u8::try_from(size).unwrap();
            let edge = vec![entry; 32 * count];
            tx.kt_mirror(origin, from, &vec![[entry; 110]; count], &edge)
                .await
                .map(|()| format!("mirrored {count}"))
        }
        3 => {
            let found = NewEvidence {
                origin: origin.to_owned(),
                sizes: (size, size + below(3)),
                text: head.note,
                from: "own".to_owned(),
                found_at: now,
            };
            Ok(format!("{:?}", tx.kt_keep_evidence(&found).await?))
        }
        4 => Ok(format!("cleared {}", tx.kt_clear_evidence(below(30), now).await?)),
        5 => tx.kt_keep_cosigned(&head).await.map(|()| "enough".to_owned()),
        6 => tx.kt_keep_collected(&head).await.map(|()| "collected".to_owned()),
        7 => tx.kt_witness_signed(&witness, size, now).await.map(|()| "signed".to_owned()),
        _ if size < 9 => tx.kt_witness_failed(&witness, &head.note, now).await.map(|()| "failed".to_owned()),
        _ => {
            let before = tx.kt_head().await?.map_or(0, |head| head.size);
            let label = u8::try_from(below(3)).unwrap();
            let version =
                tx.kt_latest(&[label; 32]).await?.filter(|_| label != 0).map_or(0, |row| row.version + 1);
            let row = LogRow { index: before, label_id: [label; 32], version, entry: [label; 110] };
            let contents = LogContents { label: vec![], opening: [0; 16], value: vec![] };
            let head = LogHead { size: before + 1, note: head.note };
            tx.kt_append(&[(row, contents)], &[], &head).await.map(|()| "appended".to_owned())
        }
    }
}

/// Everything that the two must agree about.
async fn view(storage: &dyn Storage) -> Vec<String> {
    let mut tx = storage.read().await.unwrap();
    let mut seen = vec![
        format!("{:?}", tx.kt_witnessed_after("", 10).await.unwrap()),
        format!("{:?}", tx.kt_evidence_after(3, 100).await.unwrap()),
        format!("{:?}", tx.kt_cosigned().await.unwrap()),
        format!("{:?}", tx.kt_our_witnesses().await.unwrap()),
    ];
    for origin in ORIGINS {
        seen.push(format!("{:?}", tx.kt_mirrored(origin).await.unwrap()));
        seen.push(format!("{:?}", tx.kt_mirrored_entries(origin, 1, 5).await.unwrap()));
        seen.push(format!("{:?}", tx.kt_evidence(origin).await.unwrap()));
    }
    for size in 0..14 {
        seen.push(format!("{:?}", tx.kt_collected(size).await.unwrap()));
        for label in 0..3 {
            seen.push(format!("{:?}", tx.kt_latest_within(&[label; 32], size).await.unwrap()));
        }
    }
    seen
}

#[tokio::test]
async fn the_database_says_what_memory_says_of_witnesses() {
    let directory = tempfile::tempdir().unwrap();
    let (mut done, mut refused) = (0, 0);
    for seed in 0..6 {
        let memory = MemoryStorage::new();
        let path = directory.path().join(format!("{seed}.db"));
        let disk =
            SqliteStorage::create(&path, &DatabaseKey::new([1; 32]), &Options::default()).await.unwrap();
        for number in 0..200 {
            let mut said = Vec::new();
            for storage in [&memory as &dyn Storage, &disk] {
                let mut tx = storage.write().await.unwrap();
                let mut entropy = SeededEntropy::new(seed * 1_000_000 + number);
                match step(&mut entropy, tx.as_mut()).await {
                    Ok(answer) => {
                        tx.commit().await.unwrap();
                        said.push(answer);
                    }
                    Err(StorageError::Conflict { .. }) => said.push("refused".to_owned()),
                    Err(other) => panic!("seed {seed}, step {number}: {other}"),
                }
            }
            assert_eq!(said[0], said[1], "seed {seed}, step {number}");
            if said[0] == "refused" {
                refused += 1;
            } else {
                done += 1;
            }
            assert_eq!(view(&disk).await, view(&memory).await, "seed {seed}, step {number}: {}", said[0]);
        }
        disk.close().await.unwrap();
    }
    assert!(done > 300 && refused > 50, "both happen often: {done} done, {refused} refused");
}
