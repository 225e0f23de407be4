//! The connector: one request in, one outcome out.
//!
//! ```text
//!  HttpRequest ─▶ Connector ─▶ TLS 1.2+ ─▶ Indexer
//!                    │
//!                    ├─ Answer   status and whole body
//!                    ├─ NotSent  no byte of the body left this process, and none ever will
//!                    └─ Unknown  everything else: it may have been, or may yet be, applied
//! ```
//!
//! The difference between *not sent* and *unknown* decides whether a lane is tainted
//! (`docs/protocol.md` section 5), so it is not guessed from an error's text: the body itself records
//! whether it was ever asked for a byte, and can be revoked before it is (see [`body`]). When in
//! doubt the outcome is unknown.
//!
//! Invariants: retries, backoff, verdicts and failover are the core's; nothing here sends a request
//! twice, follows a redirect, uses a proxy, trusts the system's authorities, or speaks without TLS.

pub mod body;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
pub mod tls;

use std::error::Error as _;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use inventory_sync_core::answer::request::{self, Request};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::config::{Host, IndexerConfig};
use body::{GuardedBody, SendRecord};
pub use tls::TlsFilesError;
pub(crate) use tls::{certificates, private_key};

/// How often [`Connector::watch_certificates`] looks at the files.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// An idle connection is closed after this, well before servers and middle boxes do it.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// The methods we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Read the head only.
    Head,
    /// Create or replace.
    Put,
    /// Everything that takes a body and is not a PUT.
    Post,
    /// Remove.
    Delete,
}

impl Method {
    /// As it stands in a request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Put => "PUT",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }
}

impl From<request::Method> for Method {
    fn from(method: request::Method) -> Self {
        match method {
            request::Method::Get => Method::Get,
            request::Method::Put => Method::Put,
            request::Method::Post => Method::Post,
            request::Method::Delete => Method::Delete,
        }
    }
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => reqwest::Method::GET,
            Method::Head => reqwest::Method::HEAD,
            Method::Put => reqwest::Method::PUT,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// Which of the configured hosts.
    pub host_index: usize,
    /// Method.
    pub method: Method,
    /// Path and query, beginning with `/`.
    pub path_and_query: String,
    /// The body's parts, sent one after the other under one Content-Length; none or empty: no body.
    pub body: Vec<Bytes>,
    /// Content-Type of the body.
    pub content_type: &'static str,
    /// Without a whole answer by then the outcome is unknown, or not sent.
    pub deadline: Instant,
    /// The body's first byte is not sent after this moment (the writer's lease); then: not sent.
    pub not_after: Option<Instant>,
}

impl HttpRequest {
    /// A question of the core to the first host, whose answer is wanted by then.
    #[must_use]
    pub fn asked(asked: Request, deadline: Instant) -> Self {
        let body = if asked.body.is_empty() {
            Vec::new()
        } else {
            vec![Bytes::from(asked.body)]
        };
        Self {
            host_index: 0,
            method: asked.method.into(),
            path_and_query: asked.target,
            body,
            content_type: asked.content.media_type(),
            deadline,
            not_after: None,
        }
    }
}

/// JSON, for [`HttpRequest::content_type`].
pub const JSON: &str = "application/json";
/// Lines of JSON, as `_bulk` wants them.
pub const NDJSON: &str = "application/x-ndjson";

/// What became of a request.
#[derive(Clone, Debug)]
pub enum HttpOutcome {
    /// The Indexer answered, and the answer was read to its end.
    Answer {
        /// Status.
        status: u16,
        /// Body; empty for a HEAD and for a 413.
        body: Bytes,
    },
    /// No byte of the body was sent, nor will be. (For a request without body: it had no connection.)
    NotSent {
        /// Why.
        reason: Failure,
    },
    /// It may have been applied, or may yet be.
    Unknown {
        /// Why that is not known.
        reason: Failure,
    },
}

