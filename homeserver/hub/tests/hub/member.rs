//! A device with real OpenMLS state, configured as our client configures it.

use ed25519_dalek::SigningKey;
use openmls::{
    group::{
        GroupId as MlsGroupId, MlsGroup, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, StagedWelcome,
    },
    prelude::{
        BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, DeserializeBytes as _, Extension,
        ExtensionType, Extensions, KeyPackage, LeafNodeIndex, Lifetime, MlsMessageBodyIn, MlsMessageIn,
        NewSignerBundle, OpenMlsProvider as _, ProcessedMessageContent, RatchetTreeIn,
        SenderRatchetConfiguration, SignatureScheme, UnknownExtension, tls_codec::Serialize as _,
    },
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_libcrux_crypto::Provider;
use qpq_core::{
    DeviceAddress, DeviceCertificate, DeviceId, Entropy as _, GroupId, IdentityKey, MessageId, OsEntropy,
    SignatureKey, Timestamp,
    mls::{GroupPolicy, HUB_EXTENSION, HubExtension, commit_signed_bytes},
};
use qpq_delivery::{policy::Certified, view::CommitOffer};

pub(crate) const POST_QUANTUM: Ciphersuite = Ciphersuite::MLS_256_XWING_CHACHA20POLY1305_SHA256_Ed25519;
pub(crate) const CLASSICAL: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

const DAY: u64 = 86_400;

/// What a commit changes, beside a fresh path.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) add: Vec<KeyPackage>,
    pub(crate) remove: Vec<u32>,
    /// Takes the hub extension out of the group context.
    pub(crate) unhub: bool,
}

pub(crate) struct Member {
    pub(crate) device: DeviceAddress,
    pub(crate) provider: Provider,
    pub(crate) signer: SignatureKeyPair,
    pub(crate) group: Option<MlsGroup>,
    identity: SigningKey,
    key: SigningKey,
    suite: Ciphersuite,
    next_id: u8,
}

impl Member {
    pub(crate) fn new(user: &str, n: u8, suite: Ciphersuite) -> Self {
        let provider = Provider::new().unwrap();
        let (signer, key) = signer();
        signer.store(provider.storage()).unwrap();
        Self {
            key,
            device: DeviceAddress { user: user.parse().unwrap(), device: DeviceId::from_bytes([n; 16]) },
            provider,
            signer,
            group: None,
            identity: SigningKey::from_bytes(&OsEntropy::new().unwrap().bytes32()),
            suite,
            next_id: 0,
        }
    }

    pub(crate) fn group(&mut self) -> &mut MlsGroup {
        self.group.as_mut().unwrap()
    }

