//! A homeserver in memory with real OPAQUE clients, for the tests of use cases.

use std::sync::Arc;

use async_trait::async_trait;
use ed25519_dalek::{Signer, SigningKey};
use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters,
    CredentialResponse, RegistrationResponse,
};
use qpq_core::{
    Address, Clock, DeviceAddress, DeviceCertificate, DeviceId, Digest, Domain, Entropy, IdentityKey,
    Incarnation, ManualClock, Millis, OsEntropy, Pin, SignatureKey, SystemClock, Timestamp, mls,
    opaque::{Parties, Stretch, Suite, context},
};
use qpq_federation_proto::Policy;
use qpq_hub::Engine;
use qpq_storage::{Peer, PeerState, Storage, Stored, Vault, WriteTx, memory::MemoryStorage};
use qpq_transparency_tree::value::{
    AccountValue, LoggedDevice, Reason, SignedValue, Standing, Status, signed_bytes,
};
use qpq_transparency_wire::LogPlace;
use tokio_util::task::TaskTracker;

use crate::{
    Actions, Admins, Answered, Appliance, Challenge, ConsolePlace, DeviceClaim, DomainFacts, Ground,
    NewAccount, OpaqueSetup, Opened, Peering, PeeringIdentity, RegistrationPolicy, Settings, SourceNetwork,
    UseCases, WriteJob, Writer,
};

/// One domain.
pub(crate) struct Home {
    pub(crate) ground: Arc<Ground>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) use_cases: UseCases,
    pub(crate) actions: Actions,
    pub(crate) admins: Admins,
    tasks: TaskTracker,
}

impl Home {
    /// `alpha.test`, where everybody may register.
    pub(crate) fn open() -> Self {
        Self::with(Settings { registration: RegistrationPolicy::Open, ..Settings::default() })
    }

    pub(crate) fn with(settings: Settings) -> Self {
        // OpenMLS looks at the machine's clock when it judges a KeyPackage, so the test begins now.
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let mut entropy = OsEntropy::new().unwrap();
        let domain: Domain = "alpha.test".parse().unwrap();
        let incarnation = Incarnation::begin(clock.now(), &mut entropy);
        let vault = Vault { domain: domain.clone(), incarnation, created_at: clock.now() };
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::of(vault));
        let (writer, task) = Writer::new(Arc::clone(&storage));
        let tasks = TaskTracker::new();
        tasks.spawn(task);
        let shown: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let ground =
            Arc::new(Ground::new(domain, incarnation, settings, shown, Box::new(entropy), storage, writer));
        let setup = OpaqueSetup::generate(&mut entropy);
        let use_cases = UseCases::new(&ground, setup, Engine::new().unwrap());
        let facts = DomainFacts {
            domain: "alpha.test".to_owned(),
            version: "0".to_owned(),
            client_address: "127.0.0.1:7443".to_owned(),
            federation_address: "127.0.0.1:7444".to_owned(),
            client_pin: "pin".to_owned(),
            federation_key: "key".to_owned(),
            admin_url: "http://localhost:7445".to_owned(),
            since: Timestamp::from_millis(0),
        };
        let key = SigningKey::from_bytes(&entropy.bytes32());
        let identity = PeeringIdentity {
            policy: Policy::AllowListed,
            address: "127.0.0.1:7444".parse().ok(),
            ca_certificate: vec![1; 100],
            pin: Pin::from_digest(Digest::ZERO),
            key,
        };
        let place = ConsolePlace {
            origin: "http://localhost:7445".to_owned(),
            rp_id: "localhost".to_owned(),
            domain: "alpha.test".to_owned(),
        };
        let admins = Admins::cheap(Arc::clone(&ground), place).unwrap();
        let actions = Actions::new(
            &use_cases,
            admins.clone(),
            Peering::new(Arc::clone(&ground), identity),
            facts,
            Appliance::bare(),
        );
        Self { ground, clock, use_cases, actions, admins, tasks }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ground.now()
    }

    pub(crate) fn wait(&self, span: Millis) {
        self.clock.advance(span);
    }

    /// Registers a new person with the password "secret"; panics if that is refused.
    pub(crate) async fn joins(&self, name: &str) -> (Person, Opened) {
        let person = Person::new(name);
        let opened = person.register(self, "").await.unwrap();
        (person, opened)
    }

    /// The value of a counter, by its name with labels as it is told.
    pub(crate) fn counted(&self, series: &str) -> u64 {
        counted(&self.ground, series)
    }

    /// Does something in a write transaction.
    pub(crate) async fn writes<F>(&self, act: F)
    where
        F: for<'a> Fn(&'a mut dyn WriteTx) -> futures::future::BoxFuture<'a, Stored<()>>
            + Send
            + Sync
            + 'static,
    {
        self.ground.write(Act(act)).await.unwrap();
    }

    /// How many audit rows there are.
    pub(crate) async fn audited(&self) -> Vec<String> {
        let mut tx = self.ground.read().await.unwrap();
        let rows =
            tx.audit_after(&qpq_storage::AuditFilter::default(), qpq_core::Seq::ZERO, 100).await.unwrap();
        rows.into_iter()
            .map(|record| record.entry)
            .map(|entry| format!("{} {} {}", entry.actor, entry.action, entry.target))
            .collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.tasks.close();
    }
}

