//! Serving what is bound, until it is stopped: nobody new, who is there finishes.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use axum_server::Handle;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::{Bound, places::Places};

/// The head of a request may take this long, and so may a connection until its first one is there.
const HEAD: Duration = Duration::from_secs(10);
/// Connections at once to one site; descriptors are left for clients, peers and the database.
const CONNECTIONS: usize = 256;
/// The longest head, in bytes, and the most headers.
const HEAD_BYTES: usize = 32 * 1024;
const HEADERS: usize = 64;

/// Sockets and what they serve.
#[derive(Debug)]
pub struct Site {
    /// The sockets.
    pub bound: Bound,
    /// What they serve.
    pub router: Router,
}

/// Sites that are being served.
#[derive(Debug)]
pub struct Sites {
    handle: Handle<SocketAddr>,
    tasks: TaskTracker,
}

impl Sites {
    /// Begins to serve.
    pub fn serve(sites: Vec<Site>) -> std::io::Result<Self> {
        let (handle, tasks) = (Handle::new(), TaskTracker::new());
        for Site { bound, router } in sites {
            let places = Places::new(CONNECTIONS);
            for listener in bound.listeners {
                let service = router.clone().into_make_service_with_connect_info::<SocketAddr>();
                // HTTP/1 alone: who says nothing is never asked which version it speaks, and HTTP/2 has no time limits.
                let mut server = axum_server::from_tcp(listener)?
                    .handle(handle.clone())
                    .http1_only()
                    .first_request_timeout(HEAD)
                    .acceptor(places.clone());
                server
                    .http_builder()
                    .http1()
                    .header_read_timeout(HEAD)
                    .max_buf_size(HEAD_BYTES)
                    .max_headers(HEADERS);
                drop(tasks.spawn(async move {
                    if let Err(error) = server.serve(service).await {
                        warn!(%error, "a TCP listener ended");
                    }
                }));
            }
        }
        tasks.close();
        Ok(Self { handle, tasks })
    }

    /// Ends connections as soon as they are idle, and all of them after `within`.
    pub async fn stop(self, within: Duration) {
        self.handle.graceful_shutdown(Some(within));
        self.tasks.wait().await;
    }
}
