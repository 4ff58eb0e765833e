//! The admin socket.

use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use ed25519_dalek::SigningKey;
use qpq_core::{ErrorCode, Pin};
use qpq_federation_proto::Policy;
use qpq_rpc::AdminSocket;
use qpq_schemas::admin_capnp::admin;
use qpq_service::{Actions, Admins, Appliance, ConsolePlace, DomainFacts, Peering, PeeringIdentity};
use qpq_transport::{Rpc, RpcLimits};
use tokio::{net::UnixStream, task::spawn_local};
use tokio_util::sync::CancellationToken;

use crate::{local, world::World};

async fn perform(socket: &Path, verb: &str) -> Result<String, u16> {
    let (reader, writer) = UnixStream::connect(socket).await.unwrap().into_split();
    let mut rpc = Rpc::calling(reader, writer, None, RpcLimits::admin());
    let admin: admin::Client = rpc.other_side();
    let running = spawn_local(rpc.run());
    let mut request = admin.perform_request();
    request.get().set_verb(verb);
    request.get().set_arguments("{}");
    let reply = request.send().promise.await.unwrap();
    running.abort();
    let reply = reply.get().unwrap();
    if reply.has_failure() {
        return Err(reply.get_failure().unwrap().get_code());
    }
    Ok(reply.get_result().unwrap().to_string().unwrap())
}

#[tokio::test]
async fn the_owner_performs_verbs_on_a_private_socket() {
    local(async {
        let world = World::start().await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        // What a killed process left behind is no obstacle.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = AdminSocket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let facts = DomainFacts {
            domain: "alpha.test".to_owned(),
            version: String::new(),
            client_address: String::new(),
            federation_address: String::new(),
            client_pin: String::new(),
            federation_key: String::new(),
            admin_url: "http://localhost:7445".to_owned(),
            since: qpq_core::Timestamp::from_millis(0),
        };
        let peering = PeeringIdentity {
            policy: Policy::Closed,
            address: "alpha.test:7444".parse().ok(),
            ca_certificate: Vec::new(),
            pin: Pin::of_spki(b"nobody"),
            key: SigningKey::from_bytes(&[1; 32]),
        };
        let peering = Peering::new(Arc::clone(&world.cases.ground), peering);
        let place = ConsolePlace {
            origin: facts.admin_url.clone(),
            rp_id: "localhost".to_owned(),
            domain: facts.domain.clone(),
        };
        let admins = Admins::new(Arc::clone(&world.cases.ground), place).unwrap();
        let actions = Arc::new(Actions::new(&world.cases, admins, peering, facts, Appliance::bare()));
        let stop = CancellationToken::new();
        let serving = spawn_local(socket.serve(actions, stop.clone()));
        let created = perform(&path, "token.create").await.unwrap();
        assert!(created.contains("\"token\""), "{created}");
        assert_eq!(perform(&path, "no.such").await, Err(ErrorCode::NotFound.number()));
        stop.cancel();
        serving.await.unwrap().unwrap();
        assert!(!path.exists());
    })
    .await;
}
