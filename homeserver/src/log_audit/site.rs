//! Files of a site that nobody trusts, over HTTP: bounded in size, time and redirects.
//!
//! Authorities are those of this machine (`SSL_CERT_FILE` and `SSL_CERT_DIR` count). A TLS certificate says only that the
//! bytes come from there; whether they are the log's, its signature says. No proxy is asked.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use rustls::crypto::aws_lc_rs;
use ureq::{
    Agent, Error,
    http::Uri,
    tls::{Certificate, RootCerts, TlsConfig},
};

/// The whole time of one answer.
const DEADLINE: Duration = Duration::from_secs(30);
const CONNECTED_IN: Duration = Duration::from_secs(10);
const REDIRECTS: u32 = 3;

/// Where a log is published: an `http` or `https` URL, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogPlace {
    url: String,
    tls: bool,
}

/// A text is no such place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give an http or https URL without user, query and fragment, such as `https://alpha.example/kt/v1`")]
pub(crate) struct NoPlace;

impl FromStr for LogPlace {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let url: Uri = text.parse().map_err(|_| NoPlace)?;
        let tls = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(NoPlace),
        };
        if url.host().is_none_or(str::is_empty) || text.contains(['@', '?', '#']) {
            return Err(NoPlace);
        }
        Ok(Self { url: text.trim_end_matches('/').to_owned(), tls })
    }
}

impl fmt::Display for LogPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// What is under a path.
#[derive(Debug)]
pub(super) enum Got {
    /// These bytes.
    Found(Vec<u8>),
    /// Nothing: 404, 410, or 400 where a server takes the path for none.
    Nothing,
    /// More than may be there; the rest was not read.
    TooLong,
}

/// Why it can't be known what is there.
#[derive(Debug, thiserror::Error)]
pub(super) enum SiteError {
    /// No answer, or none that can be read.
    #[error("`{url}` can't be read; look whether the address is right and the server runs, then try again")]
    Unreadable {
        /// What was asked for.
        url: String,
        /// Why.
        source: Box<Error>,
    },
    /// An answer that says neither yes nor no.
    #[error("`{url}` was answered with status {status}; try again later, or ask the domain's admin")]
    Status {
        /// What was asked for.
        url: String,
        /// The answer.
        status: u16,
    },
    /// This machine trusts nobody.
    #[error("this machine has no certificate authorities to check `{0}` by: install `ca-certificates`")]
    NoAuthorities(LogPlace),
}

/// A place, and the connection to it.
#[derive(Debug)]
pub(super) struct Site {
    place: LogPlace,
    agent: Agent,
}

impl Site {
    /// Connects to nothing yet.
    pub(super) fn new(place: LogPlace) -> Result<Self, SiteError> {
        let trusted = rustls_native_certs::load_native_certs().certs;
        if place.tls && trusted.is_empty() {
            return Err(SiteError::NoAuthorities(place));
        }
        let authorities: RootCerts =
            trusted.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).into();
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .root_certs(authorities)
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            // A redirect must not lead out of TLS.
            .https_only(place.tls)
            .max_redirects(REDIRECTS)
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(DEADLINE))
            .timeout_connect(Some(CONNECTED_IN))
            .user_agent(concat!("qpq-server/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self { place, agent })
    }

    /// Where it is.
    pub(super) const fn place(&self) -> &LogPlace {
        &self.place
    }

    /// What is under a path below the place, if it is not longer than `most` bytes.
    pub(super) fn get(&self, path: &str, most: usize) -> Result<Got, SiteError> {
        let url = format!("{}/{path}", self.place);
        let unreadable = |error: Error| SiteError::Unreadable { url: url.clone(), source: Box::new(error) };
        let mut answer = self.agent.get(&url).call().map_err(unreadable)?;
        match answer.status().as_u16() {
            200 => {}
            400 | 404 | 410 => return Ok(Got::Nothing),
            status => return Err(SiteError::Status { url, status }),
        }
        let limit = u64::try_from(most).unwrap_or(u64::MAX);
        match answer.body_mut().with_config().limit(limit).read_to_vec() {
            Ok(bytes) => Ok(Got::Found(bytes)),
            Err(Error::BodyExceedsLimit(_)) => Ok(Got::TooLong),
            Err(error) => Err(unreadable(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_plain_url() {
        for (text, url) in [
            ("https://alpha.example/kt/v1", "https://alpha.example/kt/v1"),
            ("http://127.0.0.1:8080/kt/v1/", "http://127.0.0.1:8080/kt/v1"),
            ("https://[::1]:1", "https://[::1]:1"),
        ] {
            assert_eq!(text.parse::<LogPlace>().unwrap().to_string(), url);
        }
        for other in [
            "",
            "alpha.example/kt/v1",
            "/kt/v1",
            "file:///etc",
            "ftp://a",
            "https://a@b/",
            "http://a/?b",
            "http://a/#b",
        ] {
            assert_eq!(other.parse::<LogPlace>(), Err(NoPlace), "{other}");
        }
    }
}
