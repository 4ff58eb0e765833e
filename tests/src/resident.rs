//! One user as a client that stays: the library on this thread, connected, reconnecting, receiving what is pushed.

use std::{cell::RefCell, path::PathBuf, time::Duration};

use anyhow::ensure;
use qpq_client::{
    Client, Live, Message, Options, SendState, Sent, Server, Trust, store::StoreKey, store::Unlock,
};
use qpq_core::{Address, Secret};
use tokio::time::Instant;

use crate::{HomeDomain, World};

/// How many messages are taken at a time.
const BATCH: u32 = 200;

/// A user whose client stays.
#[derive(Debug)]
pub struct Resident {
    client: Client,
    address: Address,
    home: PathBuf,
    live: RefCell<Option<Live>>,
}

/// A domain's homeserver as the client library names it.
pub fn server_of(domain: &HomeDomain) -> anyhow::Result<Server> {
    Ok(Server { address: domain.client_address().parse()?, trust: Trust::Pin(domain.pin()) })
}

fn password(name: &str) -> Secret<String> {
    Secret::new(format!("password of {name}"))
}

impl Resident {
    /// Registers a user with a fresh token; the client is not live yet.
    pub async fn register(world: &World, name: &str, domain: &HomeDomain) -> anyhow::Result<Self> {
        let home = world.path().join("residents").join(format!("{name}.{}", domain.name()));
        let (client, address) = (open(&home).await?, domain.address(name)?);
        let token = domain.token().await?;
        client.register(&address, &server_of(domain)?, &password(name), Some(&token)).await?;
        // A homeserver that is killed while it answers `resume` has used the token up: log in again by oneself.
        client.remember_password(password(name));
        Ok(Self { client, address, home, live: RefCell::default() })
    }

    /// Logs another device of an account in.
    pub async fn log_in(
        world: &World,
        name: &str,
        domain: &HomeDomain,
        device: &str,
    ) -> anyhow::Result<Self> {
        let home = world.path().join("residents").join(format!("{name}-{device}.{}", domain.name()));
        let (client, address) = (open(&home).await?, domain.address(name)?);
        client.login(&address, &server_of(domain)?, &password(name)).await?;
        Ok(Self { client, address, home, live: RefCell::default() })
    }

    /// The client.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The address.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Where its store is.
    pub const fn home(&self) -> &PathBuf {
        &self.home
    }

    /// Keeps the connection from now on.
    pub fn wake(&self) {
        let mut live = self.live.borrow_mut();
        if live.is_none() {
            *live = Some(self.client.go_live());
        }
    }

    /// Ends the connection; nothing is received any more.
    pub async fn sleep(&self) {
        drop(self.live.borrow_mut().take());
        self.client.disconnect().await;
    }

    /// Closes the store as well, so that another process may open it.
    pub async fn leave(self) {
        drop(self.live.into_inner());
        self.client.close().await;
    }

    /// The token that opens the next session. Take it while nobody is connected.
    pub async fn resumption_token(&self) -> anyhow::Result<Vec<u8>> {
        Ok(self.client.resumption_token().await?.expose().to_vec())
    }

    /// Sends a text.
    pub async fn send(&self, target: &str, text: &str) -> anyhow::Result<Sent> {
        Ok(self.client.send(target, text).await?)
    }

    /// Sends a text and expects that the domain has it.
    pub async fn say(&self, target: &str, text: &str) -> anyhow::Result<Sent> {
        let sent = self.send(target, text).await?;
        ensure!(sent.state == SendState::Accepted, "{} could not say `{text}`: {sent:?}", self.address);
        Ok(sent)
    }

    /// Takes what has come so far.
    pub async fn take(&self) -> anyhow::Result<Vec<Message>> {
        let messages = self.client.unread(BATCH).await?;
        if let Some(last) = messages.last() {
            self.client.mark_shown(last).await?;
        }
        Ok(messages)
    }

    /// Takes messages until there are `count` of them, in order; for a client that is awake.
    pub async fn hear(&self, count: usize, within: Duration) -> anyhow::Result<Vec<Message>> {
        let deadline = Instant::now() + within;
        let mut heard = Vec::new();
        while heard.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "{} heard {} of {count} messages: {heard:?}", self.address, heard.len());
            self.client.wait_unread(1, left).await?;
            heard.extend(self.take().await?);
        }
        Ok(heard)
    }
}

/// A home with a key of its own instead of a stretched passphrase: stretching is tested with `qpq`.
async fn open(home: &std::path::Path) -> anyhow::Result<Client> {
    let key = StoreKey::from_raw([7; 32]);
    Ok(Client::create(home, Unlock::Key(&key), Options::default()).await?)
}
