//! What happens to a packet: a pure decision by weather, cut and drawn numbers.

use std::time::Duration;

use qpq_core::{Entropy, SeededEntropy};

/// How much later a packet goes that is to be overtaken, at least.
const OVERTAKEN_AFTER: Duration = Duration::from_millis(15);

/// What happens to packets on their way, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Of a thousand packets so many are lost.
    pub lost_per_mille: u16,
    /// Of a thousand packets so many arrive twice.
    pub doubled_per_mille: u16,
    /// Of a thousand packets so many go later than those behind them.
    pub held_back_per_mille: u16,
    /// How long each packet is under way.
    pub delay: Duration,
    /// Up to so much longer, drawn for each packet: also this reorders.
    pub jitter: Duration,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the server.
    Forth,
    /// From the server.
    Back,
}

/// Which packets meet a cut line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// None.
    Nothing,
    /// Those in this direction.
    One(Direction),
    /// All.
    Both,
}

/// What becomes of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lost,
    Arrives {
        after: Duration,
        /// Once more, so much later.
        again_after: Option<Duration>,
        held_back: bool,
    },
}

/// Decides about the next packet. Each decision draws the same numbers, so what comes later doesn't depend on the weather.
pub(super) fn fate(weather: &Weather, cut: Cut, direction: Direction, entropy: &mut SeededEntropy) -> Fate {
    let mut happens = |per_mille: u16| entropy.below(1_000) < u64::from(per_mille);
    let lost = happens(weather.lost_per_mille);
    let doubled = happens(weather.doubled_per_mille);
    let held_back = happens(weather.held_back_per_mille);
    let mut longer = || {
        let most = u64::try_from(weather.jitter.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(entropy.below(most + 1))
    };
    let (first, second) = (longer(), longer());
    let cut = match cut {
        Cut::Nothing => false,
        Cut::One(cut) => cut == direction,
        Cut::Both => true,
    };
    if lost || cut {
        return Fate::Lost;
    }
    let held = if held_back { weather.delay + OVERTAKEN_AFTER } else { Duration::ZERO };
    let after = weather.delay + first + held;
    Fate::Arrives { after, again_after: doubled.then_some(weather.delay + second), held_back }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(weather: &Weather, cut: Cut, seed: u64) -> Vec<Fate> {
        let mut entropy = SeededEntropy::new(seed);
        (0..10_000).map(|_| fate(weather, cut, Direction::Forth, &mut entropy)).collect()
    }

    fn lost(fates: &[Fate]) -> usize {
        fates.iter().filter(|fate| **fate == Fate::Lost).count()
    }

    #[test]
    fn the_same_seed_is_the_same_weather_and_another_is_not() {
        let rain = Weather { lost_per_mille: 50, jitter: Duration::from_millis(9), ..Weather::default() };
        assert_eq!(fates(&rain, Cut::Nothing, 7), fates(&rain, Cut::Nothing, 7));
        assert_ne!(fates(&rain, Cut::Nothing, 7), fates(&rain, Cut::Nothing, 8));
    }

    #[test]
    fn so_many_are_lost_doubled_and_held_back_as_was_said() {
        let weather = Weather {
            lost_per_mille: 50,
            doubled_per_mille: 100,
            held_back_per_mille: 200,
            ..Weather::default()
        };
        let fates = fates(&weather, Cut::Nothing, 7);
        let count = |is: fn(&Fate) -> bool| fates.iter().filter(|fate| is(fate)).count();
        let doubled = count(|fate| matches!(fate, Fate::Arrives { again_after: Some(_), .. }));
        let held_back = count(|fate| matches!(fate, Fate::Arrives { held_back: true, .. }));
        assert!((430..570).contains(&lost(&fates)), "{}", lost(&fates));
        assert!((850..1_050).contains(&doubled), "{doubled}");
        assert!((1_750..2_050).contains(&held_back), "{held_back}");
    }

    #[test]
    fn a_cut_loses_everything_in_its_direction_only() {
        let calm = Weather::default();
        assert_eq!(lost(&fates(&calm, Cut::Nothing, 7)), 0);
        assert_eq!(lost(&fates(&calm, Cut::One(Direction::Back), 7)), 0);
        assert_eq!(lost(&fates(&calm, Cut::One(Direction::Forth), 7)), 10_000);
        assert_eq!(lost(&fates(&calm, Cut::Both, 7)), 10_000);
    }

    #[test]
    fn a_packet_that_is_held_back_goes_later_than_any_that_is_not() {
        let weather = Weather {
            held_back_per_mille: 100,
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(10),
            ..Weather::default()
        };
        for fate in fates(&weather, Cut::Nothing, 7) {
            let Fate::Arrives { after, held_back, .. } = fate else { panic!("nothing is lost") };
            assert_eq!(held_back, after > Duration::from_millis(30), "{fate:?}");
        }
    }
}
