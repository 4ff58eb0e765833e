//! What the machine can do without us: flushes, a bare group-commit loop, a bare QUIC echo.

use std::{fs::File, io::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use qpq_core::{Clock as _, SystemClock};
use qpq_transport::{
    AcceptLimits, CertificateAuthority, Connection, DialTls, Endpoint, Handler, Leaf, ListenerTls, Offload,
    Profile, ServerTrust, WorkerContext, Workers,
};
use sqlx::{
    ConnectOptions as _, Connection as _, QueryBuilder, Sqlite,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::Instant;

use crate::report::Report;

const PAYLOAD: usize = 1_024;
const SPAN: Duration = Duration::from_secs(3);
/// Rows per transaction, as many as the server's writer takes at once.
const GROUP: usize = 256;
/// Messages under way in the echo.
const WINDOW: usize = 64;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    report.figure(
        "flushes (fsync of one 4 KiB page)",
        flushes(&directory.path().join("flush"))?,
        "per second",
    );
    let rows = group_commits(&directory.path().join("bare.db")).await?;
    report.figure("rows of 1 KiB by group commit of 256, SQLCipher, FULL", rows, "per second");
    report.figure("QUIC echoes of 1 KiB on one stream, 64 under way", echo().await?, "per second");
    Ok(())
}

fn flushes(path: &std::path::Path) -> anyhow::Result<f64> {
    let mut file = File::create(path)?;
    let (begin, mut count) = (Instant::now(), 0_u32);
    while begin.elapsed() < SPAN {
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}

async fn group_commits(path: &std::path::Path) -> anyhow::Result<f64> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .pragma("key", format!("\"x'{}'\"", "5a".repeat(32)))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    sqlx::query(
        "CREATE TABLE rows (id INTEGER PRIMARY KEY, stream BLOB NOT NULL, payload BLOB NOT NULL) STRICT",
    )
    .execute(&mut connection)
    .await?;
    let (begin, mut count) = (Instant::now(), 0_u32);
    while begin.elapsed() < SPAN {
        let mut transaction = connection.begin().await?;
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO rows (stream, payload) ");
        insert.push_values(0..GROUP, |mut row, _| {
            row.push_bind(vec![1_u8; 16]).push_bind(vec![2_u8; PAYLOAD]);
        });
        insert.build().execute(&mut *transaction).await?;
        transaction.commit().await?;
        count += u32::try_from(GROUP)?;
    }
    let rate = f64::from(count) / begin.elapsed().as_secs_f64();
    connection.close().await?;
    Ok(rate)
}

/// Sends back what comes.
struct Echo;

impl Handler for Echo {
    async fn serve(self: std::rc::Rc<Self>, connection: Connection, _context: WorkerContext) {
        let Ok((mut reader, mut writer)) = connection.accept_stream(Duration::from_secs(10)).await else {
            return;
        };
        let mut buffer = vec![0; 64 * 1_024];
        while let Ok(Some(length)) = reader.read(&mut buffer).await {
            if writer.write_all(buffer.get(..length).unwrap_or_default()).await.is_err() {
                return;
            }
        }
    }
}

async fn echo() -> anyhow::Result<f64> {
    let (domain, now) = ("bench.test".parse()?, SystemClock.now());
    let authority = CertificateAuthority::generate(&domain, now)?;
    let leaf = Leaf::new(&authority.issue(&domain, now, 1)?)?;
    let any: SocketAddr = "127.0.0.1:0".parse()?;
    let listener = Endpoint::listen(any, &ListenerTls::client(&leaf)?, Profile::Client, Offload::On)?;
    let workers = Workers::start(std::num::NonZeroUsize::MIN)?;
    workers.serve(&listener, AcceptLimits::default(), |_| Echo).await?;

    let dialler = Endpoint::dialler(any, Offload::On)?;
    let trust = ServerTrust::Pin(authority.pin());
    let tls = DialTls::client(&domain, &trust, Arc::new(SystemClock));
    let connection =
        dialler.dial(listener.local_addr(), &tls, Profile::Client, Duration::from_secs(10)).await?;
    let (mut reader, mut writer) = connection.open_stream().await?;
    let (begin, message) = (Instant::now(), vec![3_u8; PAYLOAD]);
    let mut back = vec![0_u8; PAYLOAD * WINDOW];
    let mut count = 0_u32;
    for _ in 0..WINDOW {
        writer.write_all(&message).await?;
    }
    while begin.elapsed() < SPAN {
        let half = back.get_mut(..PAYLOAD * WINDOW / 2).context("the window is even")?;
        reader.read_exact(half).await?;
        for _ in 0..WINDOW / 2 {
            writer.write_all(&message).await?;
            count += 1;
        }
    }
    let rate = f64::from(count) / begin.elapsed().as_secs_f64();
    connection.close(qpq_transport::CloseCode::Done, "done");
    workers.stop(Duration::from_secs(5)).await;
    Ok(rate)
}