/// Why a request has no answer.
#[derive(Clone, Debug)]
pub struct Failure {
    /// For people.
    pub text: String,
    /// What TLS says, if it was TLS.
    pub tls: Option<rustls::Error>,
    /// Whether it was waited for in vain.
    pub timeout: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Failure {
    fn text(text: impl Into<String>) -> Self {
        Failure {
            text: text.into(),
            tls: None,
            timeout: false,
        }
    }

    fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let timeout = error.is_timeout();
        let mut text = String::new();
        let mut tls = None;
        let mut link: Option<&(dyn std::error::Error + 'static)> = error.source();
        while let Some(cause) = link {
            let said = cause.to_string();
            // Wrappers often repeat what they wrap.
            if !text.contains(&said) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&said);
            }
            tls = tls.or_else(|| tls_error(cause));
            link = cause.source();
        }
        if text.is_empty() {
            text = error.to_string();
        }
        Failure { text, tls, timeout }
    }
}

/// The TLS error inside `error`, which an I/O error hides from `source()`.
fn tls_error(error: &(dyn std::error::Error + 'static)) -> Option<rustls::Error> {
    if let Some(tls) = error.downcast_ref::<rustls::Error>() {
        return Some(tls.clone());
    }
    let inner = error.downcast_ref::<std::io::Error>()?.get_ref()?;
    tls_error(inner)
}

/// Why there is no connector.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// A certificate, a key or an authority cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsFilesError),
    /// User and password cannot be sent.
    #[error("indexer.user and its password cannot be sent in a header: {0}")]
    Credentials(reqwest::header::InvalidHeaderValue),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made: {0}")]
    Client(reqwest::Error),
}

/// The connector to all hosts of the configuration.
pub struct Connector {
    config: IndexerConfig,
    client: RwLock<reqwest::Client>,
    seen: Mutex<Vec<FileState>>,
}

impl Connector {
    /// Reads certificates and credentials. Opens no connection.
    ///
    /// # Errors
    ///
    /// A file that cannot be used, named.
    pub fn new(config: &IndexerConfig) -> Result<Self, ConnectorError> {
        // Before the files are read: a change in between is then seen as one.
        let seen = file_states(config);
        let client = client(config)?;
        Ok(Connector {
            config: config.clone(),
            client: RwLock::new(client),
            seen: Mutex::new(seen),
        })
    }

    /// The hosts, in the order of [`HttpRequest::host_index`].
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.config.hosts
    }

    /// Sends one request and waits for what becomes of it; always ends by the request's deadline.
    pub async fn execute(&self, request: HttpRequest) -> HttpOutcome {
        let Some(host) = self.config.hosts.get(request.host_index) else {
            let reason = Failure::text(format!(
                "there is no Indexer host number {}",
                request.host_index
            ));
            return HttpOutcome::NotSent { reason };
        };
        let url = format!("{}{}", host.url(), request.path_and_query);
        let record = Arc::new(SendRecord::default());
        let length: u64 = request.body.iter().map(|part| part.len() as u64).sum();
        let client = self
            .client
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut builder = client.request(request.method.into(), url);
        if length > 0 {
            builder = builder
                .header(CONTENT_TYPE, request.content_type)
                .header(CONTENT_LENGTH, length)
                .body(reqwest::Body::wrap(GuardedBody::new(
                    request.body,
                    Arc::clone(&record),
                    request.not_after,
                )));
        } else {
            // Without a body there is nothing to guard: the head is all there is.
            if request.not_after.is_some_and(|end| Instant::now() >= end) {
                return HttpOutcome::NotSent {
                    reason: Failure::text(body::TOO_LATE),
                };
            }
            if matches!(request.method, Method::Put | Method::Post) {
                builder = builder.header(CONTENT_LENGTH, 0);
            }
        }
        let limit = self.config.response_max_bytes;
        match tokio::time::timeout_at(request.deadline, answer(builder, limit)).await {
            Ok(Ok((status, body))) => HttpOutcome::Answer { status, body },
            Ok(Err(Broken::Request(error))) => {
                // A connection that never stood has carried nothing; otherwise the body itself knows.
                let unsent =
                    error.is_connect() && !record.started() || length > 0 && record.revoke();
                let reason = Failure::of(error);
                if unsent {
                    HttpOutcome::NotSent { reason }
                } else {
                    HttpOutcome::Unknown { reason }
                }
            }
            Ok(Err(Broken::Answer(reason))) => HttpOutcome::Unknown { reason },
            Err(_) => {
                if length > 0 && record.revoke() {
                    let text = "no connection before the request's deadline";
                    HttpOutcome::NotSent {
                        reason: Failure {
                            timeout: true,
                            ..Failure::text(text)
                        },
                    }
                } else {
                    let text = "no whole answer before the request's deadline";
                    HttpOutcome::Unknown {
                        reason: Failure {
                            timeout: true,
                            ..Failure::text(text)
                        },
                    }
                }
            }
        }
    }

    /// Builds a new client if a certificate, key or authority has changed on disk; requests under way
    /// end on the old one. Says whether it did.
    ///
    /// # Errors
    ///
    /// The new files cannot be used; the old client stays.
    pub fn reload_if_changed(&self) -> Result<bool, ConnectorError> {
        let now = file_states(&self.config);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == now {
                return Ok(false);
            }
            // Remembered also if it fails below: one complaint per change.
            *seen = now;
        }
        let client = client(&self.config)?;
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        Ok(true)
    }

    /// Watches the files for ever. Run it as a task; drop it to stop.
    pub async fn watch_certificates(&self) {
        let mut interval = tokio::time::interval(RELOAD_INTERVAL);
        loop {
            interval.tick().await;
            match self.reload_if_changed() {
                Ok(false) => {}
                Ok(true) => tracing::info!("the certificates for the Indexer were read again"),
                Err(error) => {
                    tracing::error!(%error, "the certificates for the Indexer have changed and cannot be used; the old ones stay");
                }
            }
        }
    }
}