struct Act<F>(F);

#[async_trait]
impl<F> WriteJob for Act<F>
where
    F: for<'a> Fn(&'a mut dyn WriteTx) -> futures::future::BoxFuture<'a, Stored<()>> + Send + Sync + 'static,
{
    type Output = ();

    async fn run(&mut self, tx: &mut dyn WriteTx) -> Stored<()> {
        (self.0)(tx).await
    }
}

/// The record of a peer that signs with this key.
pub(crate) fn peer(domain: &Domain, key: &SigningKey) -> Peer {
    Peer {
        domain: domain.clone(),
        state: PeerState::Allowed,
        address: Some("127.0.0.1:1".to_owned()),
        pin: Pin::of_spki(domain.as_str().as_bytes()),
        ca_certificate: vec![],
        federation_key: key.verifying_key().to_bytes(),
        incarnation: None,
        refused: None,
        since: Timestamp::from_millis(1),
        note: String::new(),
    }
}

/// Where everybody in these tests calls from.
pub(crate) fn network() -> SourceNetwork {
    SourceNetwork::new("127.0.0.1")
}

/// Somebody with a password, an identity key and a device.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) address: Address,
    pub(crate) password: Vec<u8>,
    pub(crate) identity: SigningKey,
    pub(crate) device: DeviceId,
    pub(crate) key: SigningKey,
}

impl Person {
    pub(crate) fn new(name: &str) -> Self {
        let mut entropy = OsEntropy::new().unwrap();
        Self {
            address: format!("{name}@alpha.test").parse().unwrap(),
            password: b"secret".to_vec(),
            identity: SigningKey::from_bytes(&entropy.bytes32()),
            device: DeviceId::random(&mut entropy),
            key: SigningKey::from_bytes(&entropy.bytes32()),
        }
    }

    /// The same person with another device.
    pub(crate) fn with_new_device(&self) -> Self {
        let other = Self::new("x");
        Self { device: other.device, key: other.key, ..self.clone() }
    }

    pub(crate) fn identity_key(&self) -> IdentityKey {
        IdentityKey::from_bytes(self.identity.verifying_key().to_bytes())
    }

    pub(crate) fn device_address(&self) -> DeviceAddress {
        DeviceAddress { user: self.address.clone(), device: self.device }
    }

    pub(crate) fn certificate(&self) -> DeviceCertificate {
        let key = SignatureKey::from_bytes(self.key.verifying_key().to_bytes());
        DeviceCertificate::issue(&self.identity, self.device_address(), key, Timestamp::from_millis(7))
    }

    pub(crate) fn claim(&self, challenge: &Challenge) -> DeviceClaim {
        let certificate = self.certificate();
        let message = mls::enrol_signed_bytes(challenge.as_bytes(), &certificate.signature);
        DeviceClaim { certificate, possession: self.key.sign(&message).to_bytes() }
    }

    /// This device as the log names it.
    pub(crate) fn logged(&self, added_in: u32) -> LoggedDevice {
        let signature_key = SignatureKey::from_bytes(self.key.verifying_key().to_bytes());
        LoggedDevice { device: self.device, signature_key, added_in }
    }

