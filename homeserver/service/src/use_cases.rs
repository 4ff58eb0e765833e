//! All use cases of users and admins on one ground: what the edges are built on.

use std::sync::Arc;

use qpq_hub::Engine;

use crate::{
    Accounts, Bans, Contacts, Devices, Directory, DoorRates, Ground, Groups, KeyPackages, Logins, Mailboxes,
    OpaqueSetup, OwnKeys, Registrations, Sessions, SubmitRates, Tokens, own_keys::Changes,
};

/// One of each; cheap to clone.
#[derive(Clone, Debug)]
pub struct UseCases {
    /// What they stand on.
    pub ground: Arc<Ground>,
    /// Making accounts.
    pub registrations: Registrations,
    /// Logging in.
    pub logins: Logins,
    /// Resuming, listing, revoking sessions; the live ones.
    pub sessions: Sessions,
    /// Accounts.
    pub accounts: Accounts,
    /// What the log has of one's own keys.
    pub own_keys: OwnKeys,
    /// Devices.
    pub devices: Devices,
    /// Bans.
    pub bans: Bans,
    /// Registration tokens.
    pub tokens: Tokens,
    /// KeyPackages.
    pub key_packages: KeyPackages,
    /// The directory.
    pub directory: Directory,
    /// Contacts.
    pub contacts: Contacts,
    /// Mailboxes.
    pub mailboxes: Mailboxes,
    /// Groups.
    pub groups: Groups,
}

impl UseCases {
    /// Puts them together. `setup` are the domain's OPAQUE keys, `engine` reads KeyPackages.
    pub fn new(ground: &Arc<Ground>, setup: OpaqueSetup, engine: Engine) -> Self {
        let settings = ground.settings();
        let ground = || Arc::clone(ground);
        let setup = Arc::new(setup);
        let doors = Arc::new(DoorRates::new(settings.attempts_per_network, settings.logins_per_name));
        let sessions = Sessions::new(ground());
        let submits = Arc::new(SubmitRates::per_minute(settings.submits_per_minute));
        let tokens = Tokens::new(ground());
        let changes = Arc::new(Changes::new());
        let groups = Groups::new(ground(), engine.clone(), submits);
        Self {
            registrations: Registrations::new(
                ground(),
                Arc::clone(&setup),
                sessions.clone(),
                Arc::clone(&doors),
                Arc::clone(tokens.under_way()),
            ),
            logins: Logins::new(ground(), setup, sessions.clone(), doors, Arc::clone(&changes)),
            accounts: Accounts::new(ground(), sessions.clone()),
            own_keys: OwnKeys::new(ground(), changes),
            devices: Devices::new(ground(), sessions.clone()),
            bans: Bans::new(ground(), sessions.clone()),
            tokens,
            key_packages: KeyPackages::new(ground(), engine, groups.clone()),
            directory: Directory::new(ground(), groups.clone()),
            contacts: Contacts::new(ground()),
            mailboxes: Mailboxes::new(ground()),
            groups,
            ground: ground(),
            sessions,
        }
    }
}
