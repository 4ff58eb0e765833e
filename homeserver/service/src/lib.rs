//! Use cases: what the homeserver can do, whoever asks.
//!
//! The console, the command line, clients' RPC and peers call the same functions, so parity is structural. A use case
//! authorises, checks limits, writes in one transaction and answers after it is durable; it opens no socket. Peers are
//! reached through [`PeerCalls`], which `federation` implements.
//!
//! Every use case stands on the [`Ground`]: domain, clock, entropy, storage, the group-commit [`Writer`] and the
//! [`Wakes`] that tell sessions that something waits for them.

mod accounts;
mod actions;
mod admins;
mod appliance;
mod audit;
mod audit_export;
mod bans;
mod by_domain;
mod caller;
mod checks;
mod claim;
mod configuration;
mod contacts;
mod delivery;
mod devices;
mod directory;
mod exchange;
#[cfg(test)]
mod fixture;
#[doc(hidden)]
pub mod fuzzing;
mod ground;
mod groups;
mod jobs;
mod key_packages;
mod login;
mod mailbox;
mod opaque_server;
mod own_keys;
mod peer_calls;
pub mod peering;
mod planted;
mod rates;
mod receipts;
mod refusal;
mod registration;
pub mod relay;
pub mod request;
mod samples;
mod sessions;
mod settings;
mod tokens;
mod transparency;
mod upkeep;
mod use_cases;
mod wakes;
pub mod wire;
mod writer;

pub use accounts::{AccountView, Accounts};
pub use actions::{Action, Actions, Argument, DomainFacts, Guard, Kind, Need};
pub use admins::{
    Admins, Ceremony, ConsolePlace, LinkView, NewSession, OwnAccount, PasskeyView, SetupLink, SignedIn,
    TotpOffer, Visit, Welcome,
};
pub use appliance::{Appliance, Machine, NoMachine};
pub use bans::{BanTerms, Banned, Bans, Effect, Preview};
pub use caller::{Actor, Caller, Proof, REAUTHENTICATION};
pub use checks::{
    CHECKS, CertificateFact, Check, Checked, Checks, ConfigurationFact, DatabaseFact, Depth, DiskFact, Facts,
    FileFact, FileState, Finding, Integrity, MachineFacts, PeerFact, Report, Room, ServerFact, Severity,
    SocketFact, SocketState, WitnessingFact, judge,
};
pub use claim::{Challenge, DeviceClaim};
pub use configuration::{Configuration, NoConfiguration, SettingView};
pub use contacts::Contacts;
pub use delivery::{Delivery, DeliveryBody, FeedPosition};
pub use devices::{DeviceView, Devices};
pub use directory::Directory;
pub use exchange::{
    ClaimPurpose, ClaimedPackage, ClaimedUser, CommitAnswer, CommitSubmit, GroupTree, UserAnswer, UserKeys,
};
pub use ground::Ground;
pub use groups::{ApplicationSubmit, Groups, SubmitAnswer, Submitted, cut_off_absent, expire_messages};
pub use jobs::{AtStart, JOBS, Job, JobView, Jobs, Schedule};
pub use key_packages::{KeyPackageUpload, KeyPackages};
pub use login::{EnrolmentOffer, EnrolmentUnderWay, LoginUnderWay, Logins};
pub use mailbox::{Feeder, Mailboxes, Page};
pub use opaque_server::{OpaqueSetup, OpaqueSetupError};
pub use own_keys::{OwnHistory, OwnKeys, Rekeying};
pub use peer_calls::{NoPeers, PeerCallError, PeerCalls, PeerHealth, Standing};
pub use peering::{
    AcceptedPeer, Blocked, Confirmed, IssuedInvite, Known, LinkCertificate, Moved, ParkedView, PeerStanding,
    PeerView, Peering, PeeringIdentity, ProbeView, StepView, TheirView, WouldAllow, allowed_peer,
};
#[cfg(feature = "planted")]
pub use planted::{Bug as PlantedBug, plant};
pub use qpq_storage::{AdminRole, ContactEvent, ContactRequest, LinkPurpose};
pub use qpq_transparency_wire::{LogPlace, ToldLookup, Views};
pub use rates::{DoorRates, SourceNetwork, SubmitRates};
pub use receipts::{Notary, Proven, Receipt, copy_receipt, read_receipt, write_receipt};
pub use refusal::{Answered, Refusal};
pub use registration::{NewAccount, RegistrationOffer, RegistrationUnderWay, Registrations};
pub use samples::{SAMPLE_INTERVAL, SeriesView};
pub use sessions::{LiveSessions, Opened, SessionEnd, SessionGrant, SessionHandle, SessionView, Sessions};
pub use settings::{RegistrationPolicy, Settings};
pub use tokens::{NewToken, TokenLine, TokenOrder, Tokens};
pub use transparency::{LogLength, Rounds, Transparency, Witness, open_log};
pub use upkeep::{Swept, UPKEEP_INTERVAL, Upkeep};
pub use use_cases::UseCases;
pub use wakes::{Subscription, Wakes};
pub use writer::{Effects, WriteJob, Writer};
