//! The worker threads: where things run, what is refused, and that stopping waits for what is under way.

#![expect(clippy::unwrap_used, reason = "the functions around the tests are tests too")]
#![expect(clippy::future_not_send, reason = "handlers live on one thread")]

use std::{net::SocketAddr, num::NonZeroUsize, rc::Rc, sync::Arc, time::Duration};

use qpq_core::{Domain, ManualClock, Timestamp};
use qpq_transport::{
    AcceptLimits, CertificateAuthority, Connection, DialError, DialTls, Endpoint, Handler, Leaf, ListenerTls,
    Listening, Offload, Profile, ServerTrust, WorkerContext, Workers, WorkersStopped,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const SOON: Duration = Duration::from_secs(10);

struct Home {
    endpoint: Endpoint,
    tls: DialTls,
    workers: Workers,
    listening: Listening,
}

impl Home {
    async fn serving<H: Handler>(
        limits: AcceptLimits,
        make: impl Fn(&WorkerContext) -> H + Send + Sync + 'static,
    ) -> Self {
        let domain: Domain = "alpha.test".parse().unwrap();
        let authority = CertificateAuthority::generate(&domain, NOW).unwrap();
        let leaf = Leaf::new(&authority.issue(&domain, NOW, 30).unwrap()).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let tls = ListenerTls::client(&leaf).unwrap();
        let endpoint = Endpoint::listen(any, &tls, Profile::Client, Offload::On).unwrap();
        let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
        let listening = workers.serve(&endpoint, limits, make).await.unwrap();
        let tls =
            DialTls::client(&domain, &ServerTrust::Pin(authority.pin()), Arc::new(ManualClock::at(NOW)));
        Self { endpoint, tls, workers, listening }
    }

    async fn dial(&self) -> Result<Connection, DialError> {
        let dialler = Endpoint::dialler("127.0.0.1:0".parse().unwrap(), Offload::Off).unwrap();
        dialler.dial(self.endpoint.local_addr(), &self.tls, Profile::Client, SOON).await
    }
}

/// Says on which thread it serves, and stays until told.
struct Stays {
    came: mpsc::Sender<String>,
    leave: CancellationToken,
}

impl Handler for Stays {
    async fn serve(self: Rc<Self>, connection: Connection, context: WorkerContext) {
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        assert_eq!(thread, format!("worker-{}", context.index()));
        self.came.send(thread).await.unwrap();
        tokio::select! {
            _ = connection.closed() => (),
            () = async { context.stopping().cancelled().await; self.leave.cancelled().await } => (),
        }
    }
}

fn stays() -> (impl Fn(&WorkerContext) -> Stays, mpsc::Receiver<String>, CancellationToken) {
    let (came, who) = mpsc::channel(8);
    let leave = CancellationToken::new();
    let for_them = leave.clone();
    (move |_: &WorkerContext| Stays { came: came.clone(), leave: for_them.clone() }, who, leave)
}

#[tokio::test]
async fn connections_are_spread_over_the_threads() {
    let (make, mut who, _leave) = stays();
    let home = Home::serving(AcceptLimits::default(), make).await;
    let connections = [home.dial().await.unwrap(), home.dial().await.unwrap()];
    let mut threads = [who.recv().await.unwrap(), who.recv().await.unwrap()];
    threads.sort();
    assert_eq!(threads, ["worker-0", "worker-1"]);
    assert_eq!(home.workers.connections(), connections.len());
}

#[tokio::test]
async fn the_connection_beyond_the_cap_is_refused_and_has_room_when_one_left() {
    let (make, mut who, _leave) = stays();
    let home = Home::serving(AcceptLimits { connections: 1, handshake: SOON }, make).await;
    let first = home.dial().await.unwrap();
    who.recv().await.unwrap();
    let error = home.dial().await.unwrap_err();
    assert!(matches!(error, DialError::Refused { .. }), "{error}");
    first.close(qpq_transport::CloseCode::Done, "");
    // The place becomes free when the handler has returned, a moment after the close.
    let again = async {
        loop {
            match home.dial().await {
                Err(DialError::Refused { .. }) => tokio::task::yield_now().await,
                other => break other.unwrap(),
            }
        }
    };
    tokio::time::timeout(SOON, again).await.unwrap();
}

#[tokio::test]
async fn stopping_refuses_newcomers_waits_for_the_others_and_tells_them() {
    let (make, mut who, leave) = stays();
    let home = Home::serving(AcceptLimits::default(), make).await;
    let connection = home.dial().await.unwrap();
    who.recv().await.unwrap();
    home.workers.drain();
    let error = home.dial().await.unwrap_err();
    assert!(matches!(error, DialError::Refused { .. }), "{error}");
    assert!(!connection.is_closed());
    leave.cancel();
    assert_eq!(home.workers.stop(SOON).await.abandoned, 0);
    tokio::time::timeout(SOON, connection.closed()).await.unwrap();
    assert_eq!(home.workers.spawn(None, |_| async {}).await, Err(WorkersStopped));
}

#[tokio::test]
async fn a_listener_drains_alone_and_its_newcomers_are_told_why() {
    let (make, mut who, leave) = stays();
    let home = Home::serving(AcceptLimits::default(), make).await;
    let connection = home.dial().await.unwrap();
    who.recv().await.unwrap();
    assert_eq!(home.listening.drain(Duration::from_millis(20)).await, 1, "one stays until it is told");
    // A newcomer gets as far as the handler, which is where reasons come from.
    let newcomer = home.dial().await.unwrap();
    who.recv().await.unwrap();
    // Draining cuts nobody; a connection ends with its handler.
    assert!(!connection.is_closed() && !newcomer.is_closed());
    leave.cancel();
    assert_eq!(home.listening.drain(SOON).await, 0);
    assert_eq!(home.workers.run(None, |_| async { 7 }).await, Ok(7), "everything else goes on");
    assert_eq!(home.workers.stop(SOON).await.abandoned, 0);
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever_and_gives_a_reason() {
    let (make, mut who, _leave) = stays();
    let home = Home::serving(AcceptLimits::default(), make).await;
    let connection = home.dial().await.unwrap();
    who.recv().await.unwrap();
    assert_eq!(home.workers.stop(Duration::from_millis(50)).await.abandoned, 1);
    assert_eq!(tokio::time::timeout(SOON, connection.closed()).await.unwrap(), "stopping");
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up() {
    let (make, _who, _leave) = stays();
    let handshake = Duration::from_millis(50);
    let home = Home::serving(AcceptLimits { connections: 4, handshake }, make).await;
    // The first packet of a dial whose answers nobody hears.
    let (sink, relay) = (std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), home.endpoint.local_addr());
    let dialler = Endpoint::dialler("127.0.0.1:0".parse().unwrap(), Offload::Off).unwrap();
    let to = sink.local_addr().unwrap();
    let dial = dialler.dial(to, &home.tls, Profile::Client, Duration::from_millis(300));
    let pass_on = tokio::task::spawn_blocking(move || {
        let mut packet = [0; 2_048];
        let length = sink.recv(&mut packet).unwrap();
        sink.send_to(&packet[..length], relay).unwrap();
    });
    assert!(dial.await.is_err());
    pass_on.await.unwrap();
    assert_eq!(home.workers.stop(SOON).await.abandoned, 0);
}

#[tokio::test]
async fn a_future_that_is_not_send_runs_on_the_chosen_thread() {
    let workers = Workers::start(NonZeroUsize::new(2).unwrap()).unwrap();
    let name = workers
        .run(Some(1), |context| async move {
            let here = Rc::new(context.index());
            tokio::task::yield_now().await;
            (*here, std::thread::current().name().map(str::to_owned))
        })
        .await;
    assert_eq!(name, Ok((1, Some("worker-1".to_owned()))));
    assert_eq!(workers.stop(SOON).await.abandoned, 0);
}

#[tokio::test]
async fn a_panic_ends_one_task_and_not_the_thread() {
    let workers = Workers::start(NonZeroUsize::MIN).unwrap();
    let lost: Result<(), _> = workers.run(None, |_| async { panic!("on purpose") }).await;
    assert_eq!(lost, Err(WorkersStopped));
    assert_eq!(workers.run(None, |_| async { 7 }).await, Ok(7));
    assert_eq!(workers.stop(SOON).await.abandoned, 0);
}