    pub(crate) fn credential(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.device.to_credential()).into(),
            signature_key: self.signer.to_public_vec().into(),
        }
    }

    /// Makes a group; returns GroupInfo and ratchet tree as `Groups.create` wants them.
    pub(crate) fn create(&mut self, id: &GroupId) -> (Vec<u8>, Vec<u8>) {
        let hub = HubExtension { hub: id.hub().clone(), term: id.term(), policy: GroupPolicy::MembersAdd };
        let group = MlsGroup::builder()
            .with_group_id(MlsGroupId::from_slice(&id.to_bytes()))
            .ciphersuite(self.suite)
            .with_wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(false)
            .max_past_epochs(5)
            .sender_ratchet_configuration(SenderRatchetConfiguration::new(5, 20_000))
            .with_capabilities(capabilities(self.suite))
            .with_group_context_extensions(extensions(&hub))
            .build(&self.provider, &self.signer, self.credential())
            .unwrap();
        let info = group.export_group_info(self.provider.crypto(), &self.signer, false).unwrap();
        let tree = group.export_ratchet_tree();
        self.group = Some(group);
        (info.tls_serialize_detached().unwrap(), tree.tls_serialize_detached().unwrap())
    }

    pub(crate) fn key_package(&self, days: u64) -> KeyPackage {
        self.key_package_with(days, capabilities(self.suite), false)
    }

    pub(crate) fn key_package_with(&self, days: u64, capabilities: Capabilities, last: bool) -> KeyPackage {
        let now = Lifetime::default();
        let mut builder = KeyPackage::builder()
            .leaf_node_capabilities(capabilities)
            .key_package_lifetime(Lifetime::init(now.not_before(), now.not_before() + days * DAY));
        if last {
            builder = builder.mark_as_last_resort();
        }
        builder.build(self.suite, &self.provider, &self.signer, self.credential()).unwrap().into_key_package()
    }

    /// Builds a commit and keeps it pending.
    pub(crate) fn offer(&mut self, change: Change) -> CommitOffer {
        let group = self.group.as_mut().unwrap();
        let epoch = group.epoch().as_u64();
        let mut builder = group
            .commit_builder()
            .force_self_update(true)
            .propose_adds(change.add)
            .propose_removals(change.remove.into_iter().map(LeafNodeIndex::new));
        if change.unhub {
            builder = builder.propose_group_context_extensions(Extensions::empty()).unwrap();
        }
        let bundle = builder
            .load_psks(self.provider.storage())
            .unwrap()
            .create_group_info(true)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .stage_commit(&self.provider)
            .unwrap();
        let (commit, welcome, info) = bundle.into_messages();
        let bytes = |message: Option<openmls::prelude::MlsMessageOut>| {
            message.map(|message| message.tls_serialize_detached().unwrap()).unwrap_or_default()
        };
        self.sign(epoch, bytes(Some(commit)), bytes(info), bytes(welcome))
    }

    /// A commit whose path brings another signature key for the same leaf.
    pub(crate) fn offer_with_new_key(&mut self) -> CommitOffer {
        let (other, _) = signer();
        let credential_with_key =
            CredentialWithKey { signature_key: other.to_public_vec().into(), ..self.credential() };
        let group = self.group.as_mut().unwrap();
        let epoch = group.epoch().as_u64();
        let bundle = group
            .commit_builder()
            .force_self_update(true)
            .load_psks(self.provider.storage())
            .unwrap()
            .create_group_info(true)
            .build_with_new_signer(
                self.provider.rand(),
                self.provider.crypto(),
                &self.signer,
                NewSignerBundle { signer: &other, credential_with_key },
                |_| true,
            )
            .unwrap()
            .stage_commit(&self.provider)
            .unwrap();
        let (commit, _, info) = bundle.into_messages();
        let commit = commit.tls_serialize_detached().unwrap();
        self.sign(epoch, commit, info.unwrap().tls_serialize_detached().unwrap(), vec![])
    }

    pub(crate) fn sign(
        &mut self,
        epoch: u64,
        commit: Vec<u8>,
        group_info: Vec<u8>,
        welcome: Vec<u8>,
    ) -> CommitOffer {
        self.next_id += 1;
        let id = MessageId::from_bytes([self.next_id; 16]);
        let signature = ed25519_dalek::Signer::sign(&self.key, &commit_signed_bytes(&id, &commit)).to_bytes();
        CommitOffer { id, sender: self.device.clone(), epoch, commit, group_info, welcome, signature }
    }

    /// The hub granted it.
    pub(crate) fn won(&mut self) {
        let provider = &self.provider;
        self.group.as_mut().unwrap().merge_pending_commit(provider).unwrap();
    }

    /// The hub granted another.
    pub(crate) fn lost(&mut self) {
        let storage = self.provider.storage();
        self.group.as_mut().unwrap().clear_pending_commit(storage).unwrap();
    }

    /// Applies somebody else's commit.
    pub(crate) fn apply(&mut self, commit: &[u8]) {
        let message = MlsMessageIn::tls_deserialize_exact_bytes(commit).unwrap();
        let group = self.group.as_mut().unwrap();
        let processed =
            group.process_message(&self.provider, message.try_into_protocol_message().unwrap()).unwrap();
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            panic!("not a commit")
        };
        group.merge_staged_commit(&self.provider, *staged).unwrap();
    }

    /// Joins by a Welcome with the tree that the hub kept.
    pub(crate) fn join(&mut self, welcome: &[u8], tree: &[u8]) {
        let Ok(MlsMessageBodyIn::Welcome(welcome)) =
            MlsMessageIn::tls_deserialize_exact_bytes(welcome).map(MlsMessageIn::extract)
        else {
            panic!("not a welcome")
        };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(false)
            .build();
        let tree = RatchetTreeIn::tls_deserialize_exact_bytes(tree).unwrap();
        let staged = StagedWelcome::new_from_welcome(&self.provider, &config, welcome, Some(tree)).unwrap();
        self.group = Some(staged.into_group(&self.provider).unwrap());
    }

    pub(crate) fn says(&mut self, text: &str) -> Vec<u8> {
        let message = self
            .group
            .as_mut()
            .unwrap()
            .create_message(&self.provider, &self.signer, text.as_bytes())
            .unwrap();
        message.tls_serialize_detached().unwrap()
    }

    /// Reads somebody else's application message.
    pub(crate) fn hears(&mut self, message: &[u8]) -> String {
        let message = MlsMessageIn::tls_deserialize_exact_bytes(message).unwrap();
        let group = self.group.as_mut().unwrap();
        let processed =
            group.process_message(&self.provider, message.try_into_protocol_message().unwrap()).unwrap();
        let ProcessedMessageContent::ApplicationMessage(text) = processed.into_content() else {
            panic!("not an application message")
        };
        String::from_utf8(text.into_bytes()).unwrap()
    }

    /// Another device of the same account.
    pub(crate) fn sibling(&self, user: &str, n: u8) -> Self {
        Self { identity: self.identity.clone(), ..Self::new(user, n, self.suite) }
    }

    /// Forgets the group.
    pub(crate) fn leave(&mut self) {
        let mut group = self.group.take().unwrap();
        group.delete(self.provider.storage()).unwrap();
    }

    pub(crate) fn identity_key(&self) -> IdentityKey {
        IdentityKey::from_bytes(self.identity.verifying_key().to_bytes())
    }

    pub(crate) fn certificate(&self) -> DeviceCertificate {
        let key = SignatureKey::from_slice(self.signer.public()).unwrap();
        DeviceCertificate::issue(&self.identity, self.device.clone(), key, Timestamp::from_millis(1))
    }

    pub(crate) fn signature_key(&self) -> SignatureKey {
        SignatureKey::from_slice(self.signer.public()).unwrap()
    }
}

