//! A homeserver of one domain in memory behind a real listener, and a client that shares nothing with ours but the
//! schemas.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use ed25519_dalek::{Signer as _, SigningKey};
use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters,
    CredentialResponse, RegistrationResponse,
};
use qpq_core::{
    Address, DeviceAddress, DeviceCertificate, DeviceId, Domain, Entropy as _, Incarnation, OsEntropy,
    SignatureKey, SystemClock, Timestamp, mls,
    opaque::{Parties, Stretch, Suite, context},
};
use qpq_hub::Engine;
use qpq_rpc::ClientListener;
use qpq_schemas::client_capnp::{device_claim, enrolment, homeserver, session, session_grant};
use qpq_service::{Ground, OpaqueSetup, Settings, UseCases, Writer, wire};
use qpq_storage::{Storage, memory::MemoryStorage};
use qpq_transport::{
    AcceptLimits, CertificateAuthority, Connection, DialTls, Endpoint, Leaf, ListenerTls, Listening, Offload,
    Profile, Rpc, RpcLimits, ServerTrust, Workers,
};
use tokio::task::spawn_local;
use tokio_util::sync::CancellationToken;

pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const PASSWORD: &[u8] = b"correct horse battery staple";

pub(crate) struct World {
    pub(crate) cases: UseCases,
    pub(crate) workers: Workers,
    pub(crate) listening: Listening,
    pub(crate) announced: CancellationToken,
    authority: CertificateAuthority,
    address: SocketAddr,
}

pub(crate) fn domain() -> Domain {
    "alpha.test".parse().unwrap()
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

impl World {
    /// Everything up; must run inside a `LocalSet`.
    pub(crate) async fn start() -> Self {
        let mut entropy = OsEntropy::new().unwrap();
        let now = qpq_core::Clock::now(&SystemClock);
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        let (writer, writing) = Writer::new(Arc::clone(&storage));
        drop(spawn_local(writing));
        let settings = Settings::default();
        let setup = OpaqueSetup::generate(&mut entropy);
        let incarnation = Incarnation::begin(now, &mut entropy);
        let ground = Arc::new(Ground::new(
            domain(),
            incarnation,
            settings,
            Arc::new(SystemClock),
            Box::new(entropy),
            storage,
            writer,
        ));
        let cases = UseCases::new(&ground, setup, Engine::new().unwrap());
        let authority = CertificateAuthority::generate(&domain(), now).unwrap();
        let tls =
            ListenerTls::client(&Leaf::new(&authority.issue(&domain(), now, 30).unwrap()).unwrap()).unwrap();
        let endpoint = Endpoint::listen(loopback(), &tls, Profile::Client, Offload::On).unwrap();
        let workers = Workers::start(NonZeroUsize::MIN).unwrap();
        let served = cases.clone();
        let announced = CancellationToken::new();
        let announce = announced.clone();
        let listening = workers
            .serve(&endpoint, AcceptLimits::default(), move |_| {
                ClientListener::new(served.clone(), RpcLimits::client()).announcing(announce.clone())
            })
            .await
            .unwrap();
        Self { cases, workers, listening, announced, authority, address: endpoint.local_addr() }
    }

    pub(crate) async fn token(&self) -> String {
        self.cases.tokens.create(None, None).await.unwrap().token.expose().clone()
    }

    pub(crate) async fn connect(&self) -> Connection {
        let trust = ServerTrust::Pin(self.authority.pin());
        let tls = DialTls::client(&domain(), &trust, Arc::new(SystemClock));
        let endpoint = Endpoint::dialler(loopback(), Offload::On).unwrap();
        endpoint.dial(self.address, &tls, Profile::Client, SOON).await.unwrap()
    }

    pub(crate) async fn dial(&self) -> Caller {
        let connection = self.connect().await;
        let (reader, writer) = connection.open_stream().await.unwrap();
        let mut rpc = Rpc::calling(reader, writer, None, RpcLimits::client());
        let homeserver = rpc.other_side();
        drop(spawn_local(rpc.run()));
        Caller { connection, homeserver }
    }

    /// A new account with a session.
    pub(crate) async fn registered(&self, name: &str) -> Client {
        let caller = self.dial().await;
        caller.register(name, &self.token().await).await.unwrap()
    }
}

/// A connection without a session.
pub(crate) struct Caller {
    pub(crate) connection: Connection,
    pub(crate) homeserver: homeserver::Client,
}

/// A connection with one.
pub(crate) struct Client {
    pub(crate) caller: Caller,
    pub(crate) session: session::Client,
    pub(crate) granted: Granted,
    pub(crate) device: Device,
}

/// What a client keeps of a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) session: Vec<u8>,
    pub(crate) device: Vec<u8>,
    pub(crate) token: Vec<u8>,
}

impl Granted {
    pub(crate) fn read(grant: session_grant::Reader<'_>) -> Self {
        Self {
            session: grant.get_session().unwrap().to_vec(),
            device: grant.get_device().unwrap().to_vec(),
            token: grant.get_resumption_token().unwrap().to_vec(),
        }
    }
}

/// A device with the keys behind it.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) address: DeviceAddress,
    identity: SigningKey,
    key: SigningKey,
}

impl Device {
    fn new(user: Address) -> Self {
        let mut entropy = OsEntropy::new().unwrap();
        let identity = SigningKey::from_bytes(&entropy.bytes32());
        let key = SigningKey::from_bytes(&entropy.bytes32());
        Self { address: DeviceAddress { user, device: DeviceId::random(&mut entropy) }, identity, key }
    }

