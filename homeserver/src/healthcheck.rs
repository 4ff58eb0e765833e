//! `qpq-server healthcheck`: asks the running homeserver's `/readyz`, as a container's supervisor would with another
//! program in the image.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail};

use crate::data_dir::DataDir;

/// An answer that takes longer is no answer.
const DEADLINE: Duration = Duration::from_secs(4);

/// The first line of the answer if it is ready; else the error.
pub(crate) fn run(directory: &DataDir) -> anyhow::Result<String> {
    let file = directory.admin_address();
    let address: SocketAddr = std::fs::read_to_string(&file)
        .with_context(|| {
            format!("no homeserver is running on this data directory (no `{}`)", file.display())
        })?
        .trim()
        .parse()
        .with_context(|| format!("`{}` holds no address", file.display()))?;
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)
        .with_context(|| format!("the homeserver does not answer on {address}"))?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer).context("the homeserver's answer broke off")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the homeserver's answer can't be read")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    let word = body.trim().to_owned();
    if status == "200" { Ok(word) } else { bail!("not ready: {word} (status {status})") }
}
