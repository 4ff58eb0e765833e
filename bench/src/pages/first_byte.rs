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

/// An answer.
pub(crate) struct Answer {
    /// How long its first byte took.
    pub(crate) took: Duration,
    /// Its bytes, head and body.
    pub(crate) size: usize,
}

/// Asks on a connection of its own, with `headers` as they stand in a request; anything but 200 is a failure.
pub(crate) async fn first_byte(address: SocketAddr, path: &str, headers: &str) -> anyhow::Result<Answer> {
    let mut connection = TcpStream::connect(address).await.context("the admin listener can't be reached")?;
    connection.set_nodelay(true)?;
    let port = address.port();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{headers}Connection: close\r\n\r\n");
    let watch = Stopwatch::start();
    connection.write_all(request.as_bytes()).await?;
    let mut answer = vec![connection.read_u8().await.context("the connection ended without an answer")?];
    let took = watch.elapsed();
    connection.read_to_end(&mut answer).await?;
    let head = String::from_utf8_lossy(answer.get(..120).unwrap_or(&answer)).into_owned();
    ensure!(answer.starts_with(FINE), "`{path}` was answered with: {head}");
    Ok(Answer { took, size: answer.len() })
}
