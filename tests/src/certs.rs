//! Certificates of a test: an authority, what it signed, and the TLS clients that use it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use inventory_sync::certs::{Authority, Issued, Subject, Validity};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// An authority with its files: `ca.pem`, `server.pem` and `server-key.pem`.
pub struct Pki {
    authority: Authority,
    folder: PathBuf,
}

impl Pki {
    /// A new authority, and a certificate for servers at `localhost`.
    ///
    /// # Panics
    /// When the folder cannot be written.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let authority = Authority::new("Test CA", Validity::days(2)).unwrap();
        authority.save(folder).unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = authority.issue(&Subject::Server(names), Validity::days(2));
        server.unwrap().save(folder, "server").unwrap();
        Self {
            authority,
            folder: folder.to_owned(),
        }
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The authority's certificate.
    #[must_use]
    pub fn authority_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The server's certificate.
    #[must_use]
    pub fn server_file(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    /// The key of the server's certificate.
    #[must_use]
    pub fn server_key_file(&self) -> PathBuf {
        self.folder.join("server-key.pem")
    }

    /// The authority's certificate as a text.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        self.authority.certificate_pem()
    }

    /// A certificate of an agent.
    ///
    /// # Panics
    /// For agent 0, which has none.
    #[must_use]
    pub fn agent(&self, id: u64) -> Issued {
        self.issue(&Subject::Agent(id), Validity::days(2))
    }

    /// A certificate of a client whose common name is any text.
    ///
    /// # Panics
    /// When the name cannot stand in a certificate.
    #[must_use]
    pub fn client(&self, name: &str) -> Issued {
        self.issue(&Subject::Client(name.to_owned()), Validity::days(2))
    }

    /// A certificate of an agent that ended yesterday.
    ///
    /// # Panics
    /// For agent 0, which has none.
    #[must_use]
    pub fn ended_agent(&self, id: u64) -> Issued {
        self.issue(&Subject::Agent(id), Validity::ended())
    }

    fn issue(&self, subject: &Subject, validity: Validity) -> Issued {
        self.authority.issue(subject, validity).unwrap()
    }
}

/// A TLS client that trusts these authorities, shows that certificate and speaks these versions.
///
/// # Panics
/// When a PEM text is none.
#[must_use]
pub fn client_config(
    authorities_pem: &str,
    identity: Option<&Issued>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities_pem.as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let chain = CertificateDer::pem_slice_iter(issued.certificate_pem.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
            builder
                .with_client_auth_cert(chain.collect::<Result<_, _>>().unwrap(), key)
                .unwrap()
        }
    }
}
