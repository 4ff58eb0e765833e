//! Searches as tables and under random answers, and the bounds of what is kept.

use std::net::IpAddr;

use proptest::prelude::*;
use qpq_core::{Domain, Millis, SeededEntropy, Timestamp};

use super::*;
use crate::FederationAddress;

const BOTH: Families = Families { v4: true, v6: true };

fn domain(text: &str) -> Domain {
    text.parse().unwrap()
}

fn ips(text: &str) -> Answer {
    Answer::Addresses(text.split_whitespace().map(|ip| ip.parse().unwrap()).collect())
}

fn srv(records: &[(u16, u16, u16, &str)]) -> Answer {
    let records = records.iter().map(|(priority, weight, port, target)| Service {
        priority: *priority,
        weight: *weight,
        port: *port,
        target: (*target != ".").then(|| domain(target)),
    });
    Answer::Services(records.collect())
}

fn heard(answer: Answer) -> Heard {
    Heard { answer, ttl: Millis::from_secs(60), proof: Vouched::Unsigned }
}

/// Runs a search against a zone; what isn't in it doesn't exist. Returns what was asked, too.
fn searched(
    known: Option<&str>,
    private: PrivateTargets,
    families: Families,
    zone: &[(&str, Answer)],
) -> (Vec<String>, Result<Vec<String>, Undiscovered>) {
    let known: Option<FederationAddress> = known.map(|text| text.parse().unwrap());
    let mut search = Search::new(domain("beta.test"), known.as_ref(), private, families);
    let (mut asked, mut entropy) = (Vec::new(), SeededEntropy::new(1));
    loop {
        match search.step() {
            Step::Ask(question) => {
                let found = zone.iter().find(|(name, _)| *name == question.name());
                search.handle_answer(
                    &heard(found.map_or(Answer::Nothing, |(_, answer)| answer.clone())),
                    &mut entropy,
                );
                asked.push(question.name());
            }
            Step::Done(found) => {
                let texts =
                    |targets: Vec<Target>| targets.iter().map(|target| target.address.to_string()).collect();
                return (asked, found.map(texts));
            }
        }
    }
}

const SRV: &str = "_quicproquo-fed._udp.beta.test";

fn discovered(zone: &[(&str, Answer)]) -> Result<Vec<String>, Undiscovered> {
    searched(None, PrivateTargets::Refused, BOTH, zone).1
}

#[test]
fn the_records_address_comes_first_then_srv_then_the_domain_itself() {
    let zone = [
        (SRV, srv(&[(1, 1, 7_000, "qpq.beta.test")])),
        ("qpq.beta.test", ips("9.9.9.9")),
        ("beta.test", ips("8.8.8.8")),
        ("moved.test", ips("127.0.0.1")),
    ];
    let found = |known, zone: &[_]| searched(known, PrivateTargets::Refused, BOTH, zone);
    assert_eq!(found(Some("10.1.1.1:9"), &zone), (vec![], Ok(vec!["10.1.1.1:9".to_owned()])));
    // The admin answers for the name in the record: it may be a private address.
    let host = vec!["moved.test".to_owned()];
    assert_eq!(found(Some("moved.test:9"), &zone), (host, Ok(vec!["127.0.0.1:9".to_owned()])));
    let asked = vec![SRV.to_owned(), "qpq.beta.test".to_owned()];
    assert_eq!(found(None, &zone), (asked, Ok(vec!["9.9.9.9:7000".to_owned()])));
    let asked = vec![SRV.to_owned(), "beta.test".to_owned()];
    assert_eq!(found(None, &zone[2..]), (asked, Ok(vec!["8.8.8.8:7444".to_owned()])));
}

#[test]
fn srv_hosts_are_tried_by_priority_and_share_the_attempts() {
    let zone = [
        (SRV, srv(&[(20, 0, 2, "late.test"), (10, 5, 1, "first.test")])),
        ("first.test", ips("9.0.0.1 9.0.0.2 9.0.0.3 2a00::1")),
        ("late.test", ips("9.1.0.1 9.1.0.2 9.1.0.3")),
    ];
    let expected = ["[2a00::1]:1", "9.0.0.1:1", "9.1.0.1:2", "9.1.0.2:2"].map(str::to_owned);
    assert_eq!(discovered(&zone), Ok(expected.to_vec()));
    // A host that leads nowhere doesn't stand in the way of the next.
    let without = [zone[0].clone(), zone[2].clone()];
    assert_eq!(discovered(&without).map(|found| found[0].clone()), Ok("9.1.0.1:2".to_owned()));
}

