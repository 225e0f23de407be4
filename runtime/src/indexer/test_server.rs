//! A tiny TLS server that gives canned answers, for the tests of the connector and of `check`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::certs::{Authority, Issued, Subject, Validity};
use crate::config::{Config, Host, IndexerConfig, Need, Sources};

/// What the server does with a request it has read to its end.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Answers with that status, content type and body.
    Answer(u16, &'static str, String),
    /// Closes the connection without a word.
    Hang,
    /// Never answers.
    Silence,
    /// Promises more than it sends, then closes.
    BreaksOff,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    /// Method and path.
    pub(crate) fn line(&self) -> String {
        self.head
            .lines()
            .next()
            .unwrap_or_default()
            .trim_end_matches(" HTTP/1.1")
            .to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }
}

pub(crate) type Script = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// How the server presents itself.
pub(crate) struct Presentation {
    pub issued: Issued,
    /// Client certificates of this authority are required.
    pub client_ca: Option<String>,
    /// TLS 1.2 only.
    pub only_tls12: bool,
}

pub(crate) struct TestServer {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TestServer {
    pub(crate) async fn start(presentation: Presentation, script: Script) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions: &[_] = if presentation.only_tls12 {
            &[&rustls::version::TLS12]
        } else {
            &[&rustls::version::TLS13, &rustls::version::TLS12]
        };
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap();
        let builder = match &presentation.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = rustls::RootCertStore::empty();
                roots
                    .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
                    .unwrap();
                let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                    Arc::new(roots),
                    provider,
                )
                .build()
                .unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = vec![
            CertificateDer::from_pem_slice(presentation.issued.certificate_pem.as_bytes()).unwrap(),
        ];
        let key = PrivateKeyDer::from_pem_slice(presentation.issued.key_pem.as_bytes()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(accept(listener, acceptor, script, Arc::clone(&seen)));
        TestServer {
            address,
            seen,
            task,
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, script, seen) = (acceptor.clone(), Arc::clone(&script), Arc::clone(&seen));
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            while let Some(request) = read_request(&mut stream).await {
                seen.lock().unwrap().push(request.clone());
                let (text, stay) = match script(&request) {
                    Reply::Answer(status, kind, body) => (
                        format!(
                            "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
                            body.len()
                        ),
                        true,
                    ),
                    Reply::Hang => return,
                    Reply::Silence => {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                        return;
                    }
                    Reply::BreaksOff => (
                        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{".to_owned(),
                        false,
                    ),
                };
                if stream.write_all(text.as_bytes()).await.is_err()
                    || stream.flush().await.is_err()
                    || !stay
                {
                    return;
                }
            }
        });
    }
}

async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut seen = Seen {
        head: String::from_utf8_lossy(&bytes[..end]).into_owned(),
        body: bytes[end..].to_vec(),
    };
    let length: usize = seen
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    while seen.body.len() < length {
        if stream.read_buf(&mut seen.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(seen)
}

/// A directory with an authority, a server's certificate for `localhost` and a client's.
pub(crate) struct Pki {
    pub dir: tempfile::TempDir,
    pub authority: Authority,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new("test authority", Validity::days(2)).unwrap();
        authority.save(dir.path()).unwrap();
        Pki { dir, authority }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn server(&self) -> Presentation {
        self.server_for("localhost", Validity::days(1))
    }

    pub(crate) fn server_for(&self, name: &str, validity: Validity) -> Presentation {
        let issued = self
            .authority
            .issue(&Subject::Server(vec![name.to_owned()]), validity)
            .unwrap();
        Presentation {
            issued,
            client_ca: None,
            only_tls12: false,
        }
    }

    /// A configuration that trusts this authority and names that port of `localhost`.
    pub(crate) fn config(&self, port: u16) -> IndexerConfig {
        let set = vec![
            format!("indexer.hosts=https://localhost:{port}"),
            format!(
                "indexer.certificate_authorities={}",
                self.path().join("ca.pem").display()
            ),
        ];
        let config = Config::load(
            &Sources {
                set,
                ..Sources::default()
            },
            Need::Indexer,
        )
        .unwrap();
        IndexerConfig {
            hosts: vec![Host {
                name: "localhost".into(),
                port,
            }],
            ..config.indexer
        }
    }
}
