//! Peers without an address: what DNS says leads to them, or to nobody.

use std::{fmt::Write as _, net::UdpSocket};

use qpq_federation::{DiscoverySettings, Dnssec};
use qpq_federation_proto::PrivateTargets;
use qpq_metrics::Snapshot;
use qpq_service::PeerStanding;
use qpq_storage::Peer;

use crate::{
    name_server::{NameServer, Signed, Zone},
    world::{Home, Running, admin, until},
};

/// As we ask: with the root's key of this server, and with peers on loopback allowed.
fn asking(server: &NameServer) -> DiscoverySettings {
    DiscoverySettings {
        servers: vec![server.address],
        dnssec: Dnssec::Validate,
        anchors: Some(server.anchors.clone()),
        private: PrivateTargets::Allowed,
    }
}

fn srv(port: u16, host: &str) -> String {
    format!("_quicproquo-fed._udp 300 SRV 10 0 {port} {host}\nqpq 300 A 127.0.0.1\n")
}

/// A record without an address.
fn unplaced(home: &Home) -> Peer {
    Peer { address: None, ..home.as_peer() }
}

/// Starts one domain that asks this server and knows the other by name only.
async fn knowing(settings: DiscoverySettings, other: &Home) -> (Home, Running) {
    let mut alpha = Home::new("alpha.test");
    alpha.discovery = settings;
    alpha.knows(&unplaced(other)).await;
    let running = alpha.start().await;
    (alpha, running)
}

/// The words with which a dial fails.
async fn trouble(running: &Running, peer: &Home) -> String {
    until("a failed dial", || async {
        running.peering.show(&peer.domain).await.unwrap().last_error.is_some()
    })
    .await;
    let shown = running.peering.show(&peer.domain).await.unwrap();
    assert!(matches!(shown.state, PeerStanding::Degraded | PeerStanding::BackingOff), "{:?}", shown.state);
    assert_eq!(shown.address, None);
    shown.last_error.unwrap()
}

fn counted(running: &Running, reason: &str) -> bool {
    let line = format!("quicproquo_federation_discovery_failures_total{{reason=\"{reason}\"}} 0");
    !running.ground.metrics().render(&Snapshot::default()).contains(&line)
}

/// Dials a domain as the zone says, and expects to find it.
async fn finds(signed: Signed, records: impl Fn(u16) -> String) {
    let beta = Home::new("beta.test");
    let zone = Zone { name: "beta.test", signed, records: records(beta.listen.port()) };
    let server = NameServer::start(&[zone]);
    let (alpha, a) = knowing(asking(&server), &beta).await;
    // It must be found, for it can't come by itself.
    beta.knows(&Peer { address: Some("127.0.0.1:9".to_owned()), ..alpha.as_peer() }).await;
    let b = beta.start().await;
    a.send(&alpha, &beta, 3).await;
    until("the rows", || async { beta.applied(&alpha).await.is_some_and(|head| head.last_applied.0 == 3) })
        .await;
    assert_eq!(a.probe(&beta).await, None);
    a.stop().await;
    b.stop().await;
}