    fn claim(&self, challenge: &[u8], mut builder: device_claim::Builder<'_>) {
        let public = SignatureKey::from_bytes(self.key.verifying_key().to_bytes());
        let at = Timestamp::from_millis(1);
        let certificate = DeviceCertificate::issue(&self.identity, self.address.clone(), public, at);
        let signed = mls::enrol_signed_bytes(challenge.try_into().unwrap(), &certificate.signature);
        builder.set_possession(&self.key.sign(&signed).to_bytes());
        wire::write_certificate(&certificate, builder.init_certificate());
    }
}

/// The number of a failure.
pub(crate) type Code = u16;

/// Reads `failure` before anything else.
macro_rules! unless_failed {
    ($reply:expr) => {
        if $reply.has_failure() {
            return Err($reply.get_failure().unwrap().get_code());
        }
    };
}

impl Caller {
    pub(crate) async fn register(self, name: &str, token: &str) -> Result<Client, Code> {
        let mut rng = OsEntropy::new().unwrap();
        let user = Address::new(name.parse().unwrap(), domain());
        let start = ClientRegistration::<Suite>::start(&mut rng, PASSWORD).unwrap();
        let mut request = self.homeserver.register_request();
        request.get().set_localpart(name);
        request.get().set_registration_token(token);
        request.get().set_request(&start.message.serialize());
        let reply = request.send().promise.await.unwrap();
        let reply = reply.get().unwrap();
        unless_failed!(reply);
        let response = RegistrationResponse::deserialize(reply.get_response().unwrap()).unwrap();
        let (parties, ksf) = (Parties::of(&user), Stretch::cheap());
        let finish = ClientRegistrationFinishParameters::new(parties.identifiers(), Some(&ksf));
        let made = start.state.finish(&mut rng, PASSWORD, response, finish).unwrap();
        let device = Device::new(user);
        let mut request = reply.get_registration().unwrap().finish_request();
        request.get().set_upload(&made.message.serialize());
        request.get().set_identity_key(&device.identity.verifying_key().to_bytes());
        request.get().set_sealed_identity(b"sealed");
        device.claim(reply.get_challenge().unwrap(), request.get().init_device());
        let reply = request.send().promise.await.unwrap();
        let reply = reply.get().unwrap();
        unless_failed!(reply);
        let granted = Granted::read(reply.get_grant().unwrap());
        Ok(Client { session: reply.get_session().unwrap(), granted, device, caller: self })
    }

    /// The way to a proven password.
    pub(crate) async fn prove(
        &self,
        user: &Address,
        password: &[u8],
    ) -> Result<(enrolment::Client, Vec<u8>), Code> {
        let mut rng = OsEntropy::new().unwrap();
        let start = ClientLogin::<Suite>::start(&mut rng, password).unwrap();
        let mut request = self.homeserver.log_in_request();
        request.get().set_address(user.to_string());
        request.get().set_request(&start.message.serialize());
        let reply = request.send().promise.await.unwrap();
        let reply = reply.get().unwrap();
        unless_failed!(reply);
        let response = CredentialResponse::deserialize(reply.get_response().unwrap()).unwrap();
        let (parties, ksf, context) = (Parties::of(user), Stretch::cheap(), context(user.domain()));
        let finish = ClientLoginFinishParameters::new(Some(&context), parties.identifiers(), Some(&ksf));
        // A wrong password shows here already; whoever tries to guess sends something all the same.
        let proof = start.state.finish(&mut rng, password, response, finish);
        let proof = proof.map_or_else(|_| vec![0; 64], |end| end.message.serialize().to_vec());
        let mut request = reply.get_login().unwrap().finish_request();
        request.get().set_finalization(&proof);
        let reply = request.send().promise.await.unwrap();
        let reply = reply.get().unwrap();
        unless_failed!(reply);
        Ok((reply.get_enrolment().unwrap(), reply.get_challenge().unwrap().to_vec()))
    }

    pub(crate) async fn log_in(self, device: Device) -> Result<Client, Code> {
        let (enrolment, challenge) = self.prove(&device.address.user, PASSWORD).await?;
        let mut request = enrolment.enrol_request();
        device.claim(&challenge, request.get().init_device());
        let reply = request.send().promise.await.unwrap();
        let reply = reply.get().unwrap();
        unless_failed!(reply);
        let granted = Granted::read(reply.get_grant().unwrap());
        Ok(Client { session: reply.get_session().unwrap(), granted, device, caller: self })
    }

    pub(crate) async fn resume(&self, token: &[u8]) -> Result<(session::Client, Granted), Code> {
        let mut request = self.homeserver.resume_request();
        request.get().set_token(token);
        let reply = request.send().promise.await.unwrap();
        let reply = reply.get().unwrap();
        unless_failed!(reply);
        Ok((reply.get_session().unwrap(), Granted::read(reply.get_grant().unwrap())))
    }
}

/// `account.show`: the address, or why not.
pub(crate) async fn whoami(session: &session::Client) -> Result<String, Code> {
    let account = session.account_request().send().pipeline.get_account();
    let reply = account.show_request().send().promise.await.unwrap();
    let reply = reply.get().unwrap();
    unless_failed!(reply);
    Ok(reply.get_address().unwrap().to_string().unwrap())
}
