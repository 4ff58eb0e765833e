//! A client that calls and never reads the replies: flow control stops it, and the server's memory stays flat.

#![expect(clippy::future_not_send, reason = "a story is told on one thread")]

use std::{cell::Cell, rc::Rc, time::Duration};

use anyhow::{Context as _, ensure};
use capnp_rpc::{RpcSystem, rpc_twoparty_capnp::Side, twoparty};
use qpq_schemas::client_capnp::homeserver;
use qpq_tests::{HomeDomain, Resident, World, hostile::Deaf, story, wire};
use rustix::process::Signal;
use tokio_util::compat::{TokioAsyncReadCompatExt as _, TokioAsyncWriteCompatExt as _};

/// More calls than any window holds; each reply is larger than its call.
const CALLS: usize = 60_000;
/// How much a server may grow that holds back: windows, the calls of one gate, what the allocator keeps.
const FLAT_BYTES: u64 = 40 * 1024 * 1024;

struct Stalling {
    homeserver: homeserver::Client,
    deaf: Rc<Cell<bool>>,
    connection: qpq_transport::Connection,
    _endpoint: qpq_transport::Endpoint,
}

async fn stalling(domain: &HomeDomain) -> anyhow::Result<Stalling> {
    let (endpoint, connection) =
        wire::connect_client(&domain.client_address(), domain.name(), domain.pin()).await?;
    let (reader, writer) = connection.open_stream().await?;
    let deaf = Rc::new(Cell::new(false));
    let reader = Deaf { inner: reader.compat(), deaf: Rc::clone(&deaf) };
    let network = twoparty::VatNetwork::new(
        reader,
        writer.compat_write(),
        Side::Client,
        capnp::message::ReaderOptions::new(),
    );
    let mut system = RpcSystem::new(Box::new(network), None);
    let homeserver = system.bootstrap(Side::Server);
    drop(tokio::task::spawn_local(system));
    Ok(Stalling { homeserver, deaf, connection, _endpoint: endpoint })
}

/// The most that the server grew by while `calls` were thrown at it.
async fn grows(domain: &HomeDomain, mut call: impl AsyncFnMut()) -> anyhow::Result<u64> {
    let before = domain.resident_bytes()?;
    let mut most = before;
    for _ in 0..CALLS / 500 {
        for _ in 0..500 {
            call().await;
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
        most = most.max(domain.resident_bytes()?);
    }
    Ok(most - before)
}

async fn settled(world: &World) -> anyhow::Result<(HomeDomain, Resident)> {
    let alpha = world.domain("alpha").await?;
    let alice = Resident::register(world, "alice", &alpha).await?;
    alice.sleep().await;
    Ok((alpha, alice))
}

#[test]
fn an_unauthenticated_client_that_never_reads_does_not_fill_the_servers_memory() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, _alice) = settled(world).await?;
        let client = stalling(&alpha).await?;
        wire::within(client.homeserver.info_request().send().promise).await?;
        client.deaf.set(true);
        let mut waiting = Vec::with_capacity(CALLS);
        let grown =
            grows(&alpha, async || waiting.push(client.homeserver.info_request().send().promise)).await?;
        ensure!(grown < FLAT_BYTES, "the server grew by {} MiB", grown / 1024 / 1024);
        drop(waiting);
        client.connection.close(qpq_transport::CloseCode::Done, "done");
        alpha.info().await?;
        Ok(())
    })
}

#[test]
fn a_session_that_never_reads_does_not_fill_the_servers_memory() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, alice) = settled(world).await?;
        let client = stalling(&alpha).await?;
        let mut request = client.homeserver.resume_request();
        request.get().set_token(&alice.resumption_token().await?);
        let answer = wire::within(request.send().promise).await?;
        let session = answer.get()?.get_session()?;
        let account = session.account_request().send().pipeline.get_account();
        wire::within(account.show_request().send().promise).await?;
        client.deaf.set(true);
        let mut waiting = Vec::with_capacity(CALLS);
        let grown = grows(&alpha, async || waiting.push(account.show_request().send().promise)).await?;
        ensure!(grown < FLAT_BYTES, "the server grew by {} MiB", grown / 1024 / 1024);
        drop(waiting);
        client.connection.close(qpq_transport::CloseCode::Done, "done");
        alpha.info().await?;
        Ok(())
    })
}

#[test]
fn calls_beyond_the_cap_are_answered_with_overloaded() -> anyhow::Result<()> {
    story(async |world| {
        let (alpha, beta) = world.two_domains().await?;
        let alice = Resident::register(world, "alice", &alpha).await?;
        alice.sleep().await;
        let client = wire::Wire::dial(&alpha.client_address(), alpha.name(), alpha.pin()).await?;
        let resumed = client.resume(&alice.resumption_token().await?).await?;
        let resumed = resumed.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
        let directory = resumed.session.directory_request().send().pipeline.get_directory();
        // A frozen peer keeps every call waiting until its deadline.
        beta.signal(Signal::STOP)?;
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let mut request = directory.resolve_request();
                request.get().init_addresses(1).set(0, "bob@beta.test");
                request.send().promise
            })
            .collect();
        let answers = tokio::time::timeout(wire::DEADLINE, futures::future::join_all(calls)).await?;
        beta.signal(Signal::CONT)?;
        let (mut served, mut overloaded) = (0, 0);
        for answer in answers {
            match answer {
                Ok(_) => served += 1,
                Err(error) if error.kind == capnp::ErrorKind::Overloaded => overloaded += 1,
                Err(other) => return Err(other).context("only `overloaded` is an exception"),
            }
        }
        ensure!((served, overloaded) == (64, 36), "{served} were served, {overloaded} refused");
        client.close().await;
        Ok(())
    })
}
