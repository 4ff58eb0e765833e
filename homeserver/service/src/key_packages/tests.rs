//! KeyPackages: what may be uploaded, and claims that are atomic, idempotent and never run dry by one asker.

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, ExtensionType, KeyPackage, Lifetime,
    MlsMessageOut,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_libcrux_crypto::Provider;
use openmls_traits::types::SignatureScheme;
use qpq_core::{Address, DeviceAddress, ErrorCode, GroupId, Millis, mls::HUB_EXTENSION};
use tls_codec::Serialize as _;

use crate::{
    Answered, ClaimedUser, DeliveryBody, KeyPackageUpload, Opened,
    directory::tests::allow_beta,
    fixture::{Home, Person},
};

const DAY: u64 = 86_400;
const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

/// Makes KeyPackages of one device with OpenMLS, as a client does.
struct Maker {
    provider: Provider,
    signer: SignatureKeyPair,
    device: DeviceAddress,
}

impl Maker {
    fn of(person: &Person) -> Self {
        let signer = SignatureKeyPair::from_raw(
            SignatureScheme::ED25519,
            person.key.to_bytes().to_vec(),
            person.key.verifying_key().to_bytes().to_vec(),
        );
        Self { provider: Provider::new().unwrap(), signer, device: person.device_address() }
    }

    fn package(&self, days: u64, last_resort: bool) -> KeyPackageUpload {
        let now = Lifetime::default();
        let capabilities = Capabilities::new(
            None,
            None,
            Some(&[ExtensionType::Unknown(HUB_EXTENSION), ExtensionType::LastResort]),
            None,
            None,
        );
        let mut builder = KeyPackage::builder()
            .leaf_node_capabilities(capabilities)
            .key_package_lifetime(Lifetime::init(now.not_before(), now.not_before() + days * DAY));
        if last_resort {
            builder = builder.mark_as_last_resort();
        }
        let credential = CredentialWithKey {
            credential: BasicCredential::new(self.device.to_credential()).into(),
            signature_key: self.signer.to_public_vec().into(),
        };
        let bundle = builder.build(SUITE, &self.provider, &self.signer, credential).unwrap();
        let message = MlsMessageOut::from(bundle.into_key_package());
        KeyPackageUpload { message: message.tls_serialize_detached().unwrap(), last_resort }
    }

    fn one_time(&self, count: usize) -> Vec<KeyPackageUpload> {
        (0..count).map(|_| self.package(80, false)).collect()
    }
}

fn group() -> GroupId {
    GroupId::new([1; 16], 1, "alpha.test".parse().unwrap())
}

async fn claim(home: &Home, by: &Opened, nonce: u8, target: &Person) -> ClaimedUser {
    let targets = [target.address.clone()];
    home.use_cases
        .key_packages
        .claim(&by.handle, &group(), [nonce; 16], &targets, &crate::Views::new())
        .await
        .unwrap()
        .remove(0)
}

async fn upload(home: &Home, by: &Opened, packages: Vec<KeyPackageUpload>) -> Answered<u64> {
    home.use_cases.key_packages.upload(&by.handle, packages).await.map(|stock| stock.one_time)
}

