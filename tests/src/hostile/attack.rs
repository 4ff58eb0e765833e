//! What a bad peer does without end, from a thread of its own.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Context as _;
use capnp_rpc::{RpcSystem, rpc_twoparty_capnp::Side, twoparty};
use futures::future::join_all;
use qpq_schemas::federation_capnp::peering;
use qpq_transport::CloseCode;
use tokio::{sync::watch, task::LocalSet};
use tokio_util::compat::{TokioAsyncReadCompatExt as _, TokioAsyncWriteCompatExt as _};

use super::{Deaf, Impostor, Target, relay, rows};
use crate::wire;

/// Calls that it has under way at once.
const AT_ONCE: usize = 24;
/// Answers that it leaves unread on one link.
const UNREAD: usize = 20_000;
/// How long its first blow may take.
const SOON: Duration = Duration::from_secs(20);
/// How long it waits for one answer before it goes on.
const IMPATIENT: Duration = Duration::from_millis(500);

/// Kinds of misbehaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Introduces itself again and again.
    Hellos,
    /// Calls and never reads the answers.
    UnreadCalls,
    /// Sends rows whose header it didn't sign.
    BadSignatures,
    /// Sends as many valid rows as it can, all of them without meaning.
    Rows,
    /// Announces frames of 1 GiB.
    HugeFrames,
    /// Opens links and goes away.
    Links,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Hellos, Self::UnreadCalls, Self::BadSignatures, Self::Rows, Self::HugeFrames, Self::Links];
}

/// An attack under way.
#[derive(Debug)]
pub struct Attacker {
    stop: Arc<AtomicBool>,
    blows: watch::Receiver<u64>,
    thread: thread::JoinHandle<anyhow::Result<()>>,
}

impl Attacker {
    /// Begins: `as_peer` misbehaves towards `target` until it is ended.
    pub fn begin(attack: Attack, target: Target, as_peer: Impostor) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (count, blows) = watch::channel(0);
        let stopping = Arc::clone(&stop);
        let thread = thread::Builder::new().name("attacker".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let local = LocalSet::new();
            local.block_on(&runtime, async {
                let assault = Assault { attack, target, as_peer, count, stop: stopping };
                while !assault.is_over() {
                    // What ends one round is the other side's defence: there is another.
                    if assault.round().await.is_err() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            });
            anyhow::Ok(())
        })?;
        Ok(Self { stop, blows, thread })
    }

    /// Waits for its first blow.
    pub async fn has_begun(&self) -> anyhow::Result<()> {
        let mut blows = self.blows.clone();
        tokio::time::timeout(SOON, blows.wait_for(|blows| *blows > 0))
            .await
            .context("the attack did not begin")??;
        Ok(())
    }

    /// Ends it, and says how many blows there were.
    pub async fn end(self) -> anyhow::Result<u64> {
        self.stop.store(true, Ordering::Release);
        let ended = tokio::task::spawn_blocking(move || self.thread.join()).await?;
        ended.map_err(|_| anyhow::anyhow!("the attacker panicked"))??;
        let blows = *self.blows.borrow();
        Ok(blows)
    }
}

struct Assault {
    attack: Attack,
    target: Target,
    as_peer: Impostor,
    count: watch::Sender<u64>,
    stop: Arc<AtomicBool>,
}

impl Assault {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn struck(&self, blows: usize) {
        self.count.send_modify(|count| *count += u64::try_from(blows).unwrap_or(0));
    }

    /// Until the other side hangs up, or the attack is over.
    async fn round(&self) -> anyhow::Result<()> {
        match self.attack {
            Attack::Hellos => self.hellos().await,
            Attack::UnreadCalls => self.unread_calls().await,
            Attack::BadSignatures => self.bad_signatures().await,
            Attack::Rows => self.valid_rows().await,
            Attack::HugeFrames => self.huge_frame().await,
            Attack::Links => self.link_and_go().await,
        }
    }

