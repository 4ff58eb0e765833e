//! A bare QUIC echo on loopback with the product's TLS and socket settings: 1 KiB there and back, pipelined and in turn.

use std::{num::NonZeroUsize, rc::Rc, sync::Arc, time::Duration};

use qpq_core::{Clock as _, Domain, SystemClock};
use qpq_transport::{
    AcceptLimits, CertificateAuthority, CloseCode, Connection, DialTls, Endpoint, Handler, Leaf, ListenerTls,
    Offload, Profile, ServerTrust, WorkerContext, Workers,
};

use crate::stopwatch::Stopwatch;

const PAYLOAD: usize = 1_024;
const DEADLINE: Duration = Duration::from_secs(10);

/// What an echo can do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    /// Payloads of 1 KiB per second, many under way.
    pub(crate) pipelined: f64,
    /// Round trips per second, one under way.
    pub(crate) in_turn: f64,
}

struct EchoHandler;

impl Handler for EchoHandler {
    async fn serve(self: Rc<Self>, connection: Connection, _: WorkerContext) {
        let Ok((mut recv, mut send)) = connection.accept_stream(DEADLINE).await else { return };
        let mut buffer = vec![0; 64 * 1_024];
        while let Ok(Some(count)) = recv.read(&mut buffer).await {
            let Some(bytes) = buffer.get(..count) else { break };
            if send.write_all(bytes).await.is_err() {
                break;
            }
        }
        send.finish().ok();
        // Dropping the connection would cut off what is still on its way.
        connection.closed().await;
    }
}

/// Measures both for about `span` each.
pub(crate) async fn rate(span: Duration) -> anyhow::Result<Echo> {
    let domain: Domain = "bench.test".parse()?;
    let now = SystemClock.now();
    let authority = CertificateAuthority::generate(&domain, now)?;
    let leaf = Leaf::new(&authority.issue(&domain, now, 1)?)?;
    let listener = Endpoint::listen(
        ([127, 0, 0, 1], 0).into(),
        &ListenerTls::client(&leaf)?,
        Profile::Client,
        Offload::On,
    )?;
    let workers = Workers::start(NonZeroUsize::MIN)?;
    workers.serve(&listener, AcceptLimits::default(), |_| EchoHandler).await?;
    let dialler = Endpoint::dialler(([127, 0, 0, 1], 0).into(), Offload::On)?;
    let tls = DialTls::client(&domain, &ServerTrust::Pin(authority.pin()), Arc::new(SystemClock));
    let connection = dialler.dial(listener.local_addr(), &tls, Profile::Client, DEADLINE).await?;
    let (mut recv, mut send) = connection.open_stream().await?;

    let payload = [0x5a_u8; PAYLOAD];
    let mut back = [0_u8; PAYLOAD];
    let watch = Stopwatch::start();
    let mut rounds = 0_u32;
    while watch.elapsed() < span {
        send.write_all(&payload).await?;
        recv.read_exact(&mut back).await?;
        rounds += 1;
    }
    let in_turn = f64::from(rounds) / watch.seconds();

    let watch = Stopwatch::start();
    let writing = async {
        let mut sent = 0_u32;
        while watch.elapsed() < span {
            send.write_all(&payload).await?;
            sent += 1;
        }
        send.finish()?;
        anyhow::Ok(sent)
    };
    let reading = async {
        let mut buffer = vec![0; 64 * 1_024];
        let mut bytes = 0_usize;
        loop {
            let Some(count) = recv.read(&mut buffer).await? else { return anyhow::Ok(bytes) };
            bytes += count;
        }
    };
    let (_, bytes) = tokio::try_join!(writing, reading)?;
    let pipelined = f64::from(u32::try_from(bytes / PAYLOAD)?) / watch.seconds();
    connection.close(CloseCode::Done, "measured");
    workers.stop(Duration::from_secs(2)).await;
    Ok(Echo { pipelined, in_turn })
}