    /// The next version of this person's keys, signed as the reason wants it.
    pub(crate) fn binds(&self, place: &LogPlace, reason: Reason, devices: &[LoggedDevice]) -> SignedValue {
        let status = reason.status().unwrap_or(Status::Active);
        let value =
            AccountValue::new(place.account, self.identity_key(), status, reason, devices.to_vec()).unwrap();
        let standing = Standing {
            origin: &place.origin,
            label_id: place.label_id,
            version: place.version,
            prev: place.prev,
        };
        let signature = self.identity.sign(&signed_bytes(&standing, &value)).to_bytes();
        let first = matches!(reason, Reason::Registration | Reason::Reset);
        SignedValue { value, by_previous: (!first).then_some(signature), by_self: Some(signature) }
    }

    pub(crate) async fn register(&self, home: &Home, token: &str) -> Answered<Opened> {
        self.register_claiming(home, token, |challenge| self.claim(challenge)).await
    }

    pub(crate) async fn register_claiming(
        &self,
        home: &Home,
        token: &str,
        claim: impl FnOnce(&Challenge) -> DeviceClaim,
    ) -> Answered<Opened> {
        let mut rng = OsEntropy::new().unwrap();
        let registrations = &home.use_cases.registrations;
        let start = ClientRegistration::<Suite>::start(&mut rng, &self.password).unwrap();
        let name = self.address.localpart().as_str();
        let (begun, offer) = registrations.begin(&network(), name, token, &start.message.serialize()).await?;
        let parties = Parties::of(&self.address);
        let ksf = Stretch::cheap();
        let params = ClientRegistrationFinishParameters::new(parties.identifiers(), Some(&ksf));
        let response = RegistrationResponse::deserialize(&offer.response).unwrap();
        let made = start.state.finish(&mut rng, &self.password, response, params).unwrap();
        let new = NewAccount {
            upload: made.message.serialize().to_vec(),
            identity_key: self.identity_key(),
            sealed_identity: vec![5; 48],
            device: claim(&offer.challenge),
            binding: offer.place.as_ref().map(|place| {
                let reason = if place.version == 0 { Reason::Registration } else { Reason::Reset };
                self.binds(place, reason, &[self.logged(place.version)])
            }),
        };
        registrations.finish(begun, new).await
    }

    pub(crate) async fn log_in(&self, home: &Home) -> Answered<Opened> {
        let logins = &home.use_cases.logins;
        let mut rng = OsEntropy::new().unwrap();
        let start = ClientLogin::<Suite>::start(&mut rng, &self.password).unwrap();
        let (begun, response) =
            logins.begin(&network(), &self.address.to_string(), &start.message.serialize()).await?;
        let parties = Parties::of(&self.address);
        let (ksf, context) = (Stretch::cheap(), context(self.address.domain()));
        let params = ClientLoginFinishParameters::new(Some(&context), parties.identifiers(), Some(&ksf));
        let response = CredentialResponse::deserialize(&response).unwrap();
        // Who can't open the envelope sends something all the same: the server must say no.
        let finalization = match start.state.finish(&mut rng, &self.password, response, params) {
            Ok(end) => end.message.serialize().to_vec(),
            Err(_) => vec![0; 64],
        };
        let (begun, offer) = logins.finish(begun, &finalization).await?;
        assert_eq!(offer.identity_key, self.identity_key());
        assert_eq!(offer.sealed_identity, vec![5; 48]);
        let binding = offer.place.as_ref().and_then(|place| {
            let value = &place.value.as_ref()?.value;
            let known = value.device_key(&self.device).is_some();
            let devices = [value.devices(), &[self.logged(place.version)]].concat();
            (!known).then(|| self.binds(place, Reason::Devices, &devices))
        });
        logins.enrol(begun, self.claim(&offer.challenge), binding).await
    }

    /// The bytes of a KE1, to look at the answer to it.
    pub(crate) fn ke1(&self) -> Vec<u8> {
        ClientLogin::<Suite>::start(&mut OsEntropy::new().unwrap(), &self.password)
            .unwrap()
            .message
            .serialize()
            .to_vec()
    }
}

/// The value of a counter, by its name with labels as it is told.
pub(crate) fn counted(ground: &Ground, series: &str) -> u64 {
    let text = ground.metrics().render(&qpq_metrics::Snapshot::default());
    let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).expect(series);
    value.parse().unwrap()
}