    async fn hellos(&self) -> anyhow::Result<()> {
        let link = self.as_peer.dial(&self.target).await?;
        while !self.is_over() {
            let calls = (0..AT_ONCE).map(|_| self.as_peer.hello(link.peering()).send().promise);
            let answers = tokio::time::timeout(IMPATIENT, join_all(calls)).await?;
            self.struck(answers.len());
            answers.into_iter().find_map(Result::err).map_or(Ok(()), Err)?;
        }
        link.close().await;
        Ok(())
    }

    async fn unread_calls(&self) -> anyhow::Result<()> {
        let (endpoint, connection) = self.as_peer.connect(&self.target).await?;
        let (reader, writer) = connection.open_stream().await?;
        let deaf = Rc::new(Cell::new(false));
        let network = twoparty::VatNetwork::new(
            Deaf { inner: reader.compat(), deaf: Rc::clone(&deaf) },
            writer.compat_write(),
            Side::Client,
            capnp::message::ReaderOptions::new(),
        );
        let mut system = RpcSystem::new(Box::new(network), None);
        let peering: peering::Client = system.bootstrap(Side::Server);
        let running = tokio::task::spawn_local(system);
        let hello = wire::within(self.as_peer.hello(&peering).send().promise).await?;
        let link = hello.get()?.get_link()?;
        deaf.set(true);
        let mut waiting = Vec::new();
        while !self.is_over() && waiting.len() < UNREAD && !running.is_finished() {
            waiting.extend((0..AT_ONCE).map(|_| link.federation_health_request().send().promise));
            self.struck(AT_ONCE);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        running.abort();
        connection.close(CloseCode::Done, "done");
        endpoint.close(CloseCode::Done, "done", Duration::from_millis(200)).await;
        Ok(())
    }

    async fn bad_signatures(&self) -> anyhow::Result<()> {
        let (link, calls) = self.as_peer.link(&self.target).await?;
        let batch = [rows(9, 1, 64, 9, 1_024)?];
        let header = self.as_peer.sign(self.as_peer.domain(), &self.target.domain, &batch)?;
        while !self.is_over() {
            let sent = (0..AT_ONCE).map(|_| relay(&calls, &header, &[7; 64], &batch).send().promise);
            let answers = tokio::time::timeout(IMPATIENT, join_all(sent)).await?;
            self.struck(answers.len());
            answers.into_iter().find_map(Result::err).map_or(Ok(()), Err)?;
        }
        link.close().await;
        Ok(())
    }

    async fn valid_rows(&self) -> anyhow::Result<()> {
        let (link, calls) = self.as_peer.link(&self.target).await?;
        let mut next = [1_u64; 4];
        while !self.is_over() {
            let mut sent = Vec::new();
            for (stream, next) in (20..).zip(&mut next) {
                let batch = [rows(stream, *next, 256, stream, 512)?];
                *next += 256;
                let header = self.as_peer.sign(self.as_peer.domain(), &self.target.domain, &batch)?;
                sent.push(relay(&calls, &header, header.signature(), &batch).send().promise);
            }
            let answers = join_all(sent).await;
            self.struck(answers.len());
            for (answer, next) in answers.into_iter().zip(&mut next) {
                let answer = answer?;
                let answers = answer.get()?.get_answers()?;
                if let qpq_schemas::federation_capnp::stream_answer::ExpectSeq(expected) =
                    answers.get(0).which()?
                {
                    *next = expected;
                }
            }
        }
        link.close().await;
        Ok(())
    }

    async fn huge_frame(&self) -> anyhow::Result<()> {
        let (_endpoint, connection) = self.as_peer.connect(&self.target).await?;
        let (_reader, mut writer) = connection.open_stream().await?;
        // One segment of 2^27 words.
        let head = [0_u32.to_le_bytes(), (1_u32 << 27).to_le_bytes()].concat();
        writer.write_all(&head).await?;
        drop(writer.write_all(&vec![7; 256 * 1_024]).await);
        self.struck(1);
        tokio::time::timeout(IMPATIENT, connection.closed()).await?;
        Ok(())
    }

    async fn link_and_go(&self) -> anyhow::Result<()> {
        let link = self.as_peer.dial(&self.target).await?;
        self.struck(1);
        link.close().await;
        Ok(())
    }
}
