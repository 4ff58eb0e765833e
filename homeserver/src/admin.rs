//! Verbs that act on the running homeserver: one call over `run/admin.sock`.

use std::{path::Path, time::Duration};

use qpq_core::{ErrorCode, RequestId};
use qpq_schemas::admin_capnp::admin;
use qpq_transport::{Rpc, RpcLimits};
use serde_json::Value;
use tokio::net::UnixStream;

/// How long a verb may take, `peer accept` with its dial included.
const DEADLINE: Duration = Duration::from_secs(30);

/// Why a verb was not performed; exit code 1.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// Nobody listens.
    #[error(
        "no homeserver is running on this data directory (no answer on `{path}`): start it with `qpq-server serve`"
    )]
    NotRunning {
        /// The socket.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("the homeserver did not answer")]
    Broken(#[from] capnp::Error),
    /// It took too long.
    #[error("the homeserver did not answer within {} s", DEADLINE.as_secs())]
    Deadline,
    /// The homeserver refused, in its own words.
    #[error("{text}")]
    Refused {
        /// The stable number.
        code: u16,
        /// For people.
        text: String,
    },
    /// The answer is not JSON: another version is running.
    #[error(
        "the homeserver answered in a form that this program does not know: do both have the same version?"
    )]
    Unreadable(#[source] serde_json::Error),
}

impl AdminError {
    /// 2 when the caller should write the command differently, else 1.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { code, .. } if *code == ErrorCode::Malformed.number() => 2,
            _ => 1,
        }
    }
}

/// Performs a verb whose result comes in pieces, each with a `text` and the `next` position to go on after.
pub(crate) async fn export(
    socket: &Path,
    verb: &str,
    arguments: &Value,
    write: fn(&str) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let mut arguments = arguments.clone();
    loop {
        let piece = perform(socket, verb, &arguments).await?;
        match write(piece.get("text").and_then(Value::as_str).unwrap_or_default()) {
            // Whoever read has seen enough (`| head`).
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
        match (piece.get("next"), arguments.as_object_mut()) {
            (Some(next), Some(arguments)) if !next.is_null() => {
                arguments.insert("after".to_owned(), next.clone());
            }
            _ => return Ok(()),
        }
    }
}

/// Performs one verb and returns its JSON result. Must run inside a `LocalSet`.
pub(crate) async fn perform(socket: &Path, verb: &str, arguments: &Value) -> Result<Value, AdminError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| AdminError::NotRunning { path: socket.to_owned(), source })?;
    let (reader, writer) = stream.into_split();
    let mut rpc = Rpc::calling(reader, writer, None, RpcLimits::admin());
    let admin: admin::Client = rpc.other_side();
    let connection = tokio::task::spawn_local(rpc.run());
    let mut request = admin.perform_request();
    request.get().set_verb(verb);
    request.get().set_arguments(arguments.to_string());
    let answer = tokio::time::timeout(DEADLINE, request.send().promise).await;
    connection.abort();
    let answer = answer.map_err(|_| AdminError::Deadline)??;
    let answer = answer.get()?;
    if answer.has_failure() {
        let failure = answer.get_failure()?;
        let (code, text) = (failure.get_code(), failure.get_text()?.to_string().unwrap_or_default());
        // From 500 on it is the homeserver's own trouble, and more is in its log.
        let text = match RequestId::from_slice(failure.get_request()?) {
            Some(request) if code >= 500 => format!("{text}; the log has more under {request}"),
            _ => text,
        };
        return Err(AdminError::Refused { code, text });
    }
    let text = answer.get_result()?.to_str().map_err(capnp::Error::from)?;
    serde_json::from_str(text).map_err(AdminError::Unreadable)
}
