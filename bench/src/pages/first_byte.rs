//! A plain HTTP request, and how long its answer's first byte takes.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::stopwatch::Stopwatch;

/// How every answer that is fine begins.
const FINE: &[u8] = b"HTTP/1.1 200";

/// Asks on a connection of its own; anything but 200 is a failure.
pub(crate) async fn first_byte(address: SocketAddr, path: &str) -> anyhow::Result<Duration> {
    let mut connection = TcpStream::connect(address).await.context("the admin listener can't be reached")?;
    connection.set_nodelay(true)?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n", address.port());
    let watch = Stopwatch::start();
    connection.write_all(request.as_bytes()).await?;
    let mut answer = vec![connection.read_u8().await.context("the connection ended without an answer")?];
    let took = watch.elapsed();
    connection.read_to_end(&mut answer).await?;
    let head = String::from_utf8_lossy(answer.get(..120).unwrap_or(&answer)).into_owned();
    ensure!(answer.starts_with(FINE), "`{path}` was answered with: {head}");
    Ok(took)
}