#[tokio::test(start_paused = true)]
async fn a_device_uploads_its_own_and_a_repeat_counts_once() {
    let home = Home::open();
    let (alice, opened) = home.joins("alice").await;
    let maker = Maker::of(&alice);
    let packages = maker.one_time(3);
    assert_eq!(upload(&home, &opened, packages.clone()).await, Ok(3));
    assert_eq!(upload(&home, &opened, packages).await, Ok(3));
    let stock =
        home.use_cases.key_packages.upload(&opened.handle, vec![maker.package(84, true)]).await.unwrap();
    let renewal = stock.last_resort_until.unwrap().since(home.now());
    assert!(renewal > Millis::from_days(48) && renewal <= Millis::from_days(49), "{renewal:?}");
    assert_eq!(home.use_cases.key_packages.stock(&opened.handle).await.unwrap(), stock);
    assert_eq!(home.use_cases.devices.own(&opened.handle).await.unwrap()[0].key_packages, 3);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_a_rule_is_refused_and_nothing_of_its_batch_is_kept() {
    let home = Home::open();
    let (alice, opened) = home.joins("alice").await;
    let (bob, _) = home.joins("bob").await;
    let maker = Maker::of(&alice);
    let other_key = Maker::of(&Person { key: bob.key.clone(), ..alice.clone() });
    let unmarked = KeyPackageUpload { last_resort: true, ..maker.package(80, false) };
    let unsaid = KeyPackageUpload { last_resort: false, ..maker.package(80, true) };
    let garbage = KeyPackageUpload { message: vec![1, 2, 3], last_resort: false };
    let huge = KeyPackageUpload { message: vec![0; 100_000], last_resort: false };
    for (bad, code) in [
        (Maker::of(&bob).package(80, false), ErrorCode::Malformed),
        (other_key.package(80, false), ErrorCode::Malformed),
        (maker.package(200, false), ErrorCode::Malformed),
        (maker.package(20, false), ErrorCode::Malformed),
        (unmarked, ErrorCode::Malformed),
        (unsaid, ErrorCode::Malformed),
        (garbage, ErrorCode::Malformed),
        (huge, ErrorCode::TooLarge),
    ] {
        let refused = upload(&home, &opened, vec![maker.package(80, false), bad]).await.unwrap_err();
        assert_eq!(refused.code, code, "{}", refused.text);
    }
    assert_eq!(upload(&home, &opened, Vec::new()).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn a_claim_takes_one_of_each_device_and_a_repeat_takes_nothing_more() {
    let home = Home::open();
    let (alice, by) = home.joins("alice").await;
    let (bob, phone) = home.joins("bob").await;
    let tablet = bob.with_new_device();
    let on_tablet = tablet.log_in(&home).await.unwrap();
    upload(&home, &phone, Maker::of(&bob).one_time(20)).await.unwrap();
    let (keys, packages) = claim(&home, &by, 1, &bob).await.unwrap();
    assert_eq!((keys.devices.len(), packages.len()), (2, 1), "the tablet has none yet");
    upload(&home, &on_tablet, Maker::of(&tablet).one_time(20)).await.unwrap();
    let (_, repeated) = claim(&home, &by, 1, &bob).await.unwrap();
    assert_eq!(repeated.iter().find(|p| p.device == bob.device), packages.first());
    assert_eq!(home.use_cases.key_packages.stock(&phone.handle).await.unwrap().one_time, 19);
    let (_, next) = claim(&home, &by, 2, &bob).await.unwrap();
    assert_eq!(next.len(), 2);
    assert_ne!(next.iter().find(|p| p.device == bob.device), packages.first());

    let own = claim(&home, &by, 3, &alice).await.unwrap();
    assert!(own.1.is_empty(), "nobody adds the device it asks with");
}

#[tokio::test(start_paused = true)]
async fn nothing_left_is_said_and_low_stock_is_told_to_its_owner() {
    let home = Home::open();
    let (_, by) = home.joins("alice").await;
    let (bob, phone) = home.joins("bob").await;
    upload(&home, &phone, Maker::of(&bob).one_time(2)).await.unwrap();
    for nonce in [1, 2] {
        assert_eq!(claim(&home, &by, nonce, &bob).await.unwrap().1.len(), 1);
    }
    let (address, refusal) = claim(&home, &by, 3, &bob).await.unwrap_err();
    assert_eq!((address, refusal.code), (bob.address.clone(), ErrorCode::KeyPackagesExhausted));
    let page = home.use_cases.mailboxes.fetch(&phone.handle, &[], 0).await.unwrap();
    let low: Vec<_> = page.deliveries.iter().map(|delivery| &delivery.body).collect();
    assert!(matches!(low[..], [DeliveryBody::KeyPackagesLow(stock)] if stock.one_time == 0), "{low:?}");

    upload(&home, &phone, vec![Maker::of(&bob).package(80, true)]).await.unwrap();
    for nonce in [4, 5] {
        assert!(claim(&home, &by, nonce, &bob).await.unwrap().1[0].last_resort);
    }
    let nobody = Person::new("nobody");
    assert_eq!(claim(&home, &by, 6, &nobody).await.unwrap_err().1.code, ErrorCode::NotFound);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_quota_there_is_only_the_last_resort() {
    let home = Home::open();
    let (_, by) = home.joins("alice").await;
    let (_, other) = home.joins("carol").await;
    let (bob, phone) = home.joins("bob").await;
    let maker = Maker::of(&bob);
    upload(&home, &phone, maker.one_time(20)).await.unwrap();
    upload(&home, &phone, vec![maker.package(80, true)]).await.unwrap();
    let mut last = Vec::new();
    for _ in 0..20 {
        assert!(claim(&home, &by, 0, &bob).await.is_ok(), "a repeat uses nothing up");
    }
    for nonce in 0..8 {
        last.push(claim(&home, &by, nonce, &bob).await.unwrap().1[0].last_resort);
    }
    assert_eq!(last, [false, false, false, false, false, false, true, true]);
    assert!(!claim(&home, &other, 0, &bob).await.unwrap().1[0].last_resort, "others have their own quota");
    home.wait(home.ground.settings().claim_interval);
    assert!(!claim(&home, &by, 9, &bob).await.unwrap().1[0].last_resort);
}

#[tokio::test(start_paused = true)]
async fn peers_claim_for_their_own_users_if_they_are_peers() {
    let home = Home::open();
    let (bob, phone) = home.joins("bob").await;
    upload(&home, &phone, Maker::of(&bob).one_time(20)).await.unwrap();
    let (beta, carol) = ("beta.test".parse().unwrap(), "carol@beta.test".parse().unwrap());
    let targets: Vec<Address> = vec!["x@gamma.test".parse().unwrap(), bob.address.clone()];
    let packages = &home.use_cases.key_packages;
    let stranger =
        packages.claim_for_peer(&beta, &carol, &group(), [1; 16], &targets, &crate::Views::new()).await;
    assert_eq!(stranger.unwrap_err().code, ErrorCode::PolicyRefused);
    allow_beta(&home).await;
    let claimed = packages
        .claim_for_peer(&beta, &carol, &group(), [1; 16], &targets, &crate::Views::new())
        .await
        .unwrap();
    assert_eq!(claimed[0].as_ref().unwrap_err().1.code, ErrorCode::NotFound);
    assert_eq!(claimed[1].as_ref().unwrap().1.len(), 1);
    let again = packages
        .claim_for_peer(&beta, &carol, &group(), [1; 16], &targets, &crate::Views::new())
        .await
        .unwrap();
    assert_eq!(again, claimed);
    let pretending =
        packages.claim_for_peer(&beta, &bob.address, &group(), [1; 16], &targets, &crate::Views::new()).await;
    assert_eq!(pretending.unwrap_err().code, ErrorCode::PolicyRefused);
}

#[tokio::test(start_paused = true)]
async fn claims_at_once_never_get_the_same_package() {
    let home = Home::open();
    let (bob, phone) = home.joins("bob").await;
    upload(&home, &phone, Maker::of(&bob).one_time(6)).await.unwrap();
    let mut askers = Vec::new();
    for n in 0..6 {
        askers.push(home.joins(&format!("asker{n}")).await.1);
    }
    let claims = askers.iter().map(|by| claim(&home, by, 1, &bob));
    let taken = futures::future::join_all(claims).await;
    let messages: std::collections::BTreeSet<_> =
        taken.into_iter().map(|claimed| claimed.unwrap().1.remove(0).message).collect();
    assert_eq!(messages.len(), 6);
}