#[test]
fn what_leads_nowhere_says_why() {
    let refused = |host: &str, address: &str, reason| {
        Err(Undiscovered::Refused { host: domain(host), address: address.parse().unwrap(), reason })
    };
    let service = Question::Service(domain("beta.test"));
    let unasked = |failure| Err(Undiscovered::Lookup { question: service.clone(), failure });
    for (zone, expected) in [
        (vec![], Err(Undiscovered::NoRecords { domain: domain("beta.test") })),
        (vec![(SRV, srv(&[(0, 0, 0, ".")]))], Err(Undiscovered::NotOffered { domain: domain("beta.test") })),
        (vec![(SRV, srv(&[(0, 0, 1, "a.test")]))], Err(Undiscovered::NoAddress { host: domain("a.test") })),
        (vec![("beta.test", ips("127.0.0.1"))], refused("beta.test", "127.0.0.1", Forbidden::Loopback)),
        (
            vec![(SRV, srv(&[(0, 0, 1, "a.test")])), ("a.test", ips("::ffff:10.0.0.1 fe80::1"))],
            refused("a.test", "::ffff:10.0.0.1", Forbidden::Private),
        ),
        (
            vec![(SRV, Answer::Failed(LookupFailure::Bogus)), ("beta.test", ips("9.9.9.9"))],
            unasked(LookupFailure::Bogus),
        ),
        (
            vec![(SRV, Answer::Failed(LookupFailure::NoAnswer)), ("beta.test", ips("9.9.9.9"))],
            unasked(LookupFailure::NoAnswer),
        ),
    ] {
        assert_eq!(discovered(&zone), expected);
    }
}

#[test]
fn one_refused_address_among_others_is_left_out() {
    assert_eq!(
        discovered(&[("beta.test", ips("127.0.0.1 9.9.9.9 192.168.0.1"))]),
        Ok(vec!["9.9.9.9:7444".to_owned()])
    );
    let allowed = searched(None, PrivateTargets::Allowed, BOTH, &[("beta.test", ips("0.0.0.0 192.168.0.1"))]);
    assert_eq!(allowed.1, Ok(vec!["192.168.0.1:7444".to_owned()]));
}

#[test]
fn addresses_that_our_socket_can_not_send_to_are_left_out() {
    let v4 = Families::of("127.0.0.1".parse().unwrap());
    let zone = [("beta.test", ips("2a00::1 9.9.9.9"))];
    assert_eq!(searched(None, PrivateTargets::Refused, v4, &zone).1, Ok(vec!["9.9.9.9:7444".to_owned()]));
    let only = [("beta.test", ips("2a00::1"))];
    let other = |host: &str| Err(Undiscovered::OtherFamily { host: host.to_owned() });
    assert_eq!(searched(None, PrivateTargets::Refused, v4, &only).1, other("beta.test"));
    assert_eq!(searched(Some("[2a00::1]:1"), PrivateTargets::Refused, v4, &[]).1, other("2a00::1"));
    assert_eq!(Families::of("::".parse().unwrap()), BOTH);
    assert_eq!(Families::of("::1".parse().unwrap()), Families { v4: false, v6: true });
}

#[test]
fn the_words_name_the_place_and_what_to_do() {
    let found = discovered(&[("beta.test", ips("127.0.0.1"))]).unwrap_err().to_string();
    assert!(found.contains("127.0.0.1") && found.contains("federation.allow-private"), "{found}");
    let other = Undiscovered::AnotherDomain {
        domain: domain("beta.test"),
        address: "9.9.9.9:7444".parse().unwrap(),
        showed: vec![domain("gamma.test")],
    };
    assert!(
        other
            .to_string()
            .contains("9.9.9.9:7444 answered as another domain (`gamma.test`), not as `beta.test`")
    );
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000).after(Millis::from_secs(seconds))
}

