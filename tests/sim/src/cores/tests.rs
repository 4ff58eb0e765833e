//! The machine itself: the same seed is the same run.

use super::play;

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..30 {
        let (one, two) = (play(seed, None, true), play(seed, None, true));
        assert_eq!(one.trace, two.trace, "seed {seed}");
        assert_eq!((one.mark, one.broken), (two.mark, two.broken));
    }
}

#[test]
fn different_seeds_are_different_runs() {
    let marks: std::collections::BTreeSet<u64> = (0..100).map(|seed| play(seed, None, false).mark).collect();
    assert!(marks.len() > 95, "{}", marks.len());
}
