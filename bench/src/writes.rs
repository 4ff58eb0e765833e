//! What a client writes to its disk for each message in a large group.

use anyhow::Context as _;
use qpq_client::Client;
use qpq_core::Address;

use crate::{domain::Domains, report::Report};

/// Messages that are counted.
const MESSAGES: u32 = 50;
const GROUP: &str = "many";

pub(crate) async fn measure(domains: &Domains, members: usize, report: &mut Report) -> anyhow::Result<()> {
    let (alice, _) = domains.user(&domains.alpha, "many-alice").await?;
    let (bob, bobs) = domains.user(&domains.alpha, "many-bob").await?;
    let mut addresses: Vec<Address> = vec![bobs];
    for n in 2..members {
        let (client, address) = domains.user(&domains.alpha, &format!("many-{n}")).await?;
        client.close().await;
        addresses.push(address);
    }
    alice.group_create(GROUP).await?;
    alice.group_add(GROUP, &addresses).await?;
    bob.sync().await?;
    alice.send(GROUP, "hello").await?;
    bob.sync().await?;

    let before = written()?;
    for n in 0..MESSAGES {
        alice.send(GROUP, &n.to_string()).await?;
    }
    let sent = written()? - before;
    report.figure(&format!("written per sent message, {members} members"), per_message(sent)?, "KiB");

    let mut received = 0;
    for n in 0..MESSAGES {
        alice.send(GROUP, &n.to_string()).await?;
        let before = written()?;
        bob.sync().await?;
        received += written()? - before;
    }
    report.figure(&format!("written per received message, {members} members"), per_message(received)?, "KiB");
    read_all(&bob).await?;
    alice.close().await;
    bob.close().await;
    Ok(())
}

/// Bytes that this process has handed to the disk.
fn written() -> anyhow::Result<u64> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:")).context("no write_bytes")?;
    Ok(line.trim().parse()?)
}

fn per_message(bytes: u64) -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(bytes / 1_024)?) / f64::from(MESSAGES))
}

async fn read_all(client: &Client) -> anyhow::Result<()> {
    let unread = client.unread(1_000).await?;
    anyhow::ensure!(unread.len() >= usize::try_from(MESSAGES)?, "only {} messages came", unread.len());
    Ok(())
}
