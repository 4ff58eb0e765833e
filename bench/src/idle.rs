//! What an idle logged-in connection costs its homeserver in memory.
//!
//! Each connection is another account's, has a session and a subscribed inbox, and says nothing. The homeserver is
//! started anew before, so that memory which registrations left behind doesn't hide what connections need.

use std::{path::Path, rc::Rc, sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use qpq_client::{
    Link, Suite,
    session::{self, Session},
};
use qpq_core::{Clock, Entropy as _, OsEntropy, SystemClock};
use qpq_schemas::client_capnp::inbox;

use crate::{
    Plan,
    domains::HomeDomain,
    people,
    report::{self, number},
    statistics::ratio,
};

/// Registrations and handshakes at the same time.
const ABREAST: usize = 16;
/// Connections that are there before it is measured: what the first ones cost is not what the next ones cost.
const WARM: usize = 16;
/// How long everything is left alone before it is measured: what handshakes needed is given back by then.
const SETTLE: Duration = Duration::from_secs(3);

/// Measures and prints.
pub(crate) async fn measure(plan: &Plan, server: &Path, place: &Path) -> anyhow::Result<()> {
    report::progress(&format!("registering {} accounts", plan.connections));
    let mut domain = HomeDomain::start(server, place, "gamma").await?;
    let here = &domain;
    let tokens: Vec<[u8; 32]> = stream::iter(0..plan.connections)
        .map(|n| async move {
            let person = people::register(here, place, &format!("idle-{n}"), Suite::Classical).await?;
            let token = *person.client.resumption_token().await?.expose();
            person.client.close().await;
            anyhow::Ok(token)
        })
        .buffer_unordered(ABREAST)
        .try_collect()
        .await?;
    domain.restart().await?;
    let empty = domain.resident_kib()?;

    report::progress("opening connections");
    let (first, others) = tokens.split_at_checked(WARM).unwrap_or((&tokens, &[]));
    let mut open = connect(&domain, first).await?;
    tokio::time::sleep(SETTLE).await;
    let before = domain.resident_kib()?;
    open.extend(connect(&domain, others).await?);
    tokio::time::sleep(SETTLE).await;
    let after = domain.resident_kib()?;
    for session in &open {
        // Still open, and still logged in.
        session.stock().await?;
    }

    let each = ratio(after.saturating_sub(before), u64::try_from(others.len().max(1))?);
    report::table("Memory of a homeserver with idle logged-in connections", &["what", "KiB resident"]);
    report::row(&["no connection".to_owned(), number(ratio(empty, 1))]);
    report::row(&[format!("{} connections", open.len()), number(ratio(after, 1))]);
    report::row(&[format!("each of the last {}", others.len()), number(each)]);
    drop(open);
    domain.stop().await
}

/// Resumes sessions, each on a connection and socket of its own, and subscribes.
async fn connect(domain: &HomeDomain, tokens: &[[u8; 32]]) -> anyhow::Result<Vec<Session>> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    stream::iter(tokens)
        .map(|token| {
            let clock = Arc::clone(&clock);
            async move {
                let link = Rc::new(Link::dial(&domain.server()?, domain.name(), &clock).await?);
                let next = OsEntropy::new()?.bytes32();
                let (session, _) = session::resume(link, token, &next).await?;
                session.subscribe(capnp_rpc::new_client(Quiet)).await?;
                anyhow::Ok(session)
            }
        })
        .buffer_unordered(ABREAST)
        .try_collect()
        .await
}

/// An inbox into which nothing comes.
struct Quiet;

impl inbox::Server for Quiet {
    async fn deliver(self: Rc<Self>, _: inbox::DeliverParams) -> Result<(), capnp::Error> {
        Ok(())
    }

    async fn draining(
        self: Rc<Self>,
        _: inbox::DrainingParams,
        _: inbox::DrainingResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}
