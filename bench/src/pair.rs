//! Conversations of two, made by real clients and then driven by hand.

use anyhow::Context as _;
use qpq_core::GroupId;
use tokio::sync::{Mutex, mpsc};

use crate::{
    domain::Domains,
    session::{self, Delivered, Session},
};

/// The payload of each message.
const PAYLOAD: usize = 1_024;

/// A sender, a receiver and their group.
pub(crate) struct Pair {
    /// Their group.
    pub(crate) group: GroupId,
    /// What is sent again and again, under fresh ids.
    pub(crate) message: Vec<u8>,
    /// Who sends.
    pub(crate) sender: Session,
    /// Messages in the order in which they were delivered.
    pub(crate) delivered: Mutex<mpsc::Receiver<Delivered>>,
    _receiver: Session,
}

/// Makes so many conversations; the hub is the senders' home.
pub(crate) async fn make(domains: &Domains, count: usize, federated: bool) -> anyhow::Result<Vec<Pair>> {
    let (home, kind) = if federated { (&domains.beta, "fed") } else { (&domains.alpha, "local") };
    let mut pairs = Vec::with_capacity(count);
    for n in 0..count {
        let (alice, _) = domains.user(&domains.alpha, &format!("{kind}-alice-{n}")).await?;
        let (bob, address) = domains.user(home, &format!("{kind}-bob-{n}")).await?;
        alice.sync().await?;
        let sent = alice.send(&address.to_string(), "hello").await?;
        let group = sent.group.context("the first message made no group")?;
        while bob.unread(1).await?.is_empty() {
            bob.sync().await?;
        }
        let epoch = alice.group_show(&group.to_string()).await?.epoch.context("no epoch")?;
        let (for_alice, for_bob) = (alice.resumption_token().await?, bob.resumption_token().await?);
        alice.close().await;
        bob.close().await;
        let sender = Session::resume(&domains.alpha, for_alice.expose()).await?;
        let receiver = Session::resume(home, for_bob.expose()).await?;
        let delivered = Mutex::new(receiver.observe().await?);
        let message = session::opaque_message(&group, epoch, PAYLOAD);
        pairs.push(Pair { group, message, sender, delivered, _receiver: receiver });
    }
    Ok(pairs)
}