/// Why there is no whole answer.
enum Broken {
    /// There was no answer at all.
    Request(reqwest::Error),
    /// It began and could not be read.
    Answer(Failure),
}

async fn answer(builder: reqwest::RequestBuilder, limit: u64) -> Result<(u16, Bytes), Broken> {
    let mut response = builder.send().await.map_err(Broken::Request)?;
    let status = response.status().as_u16();
    let too_long = || {
        Broken::Answer(Failure::text(format!(
            "the answer is longer than {limit} bytes"
        )))
    };
    // Not as a size to allocate: the other side says it.
    if response
        .content_length()
        .is_some_and(|length| length > limit)
        && status != 204
    {
        return Err(too_long());
    }
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if (body.len() + chunk.len()) as u64 > limit => return Err(too_long()),
            Ok(Some(chunk)) if body.is_empty() => body = BytesMut::from(chunk),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok((status, body.freeze())),
            Err(error) => {
                let mut failure = Failure::of(error);
                failure.text = format!("the answer broke off: {}", failure.text);
                return Err(Broken::Answer(failure));
            }
        }
    }
}

fn client(config: &IndexerConfig) -> Result<reqwest::Client, ConnectorError> {
    let mut headers = HeaderMap::new();
    if let Some(credentials) = &config.credentials {
        let pair = format!("{}:{}", credentials.user, credentials.password);
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        let mut value = HeaderValue::from_str(&format!("Basic {encoded}"))
            .map_err(ConnectorError::Credentials)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls::client_config(config)?)
        .default_headers(headers)
        .user_agent(concat!("inventory-sync/", env!("CARGO_PKG_VERSION")))
        .https_only(true)
        .http1_only()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(config.connect_timeout)
        .pool_idle_timeout(POOL_IDLE)
        .tcp_nodelay(true)
        .build()
        .map_err(ConnectorError::Client)
}

/// Enough of a file to see that it was replaced.
type FileState = (PathBuf, Option<(SystemTime, u64)>);

fn file_states(config: &IndexerConfig) -> Vec<FileState> {
    let pair = config
        .client_certificate
        .iter()
        .flat_map(|(certificate, key)| [certificate, key]);
    config
        .certificate_authorities
        .iter()
        .chain(pair)
        .map(|path| {
            let state = std::fs::metadata(path)
                .ok()
                .and_then(|data| Some((data.modified().ok()?, data.len())));
            (path.clone(), state)
        })
        .collect()
}
