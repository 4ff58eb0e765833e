//! The directory: order, failures that stay with their address, peers that lie.

use std::sync::Arc;

use async_trait::async_trait;
use qpq_core::{Address, Domain, ErrorCode, GroupId, IdentityKey, Millis, Pin, Timestamp};
use qpq_storage::{Peer, PeerState};

use crate::{
    NoPeers, PeerCallError, PeerCalls, PeerHealth, UserAnswer, UserKeys, Views,
    fixture::{Home, Person},
};

/// Beta is honest and has one user, gamma answers about somebody else, delta shows a device it made up.
#[derive(Debug)]
struct Peers;

fn keys(address: &Address) -> UserKeys {
    let person = Person { address: address.clone(), ..Person::new("x") };
    UserKeys {
        address: address.clone(),
        identity_key: person.identity_key(),
        devices: vec![person.certificate()],
        lookup: None,
    }
}

#[async_trait]
impl PeerCalls for Peers {
    async fn resolve_user(
        &self,
        peer: &Domain,
        _: &Address,
        addresses: &[Address],
        _: Option<&GroupId>,
        _: &Views,
        _: Timestamp,
    ) -> Result<Vec<UserAnswer>, PeerCallError> {
        match peer.as_str() {
            "beta.test" => Ok(addresses.iter().map(|address| Ok(keys(address))).collect()),
            "gamma.test" => Ok(vec![Ok(keys(&"eve@gamma.test".parse().unwrap()))]),
            "delta.test" => {
                let forged =
                    |address| UserKeys { identity_key: IdentityKey::from_bytes([1; 32]), ..keys(address) };
                Ok(addresses.iter().map(|address| Ok(forged(address))).collect())
            }
            "slow.test" => std::future::pending().await,
            _ => Err(PeerCallError::NotAPeer(peer.clone())),
        }
    }

    async fn health(&self, _: &Domain) -> PeerHealth {
        NoPeers.health(&"alpha.test".parse().unwrap()).await
    }

    fn outbox_filled(&self, _: &[Domain]) {}

    async fn retry(&self, _: &Domain) {}

    fn peers_changed(&self) {}
}

pub(crate) async fn allow_beta(home: &Home) {
    home.writes(|tx| {
        Box::pin(async move {
            let peer = Peer {
                domain: "beta.test".parse().unwrap(),
                state: PeerState::Allowed,
                address: Some("127.0.0.1:1".to_owned()),
                pin: Pin::from_digest(qpq_core::Digest::ZERO),
                ca_certificate: Vec::new(),
                federation_key: [0; 32],
                incarnation: None,
                refused: None,
                since: Timestamp::from_millis(0),
                note: String::new(),
            };
            tx.peer_store(&peer).await
        })
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn answers_come_in_the_order_asked_and_each_failure_stays_with_its_address() {
    let home = Home::open();
    home.ground.connect_peers(Arc::new(Peers));
    let (alice, opened) = home.joins("alice").await;
    let asked = [
        "bob@beta.test",
        "alice@alpha.test",
        "carol@gamma.test",
        "nobody@alpha.test",
        "dan@delta.test",
        "eve@elsewhere.test",
        "sue@slow.test",
        "carol@beta.test",
    ];
    let addresses: Vec<Address> = asked.iter().map(|address| address.parse().unwrap()).collect();
    let answers =
        home.use_cases.directory.resolve(&opened.handle, &addresses, None, &Views::new()).await.unwrap();
    let told: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Ok(keys) => (keys.address.to_string(), None),
            Err((address, refusal)) => (address.to_string(), Some(refusal.code)),
        })
        .collect();
    let codes = [
        None,
        None,
        Some(ErrorCode::Internal),
        Some(ErrorCode::NotFound),
        Some(ErrorCode::DeviceNotSigned),
        Some(ErrorCode::PolicyRefused),
        Some(ErrorCode::PeerUnreachable),
        None,
    ];
    let expected: Vec<_> = asked.iter().map(|&address| address.to_owned()).zip(codes).collect();
    assert_eq!(told, expected);
    assert_eq!(answers[1].as_ref().unwrap().devices, vec![alice.certificate()]);
}

#[tokio::test(start_paused = true)]
async fn only_peers_are_answered_and_only_about_our_users() {
    let home = Home::open();
    let (alice, _) = home.joins("alice").await;
    let (beta, bob): (Domain, Address) = ("beta.test".parse().unwrap(), "bob@beta.test".parse().unwrap());
    let asked = [alice.address.clone(), "x@gamma.test".parse().unwrap()];
    let directory = &home.use_cases.directory;
    let stranger = directory.resolve_for_peer(&beta, &bob, &asked, None, &Views::new()).await;
    assert_eq!(stranger.unwrap_err().code, ErrorCode::PolicyRefused);
    allow_beta(&home).await;
    let answers = directory.resolve_for_peer(&beta, &bob, &asked, None, &Views::new()).await.unwrap();
    assert_eq!(answers[0].as_ref().unwrap().address, alice.address);
    assert_eq!(answers[1].as_ref().unwrap_err().1.code, ErrorCode::NotFound, "we relay no questions");
    // A hub asks for whoever commits, who may be anybody's user.
    let for_another = directory
        .resolve_for_peer(&beta, &"carol@gamma.test".parse().unwrap(), &asked, None, &Views::new())
        .await;
    assert!(for_another.is_ok());
}

#[tokio::test(start_paused = true)]
async fn asking_for_the_whole_world_slows_down() {
    let home = Home::open();
    let (_, opened) = home.joins("alice").await;
    let many: Vec<Address> = (0..250).map(|n| format!("user{n}@alpha.test").parse().unwrap()).collect();
    let directory = &home.use_cases.directory;
    for _ in 0..4 {
        directory.resolve(&opened.handle, &many, None, &Views::new()).await.unwrap();
    }
    let refused = directory.resolve(&opened.handle, &many, None, &Views::new()).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::RateLimited);
    assert_eq!(home.counted("quicproquo_limits_hit_total{limit=\"lookups\"}"), 1);
    home.wait(refused.retry_after.unwrap().max(Millis(1)));
    assert!(directory.resolve(&opened.handle, &many, None, &Views::new()).await.is_ok());
    let too_many: Vec<Address> = many.iter().chain(&many).cloned().collect();
    assert_eq!(
        directory.resolve(&opened.handle, &too_many, None, &Views::new()).await.unwrap_err().code,
        ErrorCode::TooLarge
    );
}