#[test]
fn answers_are_kept_within_bounds_errors_and_absence_too() {
    let question = Question::Addresses(domain("a.test"));
    for (answer, ttl, kept) in [
        (ips("9.9.9.9"), 1, 30),
        (ips("9.9.9.9"), 300, 300),
        (ips("9.9.9.9"), 1_000_000, 3_600),
        (Answer::Nothing, 0, 15),
        (Answer::Nothing, 86_400, 300),
        (Answer::Failed(LookupFailure::Bogus), 86_400, 10),
    ] {
        let mut cache = Cache::default();
        let heard = Heard { answer, ttl: Millis::from_secs(ttl), proof: Vouched::Signed };
        cache.keep(question.clone(), heard.clone(), at(0));
        assert_eq!(cache.known(&question, at(kept - 1)), Some(&heard));
        assert_eq!(cache.known(&question, at(kept)), None);
        // The clock went back: nobody knows how old it is.
        assert_eq!(cache.known(&question, Timestamp::from_millis(1)), None);
    }
}

#[test]
fn what_led_nowhere_is_asked_again_unless_it_is_fresh() {
    let question = Question::Addresses(domain("a.test"));
    let mut cache = Cache::default();
    cache.keep(question.clone(), Heard { ttl: Millis::from_days(1), ..heard(ips("9.9.9.9")) }, at(0));
    cache.doubt(&question, at(29));
    assert!(cache.known(&question, at(29)).is_some());
    cache.doubt(&question, at(30));
    assert!(cache.known(&question, at(30)).is_none());
}

fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Nothing),
        Just(Answer::Failed(LookupFailure::NoAnswer)),
        Just(Answer::Failed(LookupFailure::Bogus)),
        prop::collection::vec(any::<IpAddr>(), 0..300).prop_map(Answer::Addresses),
        prop::collection::vec((any::<u16>(), any::<u16>(), any::<u16>(), prop::option::of(0..9_u8)), 0..300)
            .prop_map(|records| {
                let service = |(priority, weight, port, host): (_, _, _, Option<u8>)| Service {
                    priority,
                    weight,
                    port,
                    target: host.map(|host| domain(&format!("h{host}.test"))),
                };
                Answer::Services(records.into_iter().map(service).collect())
            }),
    ]
}

proptest! {
    /// Whatever name servers say: few questions, few targets, none that is forbidden, and words when there is none.
    #[test]
    fn a_search_ends_soon_and_never_leads_to_a_forbidden_address(
        answers in prop::collection::vec(any_answer(), 8),
        seed: u64,
        v6: bool,
    ) {
        let families = Families { v4: true, v6 };
        let mut search = Search::new(domain("beta.test"), None, PrivateTargets::Refused, families);
        let mut entropy = SeededEntropy::new(seed);
        let mut answers = answers.into_iter();
        let found = loop {
            match search.step() {
                // It asks at most for SRV and four hosts: it never runs out of the eight answers.
                Step::Ask(_) => search.handle_answer(&heard(answers.next().unwrap()), &mut entropy),
                Step::Done(found) => break found,
            }
        };
        match found {
            Ok(targets) => {
                prop_assert!((1..=4).contains(&targets.len()));
                for target in targets {
                    prop_assert_eq!(PrivateTargets::Refused.judge(target.address.ip()), Ok(()));
                    prop_assert!(v6 || target.address.is_ipv4());
                    prop_assert!(target.address.port() != 0 && target.host.is_some());
                }
            }
            Err(trouble) => prop_assert!(!trouble.to_string().is_empty()),
        }
    }

    #[test]
    fn the_cache_stays_within_its_bound(names in prop::collection::vec(0..1_500_u16, 0..4_000)) {
        let mut cache = Cache::default();
        for (second, name) in (0..).zip(names) {
            let question = Question::Addresses(domain(&format!("n{name}.test")));
            cache.keep(question.clone(), heard(ips("9.9.9.9")), at(second / 100));
            prop_assert!(cache.len() <= cache::ENTRIES);
            prop_assert!(cache.known(&question, at(second / 100)).is_some());
        }
    }
}
