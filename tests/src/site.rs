//! A web site of a test: it answers each path as it was told to, truly or not. And what a real one answers.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What is under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Another place.
    Moved(String),
    /// Nothing but a status.
    Status(u16),
    /// Bytes until nobody wants more.
    Endless,
}

/// The pages by their paths, which begin with a slash.
pub type Pages = BTreeMap<String, Page>;

/// The site; it ends with this value.
#[derive(Debug)]
pub struct Site {
    address: SocketAddr,
    pages: Arc<Mutex<Pages>>,
    serving: JoinHandle<()>,
}

impl Site {
    /// Opens on a port of its own.
    pub async fn open(pages: Pages) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, pages) = (listener.local_addr()?, Arc::new(Mutex::new(pages)));
        let shown = Arc::clone(&pages);
        let serving = tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever hangs up within an answer has seen enough.
                answer(stream, &shown).await.ok();
            }
        });
        Ok(Self { address, pages, serving })
    }

    /// Its address as a URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Shows other pages from now on.
    pub fn show(&self, pages: Pages) {
        *self.pages.lock().unwrap_or_else(PoisonError::into_inner) = pages;
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(mut stream: TcpStream, pages: &Mutex<Pages>) -> std::io::Result<()> {
    let mut asked = Vec::new();
    while !asked.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut asked).await? == 0 {
            return Ok(());
        }
    }
    let asked = String::from_utf8_lossy(&asked).into_owned();
    let path = asked.split(' ').nth(1).unwrap_or_default();
    let page = pages.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
    let (head, body) = match page.unwrap_or(Page::Status(404)) {
        Page::Bytes(bytes) => (format!("200 Here\r\nContent-Length: {}", bytes.len()), bytes),
        Page::Moved(place) => (format!("302 There\r\nContent-Length: 0\r\nLocation: {place}"), vec![]),
        Page::Status(status) => (format!("{status} No\r\nContent-Length: 0"), vec![]),
        Page::Endless => ("200 Here".to_owned(), vec![b'x'; 1 << 16]),
    };
    let endless = !head.contains("Content-Length");
    stream.write_all(format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    stream.write_all(&body).await?;
    if endless {
        loop {
            stream.write_all(&body).await?;
        }
    }
    stream.shutdown().await
}

/// What a server has under a path, if it has something.
pub async fn fetch(server: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("the answer has no end")?;
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{path}: {}", String::from_utf8_lossy(&answer));
    Ok(answer.split_off(end + 4))
}