/// Dials a domain as the zone says, and expects these words and this count.
async fn fails(
    signed: Signed,
    records: &str,
    settings: impl Fn(DiscoverySettings) -> DiscoverySettings,
    words: &[&str],
    reason: &str,
) {
    let beta = Home::new("beta.test");
    let zone = Zone { name: "beta.test", signed, records: records.to_owned() };
    let server = NameServer::start(&[zone]);
    let (_, a) = knowing(settings(asking(&server)), &beta).await;
    let said = trouble(&a, &beta).await;
    let (step, cause, _) = a.probe(&beta).await.unwrap();
    assert_eq!((step, &cause), (if reason == "refused-target" { "addresses" } else { "dns" }, &said));
    for words in words {
        assert!(said.contains(words), "{said}");
    }
    assert!(counted(&a, reason), "{reason}");
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's knot and knot-dnssecutils"]
async fn a_signed_srv_record_leads_to_a_peer() {
    finds(Signed::Yes, |port| srv(port, "qpq")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's knot and knot-dnssecutils"]
async fn so_does_one_of_a_zone_that_is_provably_not_signed() {
    finds(Signed::No, |port| srv(port, "qpq")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's knot and knot-dnssecutils"]
async fn a_host_of_lower_priority_is_dialled_when_the_first_has_no_address() {
    let dead = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    finds(Signed::Yes, |port| format!("{}_quicproquo-fed._udp 300 SRV 1 0 {dead} gone\n", srv(port, "qpq")))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's knot and knot-dnssecutils"]
async fn an_alias_is_followed() {
    finds(Signed::Yes, |port| format!("{}other 300 CNAME qpq\n", srv(port, "other"))).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's knot and knot-dnssecutils"]
async fn an_answer_that_needs_tcp_is_read_and_cut() {
    finds(Signed::Yes, |port| {
        let mut records = srv(port, "qpq");
        for number in 0..200 {
            writeln!(records, "_quicproquo-fed._udp 300 SRV 20 0 {port} a-rather-long-name-{number}")
                .unwrap();
        }
        records
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's knot and knot-dnssecutils"]
async fn answers_whose_signatures_are_broken_missing_or_old_are_not_used() {
    for signed in [Signed::Forged, Signed::Stripped, Signed::Expired] {
        fails(signed, &srv(7_444, "qpq"), |settings| settings, &["DNSSEC", "not used"], "bogus").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's knot and knot-dnssecutils"]
async fn names_that_lead_into_private_networks_are_refused_unless_allowed() {
    let refusing = |settings| DiscoverySettings { private: PrivateTargets::Refused, ..settings };
    let said = ["from `qpq.beta.test` to 127.0.0.1", "this machine itself", "federation.allow-private"];
    fails(Signed::Yes, &srv(7_444, "qpq"), refusing, &said, "refused-target").await;
    let mapped = "@ 300 AAAA ::ffff:10.0.0.7\n@ 300 A 169.254.169.254\n";
    let said = ["from `beta.test` to ::ffff:10.0.0.7", "private network"];
    fails(Signed::No, mapped, refusing, &said, "refused-target").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's knot and knot-dnssecutils"]
async fn a_domain_that_dns_does_not_know_is_said_to_be_unknown() {
    fails(Signed::Yes, "", |settings| settings, &["neither an SRV record", "peer address"], "not-found")
        .await;
    let none = "_quicproquo-fed._udp 300 SRV 0 0 0 .\n";
    fails(Signed::Yes, none, |settings| settings, &["offers no federation"], "not-found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_server_that_says_nothing_costs_seconds_and_is_said() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let beta = Home::new("beta.test");
    let servers = vec![silent.local_addr().unwrap()];
    let (_, a) = knowing(DiscoverySettings { servers, ..DiscoverySettings::default() }, &beta).await;
    let said = trouble(&a, &beta).await;
    assert!(said.contains("`_quicproquo-fed._udp.beta.test` could not be looked up"), "{said}");
    assert!(said.contains("no name server answered in time") && counted(&a, "no-answer"), "{said}");
    a.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's knot and knot-dnssecutils"]
async fn dns_that_points_at_a_third_domain_is_told_and_mends_by_itself() {
    let (beta, gamma) = (Home::new("beta.test"), Home::new("gamma.test"));
    let wrong = Zone { name: "beta.test", signed: Signed::Yes, records: srv(gamma.listen.port(), "qpq") };
    let server = NameServer::start(&[wrong]);
    let (alpha, a) = knowing(asking(&server), &beta).await;
    let c = gamma.start().await;
    a.send(&alpha, &beta, 1).await;
    until("who answered", || async {
        let said = a.peering.show(&beta.domain).await.unwrap().last_error;
        said.is_some_and(|said| {
            said.contains("answered as another domain (`gamma.test`), not as `beta.test`")
        })
    })
    .await;
    assert!(counted(&a, "another-domain"));
    let (step, cause, _) = a.probe(&beta).await.unwrap();
    assert!(step == "certificate" && cause.contains("another domain (`gamma.test`)"), "{step}: {cause}");
    // Nothing was said to it, and the peer isn't stopped: the address is wrong, not the peer.
    assert!(gamma.applied(&alpha).await.is_none() && gamma.record(&alpha).await.is_none());
    assert_eq!(alpha.record(&beta).await.unwrap().refused, None);

    // An admin knows better than DNS.
    beta.knows(&Peer { address: Some("127.0.0.1:9".to_owned()), ..alpha.as_peer() }).await;
    let b = beta.start().await;
    let address = beta.listen.to_string().parse().unwrap();
    a.peering.set_address(&beta.domain, Some(&address), &admin()).await.unwrap();
    until("the row", || async { beta.applied(&alpha).await.is_some() }).await;
    let shown = a.peering.show(&beta.domain).await.unwrap();
    assert_eq!((shown.address, shown.state), (Some(beta.listen.to_string()), PeerStanding::Healthy));
    for running in [a, b, c] {
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_moved_is_found_where_an_admin_says() {
    let (alpha, mut beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    alpha.knows(&beta.as_peer()).await;
    beta.knows(&alpha.as_peer()).await;
    let a = alpha.start().await;
    beta.listen = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let b = beta.start().await;
    until("a link, dialled by the one that moved", || async { a.key_exchange(&beta).await.is_some() }).await;
    b.stop().await;
    a.send(&alpha, &beta, 1).await;
    until("a backoff", || async { a.peering.show(&beta.domain).await.unwrap().retry_at.is_some() }).await;
    // It comes back and waits to be dialled.
    let nobody = Peer { address: Some("127.0.0.1:9".to_owned()), ..alpha.as_peer() };
    beta.knows(&nobody).await;
    let b = beta.start().await;
    let address = beta.listen.to_string().parse().unwrap();
    let moved = a.peering.set_address(&beta.domain, Some(&address), &admin()).await.unwrap();
    assert_eq!(moved.address, Some(beta.listen.to_string()));
    until("the row", || async { beta.applied(&alpha).await.is_some() }).await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's knot and knot-dnssecutils"]
async fn two_domains_become_peers_by_name_alone() {
    let (mut alpha, mut beta) = (Home::new("alpha.test"), Home::new("beta.test"));
    let zone =
        |name, home: &Home| Zone { name, signed: Signed::Yes, records: srv(home.listen.port(), "qpq") };
    let server = NameServer::start(&[zone("alpha.test", &alpha), zone("beta.test", &beta)]);
    for home in [&mut alpha, &mut beta] {
        home.discovery = asking(&server);
        home.tells_address = false;
    }
    let (a, b) = (alpha.start().await, beta.start().await);
    let invite = a.peering.invite(Some(beta.domain.clone()), crate::world::HOUR, &admin()).await.unwrap();
    let accepted = b.peering.accept(invite.token.expose(), &admin()).await.unwrap();
    assert_eq!(accepted.address, None);
    assert_eq!(alpha.record(&beta).await.unwrap().address, None);
    a.send(&alpha, &beta, 2).await;
    until("the rows", || async { beta.applied(&alpha).await.is_some_and(|head| head.last_applied.0 == 2) })
        .await;
    a.stop().await;
    b.stop().await;
}
