//! A client's whole conversation, as bytes on its stream: framing, RPC, and every method, before login and after.
//!
//! The first byte says whether the client has a session. Sessions that an input ends are replaced.
#![no_main]

use std::sync::{LazyLock, Mutex};

use libfuzzer_sys::fuzz_target;
use qpq_fuzz::{
    conversation::Caller,
    home::Home,
    mls::{Device, device, group},
    seeds,
};
use qpq_schemas::client_capnp::{homeserver, session};
use qpq_service::SessionHandle;

static HOME: LazyLock<Home> = LazyLock::new(Home::open);
static SESSION: Mutex<Option<(u32, SessionHandle)>> = Mutex::new(None);

fuzz_target!(init: seeds(written), |bytes: &[u8]| {
    let Some((first, said)) = bytes.split_first() else { return };
    let caller = Caller::Client((first % 2 == 1).then(logged_in));
    HOME.hears(caller, said);
});

/// A session that lives.
fn logged_in() -> SessionHandle {
    let mut held = SESSION.lock().expect("the session");
    if let Some((_, handle)) = held.as_ref().filter(|(_, handle)| handle.why().is_none()) {
        return handle.clone();
    }
    let number = held.as_ref().map_or(1, |(number, _)| number + 1);
    let handle = HOME.registers(&Device::of(&format!("user{number}@alpha.test"), 1_000 + number));
    held.insert((number, handle)).1.clone()
}

fn written() -> Vec<(&'static str, Vec<u8>)> {
    let before = HOME.listens(Caller::Client(None), async |homeserver: homeserver::Client| {
        homeserver.info_request().send().promise.await.expect("an answer");
        let mut request = homeserver.register_request();
        request.get().set_localpart("carol");
        request.get().set_registration_token("token");
        request.get().set_request(&[0x20; 32]);
        let registered = request.send();
        let mut request = registered.pipeline.get_registration().finish_request();
        request.get().set_upload(&[1; 192]);
        request.get().set_identity_key(&[2; 32]);
        request.get().set_sealed_identity(b"sealed");
        claim(request.get().init_device());
        let finished = request.send();
        drop(registered.promise.await);
        drop(finished.promise.await);
        let mut request = homeserver.log_in_request();
        request.get().set_address("carol@alpha.test");
        request.get().set_request(&[0x20; 96]);
        let begun = request.send();
        let mut request = begun.pipeline.get_login().finish_request();
        request.get().set_finalization(&[3; 64]);
        drop(begun.promise.await);
        let mut request = homeserver.resume_request();
        request.get().set_token(&[4; 32]);
        request.get().set_next(&[5; 32]);
        request.send().promise.await.expect("an answer");
    });

    let mut alice = Device::of("alice@alpha.test", 1);
    let handle = HOME.registers(&alice);
    let package = alice.key_package();
    let (info, tree) = alice.creates(&group(1));
    let message = alice.says("hello");
    let bob = Device::of("bob@beta.test", 2);
    let offer = alice.adds(&bob);
    let areas = HOME.listens(Caller::Client(Some(handle.clone())), async move |session: session::Client| {
        let account = session.account_request().send().pipeline.get_account();
        account.show_request().send().promise.await.expect("an answer");
        let devices = session.devices_request().send().pipeline.get_devices();
        devices.list_request().send().promise.await.expect("an answer");
        let packages = session.key_packages_request().send().pipeline.get_key_packages();
        let mut request = packages.upload_request();
        request.get().init_packages(1).get(0).set_key_package(&package);
        request.send().promise.await.expect("an answer");
        packages.stock_request().send().promise.await.expect("an answer");
        let mut request = packages.claim_request();
        request.get().set_group(&group(1).to_bytes());
        request.get().set_nonce(&[1; 16]);
        request.get().init_targets(1).set(0, "alice@alpha.test");
        request.send().promise.await.expect("an answer");
        let directory = session.directory_request().send().pipeline.get_directory();
        let mut request = directory.resolve_request();
        request.get().init_addresses(1).set(0, "alice@alpha.test");
        request.send().promise.await.expect("an answer");
        let mailbox = session.mailbox_request().send().pipeline.get_mailbox();
        let mut request = mailbox.fetch_request();
        request.get().set_max_items(10);
        request.get().init_after(1).get(0).init_feed().set_group(&group(1).to_bytes());
        request.send().promise.await.expect("an answer");
        let mut request = mailbox.acknowledge_request();
        request.get().init_positions(1).get(0).init_feed().set_group(&group(1).to_bytes());
        request.send().promise.await.expect("an answer");
    });
    let revokes = HOME.listens(Caller::Client(Some(handle.clone())), async |session: session::Client| {
        let devices = session.devices_request().send().pipeline.get_devices();
        let mut request = devices.revoke_request();
        request.get().set_device(&[9; 16]);
        request.send().promise.await.expect("an answer");
    });
    let groups = HOME.listens(Caller::Client(Some(handle)), async move |session: session::Client| {
        let groups = session.groups_request().send().pipeline.get_groups();
        let id = group(1).to_bytes();
        let mut request = groups.create_request();
        request.get().set_group(&id);
        request.get().set_group_info(&info);
        request.get().set_ratchet_tree(&tree);
        let created = request.send().promise.await.expect("an answer");
        assert!(!created.get().expect("an answer").has_failure(), "alice makes a group");
        let mut request = groups.submit_request();
        let mut submit = request.get().init_messages(1).get(0);
        submit.set_id(&[6; 16]);
        submit.set_group(&id);
        submit.set_message(&message);
        request.send().promise.await.expect("an answer");
        let mut request = groups.commit_request();
        let mut submit = request.get().init_submit();
        submit.set_id(offer.id.as_bytes());
        submit.set_group(&id);
        submit.set_commit(&offer.commit);
        submit.set_group_info(&offer.group_info);
        submit.set_welcome(&offer.welcome);
        submit.set_signature(&offer.signature);
        request.send().promise.await.expect("an answer");
        let mut request = groups.tree_request();
        request.get().set_group(&id);
        request.send().promise.await.expect("an answer");
        let mut request = groups.log_request();
        request.get().set_group(&id);
        request.get().set_max_items(10);
        request.send().promise.await.expect("an answer");
    });
    let with = |first: u8, said: Vec<u8>| [vec![first], said].concat();
    vec![
        ("before", with(0, before)),
        ("areas", with(1, areas)),
        ("revokes", with(1, revokes)),
        ("groups", with(1, groups)),
    ]
}

fn claim(mut claim: qpq_schemas::client_capnp::device_claim::Builder<'_>) {
    claim.set_possession(&[7; 64]);
    let mut certificate = claim.init_certificate();
    certificate.set_device(device("carol@alpha.test", 2).as_str());
    certificate.set_signature_key(&[2; 32]);
    certificate.set_signature(&[3; 64]);
}