fn signer() -> (SignatureKeyPair, SigningKey) {
    let key = SigningKey::from_bytes(&OsEntropy::new().unwrap().bytes32());
    let public = key.verifying_key().to_bytes().to_vec();
    (SignatureKeyPair::from_raw(SignatureScheme::ED25519, key.to_bytes().to_vec(), public), key)
}

/// What the hub knows when all these devices are certified.
pub(crate) fn certified(members: &[&Member]) -> Certified {
    let mut certified = Certified::default();
    for member in members {
        certified.learn(&member.identity_key(), &member.certificate()).unwrap();
    }
    certified
}

pub(crate) fn capabilities(suite: Ciphersuite) -> Capabilities {
    let extensions = [ExtensionType::Unknown(HUB_EXTENSION), ExtensionType::LastResort];
    Capabilities::new(None, Some(&[suite]), Some(&extensions), None, None)
}

fn extensions(hub: &HubExtension) -> Extensions<openmls::group::GroupContext> {
    Extensions::single(Extension::Unknown(HUB_EXTENSION, UnknownExtension(hub.to_bytes()))).unwrap()
}

pub(crate) fn bytes_of(package: &KeyPackage) -> Vec<u8> {
    openmls::prelude::MlsMessageOut::from(package.clone()).tls_serialize_detached().unwrap()
}
