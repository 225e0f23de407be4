//! A wire that can be cut, between the daemon and any Indexer: faults of the way, which need no help of the
//! Indexer. It sees encrypted bytes only.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A request of so many bytes brings documents; handshakes and questions are smaller.
const LARGE_BYTES: usize = 8 << 10;

/// A wire to one address. Cut for good when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    wire: Wire,
    is_cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Wire {
    target: String,
    is_cut: watch::Receiver<bool>,
    /// Answers to large requests that are still to be lost.
    to_lose: Arc<AtomicU64>,
}

impl Proxy {
    /// Listens on a free port, for an Indexer at `https://NAME:PORT`.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_cut, seen) = watch::channel(false);
        let target = url.trim_start_matches("https://").trim_end_matches('/');
        let wire = Wire {
            target: target.to_owned(),
            is_cut: seen,
            to_lose: Arc::default(),
        };
        let shared = wire.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(shared.clone().forward(stream));
            }
        });
        Self {
            address,
            wire,
            is_cut,
            task,
        }
    }

    /// Where it listens, by the name that certificates have.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Cuts all connections, and new ones at once; or mends the wire.
    pub fn cut(&self, is_cut: bool) {
        self.is_cut.send_replace(is_cut);
    }

    /// Cuts a connection instead of passing the answer to a large request on, so many times.
    pub fn lose_answers(&self, count: u64) {
        self.wire.to_lose.store(count, Ordering::Relaxed);
    }

    /// Answers that are still to be lost.
    #[must_use]
    pub fn to_lose(&self) -> u64 {
        self.wire.to_lose.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut(true);
    }
}

impl Wire {
    /// One connection, until either end or the wire is cut.
    async fn forward(mut self, client: TcpStream) {
        if *self.is_cut.borrow_and_update() {
            return;
        }
        // Without the Indexer the connection ends, which says it.
        let Ok(server) = TcpStream::connect(&self.target).await else {
            return;
        };
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        let (mut request, mut answer) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        let mut requested_bytes = 0;
        loop {
            tokio::select! {
                read = from_client.read(&mut request) => {
                    let Some(count) = read.ok().filter(|count| *count > 0) else {
                        return;
                    };
                    requested_bytes += count;
                    if to_server.write_all(&request[..count]).await.is_err() {
                        return;
                    }
                }
                read = from_server.read(&mut answer) => {
                    let Some(count) = read.ok().filter(|count| *count > 0) else {
                        return;
                    };
                    if requested_bytes >= LARGE_BYTES && self.loses() {
                        return;
                    }
                    requested_bytes = 0;
                    if to_client.write_all(&answer[..count]).await.is_err() {
                        return;
                    }
                }
                changed = self.is_cut.changed() => {
                    if changed.is_err() || *self.is_cut.borrow_and_update() {
                        return;
                    }
                }
            }
        }
    }

    fn loses(&self) -> bool {
        let less = |count: u64| count.checked_sub(1);
        let lost = self
            .to_lose
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        lost.is_ok()
    }
}
