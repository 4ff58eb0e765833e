//! Users: clients of the library, each with a store of its own, registered and introduced to each other over MLS.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use qpq_client::{
    Client, Options, SendState, Suite,
    store::{StoreKey, Unlock},
};
use qpq_core::{Address, GroupId, Secret, opaque::Stretch};

use crate::{domains::HomeDomain, stopwatch::Stopwatch};

/// How long a first message may take.
const FIRST: Duration = Duration::from_mins(1);
/// How often is looked whether it has come.
const LOOK: Duration = Duration::from_millis(20);
/// Registrations at the same time.
const ABREAST: usize = 8;

/// A user.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) address: Address,
}

/// Registers a user. The password is hardly stretched: what that costs is known and not the homeserver's matter.
pub(crate) async fn register(
    domain: &HomeDomain,
    place: &Path,
    name: &str,
    suite: Suite,
) -> anyhow::Result<Person> {
    let address = domain.user(name)?;
    let home = place.join("homes").join(address.to_string());
    let options = Options { stretch: Stretch::cheap(), suite, ..Options::default() };
    let key = StoreKey::from_raw([7; 32]);
    let client = Client::create(&home, Unlock::Key(&key), options).await?;
    let password = Secret::new(format!("password of {name}"));
    client
        .register(&address, &domain.server()?, &password, None)
        .await
        .with_context(|| format!("could not register {address}"))?;
    Ok(Person { client, address })
}

/// Registers `PREFIX-0`, `PREFIX-1`, … with the suite that everybody has.
pub(crate) async fn crowd(
    domain: &HomeDomain,
    place: &Path,
    prefix: &str,
    count: u32,
) -> anyhow::Result<Vec<Person>> {
    stream::iter(0..count)
        .map(|n| async move { register(domain, place, &format!("{prefix}-{n}"), Suite::default()).await })
        .buffered(ABREAST)
        .try_collect()
        .await
}

/// Lets one say hello to the other: afterwards they have a conversation that both are in.
pub(crate) async fn introduce(from: &Person, to: &Person) -> anyhow::Result<GroupId> {
    let sent = from.client.send(&to.address.to_string(), "hello").await?;
    ensure!(
        sent.state == SendState::Accepted,
        "{} could not greet {}: {:?}",
        from.address,
        to.address,
        sent.waits
    );
    let group = sent.group.context("a greeting without a conversation")?;
    let watch = Stopwatch::start();
    loop {
        to.client.sync().await?;
        if let Some(last) = to.client.unread(1).await?.last() {
            to.client.mark_shown(last).await?;
            break;
        }
        ensure!(
            watch.elapsed() < FIRST,
            "{} did not hear {} within {} s",
            to.address,
            from.address,
            FIRST.as_secs()
        );
        tokio::time::sleep(LOOK).await;
    }
    from.client.sync().await?;
    Ok(group)
}
