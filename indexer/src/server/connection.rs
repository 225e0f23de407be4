//! Connections: TLS, who is at the other end, and a wire that can be cut in the middle of an answer.

use super::Shared;
use super::respond;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tower_service::Service;
use x509_parser::prelude::{FromDer, X509Certificate};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Serves until the handle says stop.
pub async fn serve(
    server: axum_server::Server<SocketAddr>,
    config: Arc<ServerConfig>,
    shared: Arc<Shared>,
    handle: axum_server::Handle<SocketAddr>,
) {
    let acceptor = Acceptor {
        tls: RustlsAcceptor::new(RustlsConfig::from_config(config)),
        shared,
    };
    // The acceptor puts its own service in the place of this one, since it knows the connection.
    let replaced = axum::Router::new().into_make_service();
    if let Err(error) = server
        .acceptor(acceptor)
        .http1_only()
        .handle(handle)
        .serve(replaced)
        .await
    {
        tracing::error!(%error, "the server ended");
    }
}

/// How much of the answers to come still goes out on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// Everything.
    None,
    /// The next head, and so many bytes of its body.
    HeadAnd(usize),
    /// So many bytes.
    Bytes(usize),
}

/// Cuts a connection, now or in the middle of its next answer. The client sees it end without the close that TLS
/// would announce.
#[derive(Clone)]
pub struct Cut(Arc<Mutex<Limit>>);

impl Cut {
    fn set(&self, limit: Limit) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = limit;
    }

    fn get(&self) -> Limit {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more goes out.
    pub fn now(&self) {
        self.set(Limit::Bytes(0));
    }

    /// The head of the next answer goes out, and so many bytes of its body.
    pub fn in_body_after(&self, bytes: usize) {
        self.set(Limit::HeadAnd(bytes));
    }
}

/// The stream of a connection, which can be cut.
pub struct Wire {
    stream: TlsStream<TcpStream>,
    cut: Cut,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let allowed = match self.cut.get() {
            Limit::None => return Pin::new(&mut self.stream).poll_write(context, bytes),
            Limit::Bytes(0) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Limit::Bytes(left) => left.min(bytes.len()),
            Limit::HeadAnd(body) => {
                // The head of a short answer is written in one piece.
                match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                    Some(end) => (end + 4 + body).min(bytes.len()),
                    None => bytes.len(),
                }
            }
        };
        let written =
            std::task::ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[..allowed]))?;
        match self.cut.get() {
            Limit::Bytes(left) => self.cut.set(Limit::Bytes(left.saturating_sub(written))),
            Limit::HeadAnd(body) => {
                if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                    self.cut
                        .set(Limit::Bytes((end + 4 + body).saturating_sub(written)));
                }
            }
            Limit::None => {}
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.cut.get() {
            // A cut connection ends without an announcement.
            Limit::Bytes(0) => Poll::Ready(Ok(())),
            _ => Pin::new(&mut self.stream).poll_shutdown(context),
        }
    }
}

/// Who is at the other end, as far as TLS knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// No certificate was shown.
    Anonymous,
    /// A certificate of a trusted authority with this common name.
    Certificate(String),
}

fn peer(stream: &TlsStream<TcpStream>) -> Peer {
    let Some([certificate, ..]) = stream.get_ref().1.peer_certificates() else {
        return Peer::Anonymous;
    };
    let name = X509Certificate::from_der(certificate)
        .ok()
        .and_then(|(_, parsed)| {
            let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
            Some(name.to_owned())
        });
    Peer::Certificate(name.unwrap_or_default())
}

#[derive(Clone)]
struct Acceptor {
    tls: RustlsAcceptor,
    shared: Arc<Shared>,
}

impl<S: Send + 'static> Accept<TcpStream, S> for Acceptor {
    type Stream = Wire;
    type Service = Connection;
    type Future = Boxed<io::Result<(Wire, Connection)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (tls, shared) = (self.tls.clone(), self.shared.clone());
        Box::pin(async move {
            stream.set_nodelay(true)?;
            let (stream, _) = tls.accept(stream, service).await.inspect_err(|error| {
                tracing::info!(%error, "a TLS handshake failed");
                shared.world().stats.failed_handshakes += 1;
            })?;
            let cut = Cut(Arc::new(Mutex::new(Limit::None)));
            let peer = peer(&stream);
            Ok((
                Wire {
                    stream,
                    cut: cut.clone(),
                },
                Connection { shared, peer, cut },
            ))
        })
    }
}

/// The service of one connection.
#[derive(Clone)]
struct Connection {
    shared: Arc<Shared>,
    peer: Peer,
    cut: Cut,
}

impl<B> Service<Request<B>> for Connection
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let connection = self.clone();
        Box::pin(async move {
            let request = request.map(Body::new);
            Ok(respond::respond(connection.shared, connection.peer, connection.cut, request).await)
        })
    }
}
