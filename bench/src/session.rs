//! A session spoken by hand: submits of opaque payloads, and an inbox that counts, acknowledges and then returns.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use qpq_core::{GroupId, SystemClock};
use qpq_schemas::client_capnp::{delivery, groups, homeserver, inbox, mailbox, session, submit_answer};
use qpq_transport::{
    CloseCode, Connection, DialTls, Endpoint, Offload, Profile, Rpc, RpcLimits, ServerTrust,
};
use tokio::{sync::mpsc, time::Instant};

use crate::domain::HomeDomain;

const DEADLINE: Duration = Duration::from_mins(1);
/// How many deliveries an observer may lag behind.
const OBSERVED: usize = 65_536;

/// One connection with one session.
pub(crate) struct Session {
    connection: Connection,
    _endpoint: Endpoint,
    driver: tokio::task::JoinHandle<()>,
    capability: session::Client,
    /// Opens the next session of the same device.
    pub(crate) next: Vec<u8>,
}

impl Session {
    /// Uses up a resumption token.
    pub(crate) async fn resume(domain: &HomeDomain, token: &[u8]) -> anyhow::Result<Self> {
        let endpoint = Endpoint::dialler("127.0.0.1:0".parse()?, Offload::On)?;
        Self::resume_on(endpoint, domain, token).await
    }

    /// The same, on a socket that others use as well.
    pub(crate) async fn resume_on(
        endpoint: Endpoint,
        domain: &HomeDomain,
        token: &[u8],
    ) -> anyhow::Result<Self> {
        let tls = DialTls::client(&domain.name, &ServerTrust::Pin(domain.pin), Arc::new(SystemClock));
        let to: SocketAddr = domain.address.parse()?;
        let connection = endpoint.dial(to, &tls, Profile::Client, DEADLINE).await?;
        let (reader, writer) = connection.open_stream().await?;
        let mut rpc = Rpc::calling(reader, writer, None, RpcLimits::client());
        let homeserver: homeserver::Client = rpc.other_side();
        let driver = tokio::task::spawn_local(async move {
            rpc.run().await.ok();
        });
        let mut request = homeserver.resume_request();
        request.get().set_token(token);
        let answer = tokio::time::timeout(DEADLINE, request.send().promise).await??;
        let answer = answer.get()?;
        ensure!(!answer.has_failure(), "resume: {:?}", answer.get_failure()?.get_text()?);
        let (session, next) = (answer.get_session()?, answer.get_grant()?.get_resumption_token()?.to_vec());
        Ok(Self { connection, _endpoint: endpoint, driver, capability: session, next })
    }

    /// Submits messages here.
    pub(crate) fn groups(&self) -> groups::Client {
        self.capability.groups_request().send().pipeline.get_groups()
    }

    /// Has everything pushed; each message of the right length is observed after its acknowledgement.
    pub(crate) async fn observe(&self) -> anyhow::Result<mpsc::Receiver<Delivered>> {
        let mailbox = self.capability.mailbox_request().send().pipeline.get_mailbox();
        let (seen, observer) = mpsc::channel(OBSERVED);
        let mut request = mailbox.subscribe_request();
        request.get().set_inbox(capnp_rpc::new_client(Observing { mailbox: mailbox.clone(), seen }));
        let answer = tokio::time::timeout(DEADLINE, request.send().promise).await??;
        ensure!(!answer.get()?.has_failure(), "subscribe was refused");
        Ok(observer)
    }

    /// Waits until the server has answered something.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let account = self.capability.account_request().send().pipeline.get_account();
        tokio::time::timeout(DEADLINE, account.show_request().send().promise).await??;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.close(CloseCode::Done, "done");
        self.driver.abort();
    }
}

/// A message that was delivered and acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    /// Its id.
    pub(crate) id: [u8; 16],
    /// When its acknowledgement was answered.
    pub(crate) at: Instant,
}

/// The receiver's inbox.
struct Observing {
    mailbox: mailbox::Client,
    seen: mpsc::Sender<Delivered>,
}

impl inbox::Server for Observing {
    async fn deliver(self: Rc<Self>, params: inbox::DeliverParams) -> Result<(), capnp::Error> {
        let deliveries = params.get()?.get_deliveries()?;
        let mut request = self.mailbox.acknowledge_request();
        let mut positions = request.get().init_positions(deliveries.len());
        let mut ids = Vec::new();
        for (n, delivery) in (0..).zip(deliveries) {
            positions.set_with_caveats(n, delivery.get_position()?)?;
            if let Ok(delivery::Application(message)) = delivery.which() {
                ids.extend(<[u8; 16]>::try_from(message?.get_id()?).ok());
            }
        }
        request.send().promise.await?;
        let at = Instant::now();
        for id in ids {
            self.seen.send(Delivered { id, at }).await.ok();
        }
        Ok(())
    }
}

/// What a device hands over: a frame that looks like an MLS `PrivateMessage` (RFC 9420, section 6) and opens to nobody.
pub(crate) fn opaque_message(group: &GroupId, epoch: u64, payload: usize) -> Vec<u8> {
    let group = group.to_bytes();
    let mut message = vec![0, 1, 0, 2];
    put(&mut message, &group);
    message.extend_from_slice(&epoch.to_be_bytes());
    message.push(1);
    put(&mut message, &[]);
    put(&mut message, &[5; 28]);
    put(&mut message, &vec![6; payload]);
    message
}

/// A vector with its length as RFC 9420, section 2.1.2 writes it.
fn put(message: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(0x3fff_ffff);
    match length {
        0..=63 => message.extend_from_slice(&length.to_be_bytes()[3..]),
        64..=16_383 => message.extend_from_slice(&(length | 0x4000).to_be_bytes()[2..]),
        _ => message.extend_from_slice(&(length | 0x8000_0000).to_be_bytes()),
    }
    message.extend_from_slice(bytes);
}

/// Submits one list and checks that each message was accepted.
pub(crate) async fn submit(
    groups: &groups::Client,
    group: &GroupId,
    message: &[u8],
    ids: &[[u8; 16]],
) -> anyhow::Result<()> {
    let mut request = groups.submit_request();
    let mut list = request.get().init_messages(u32::try_from(ids.len())?);
    for (n, id) in (0..).zip(ids) {
        let mut item = list.reborrow().get(n);
        item.set_id(id);
        item.set_group(&group.to_bytes());
        item.set_message(message);
    }
    let answer = tokio::time::timeout(DEADLINE, request.send().promise).await.context("a submit hangs")??;
    let answer = answer.get()?;
    ensure!(!answer.has_failure(), "submit: {:?}", answer.get_failure()?.get_text()?);
    for answer in answer.get_answers()? {
        if let submit_answer::Failure(failure) = answer.which()? {
            anyhow::bail!("submit: {:?}", failure?.get_text()?);
        }
    }
    Ok(())
}
