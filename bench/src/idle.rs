//! What an idle, logged-in connection costs the server.

use std::time::Duration;

use anyhow::ensure;
use qpq_transport::{Endpoint, Offload};

use crate::{domain::Domains, session::Session};

/// Connections per UDP socket of ours.
const PER_SOCKET: usize = 100;
/// Sessions per device, so that no device holds them all.
const PER_DEVICE: usize = 50;

/// KiB of resident memory per connection.
pub(crate) async fn measure(domains: &Domains, connections: usize) -> anyhow::Result<f64> {
    let alpha = &domains.alpha;
    let mut tokens = Vec::new();
    for n in 0..connections.div_ceil(PER_DEVICE) {
        let (client, _) = domains.user(alpha, &format!("idle-{n}")).await?;
        tokens.push(client.resumption_token().await?.expose().to_vec());
        client.close().await;
    }
    let before = alpha.resident_bytes()?;
    let mut open: Vec<Session> = Vec::with_capacity(connections);
    let mut endpoint = Endpoint::dialler("127.0.0.1:0".parse()?, Offload::On)?;
    'devices: for token in tokens {
        let mut token = token;
        for _ in 0..PER_DEVICE {
            if open.len() == connections {
                break 'devices;
            }
            if open.len().is_multiple_of(PER_SOCKET) {
                endpoint = Endpoint::dialler("127.0.0.1:0".parse()?, Offload::On)?;
            }
            let session = Session::resume_on(endpoint.clone(), alpha, &token).await?;
            session.settle().await?;
            token.clone_from(&session.next);
            open.push(session);
        }
    }
    // What handshakes needed has been given back by now.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = alpha.resident_bytes()?;
    let mut alive = 0_u32;
    for session in &open {
        alive += u32::from(session.settle().await.is_ok());
    }
    ensure!(usize::try_from(alive)? == connections, "{alive} of {connections} connections are still open");
    let grown = u32::try_from(after.saturating_sub(before) / 1_024)?;
    Ok(f64::from(grown) / f64::from(alive))
}
