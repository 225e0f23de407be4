//! TLS towards the Indexer: which authorities, which certificate, and which file is to blame.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::IndexerConfig;

/// A file that cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsFilesError {
    /// The file cannot be read.
    #[error("{path}: the {what} cannot be read: {cause}", path = path.display())]
    Unreadable {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file holds something else.
    #[error("{path}: holds no {what} in PEM form (-----BEGIN …)", path = path.display())]
    Empty {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The file holds it, but it is damaged or of a kind that is not supported.
    #[error("{path}: the {what} cannot be used: {cause}", path = path.display())]
    Unusable {
        /// What it should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the library says.
        cause: String,
    },
    /// Certificate and key are each fine and do not belong together.
    #[error("{certificate} and {key} do not belong together: the key is not that certificate's", certificate = certificate.display(), key = key.display())]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// No protocol version is left.
    #[error("TLS cannot be set up: {0}")]
    Protocol(rustls::Error),
}

/// The client's side of TLS 1.2 and 1.3, as configured.
///
/// # Errors
///
/// A file that cannot be used, named.
pub fn client_config(config: &IndexerConfig) -> Result<ClientConfig, TlsFilesError> {
    let mut roots = RootCertStore::empty();
    for path in &config.certificate_authorities {
        let what = "certificate authority";
        for certificate in certificates(path, what)? {
            roots
                .add(certificate)
                .map_err(|cause| TlsFilesError::Unusable {
                    what,
                    path: path.clone(),
                    cause: cause.to_string(),
                })?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsFilesError::Protocol)?
        .with_root_certificates(roots);
    match &config.client_certificate {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates(certificate, "client certificate")?;
            let what = "client key";
            builder
                .with_client_auth_cert(chain, private_key(key, what)?)
                .map_err(|cause| match cause {
                    rustls::Error::InconsistentKeys(_) => TlsFilesError::Mismatch {
                        certificate: certificate.clone(),
                        key: key.clone(),
                    },
                    cause => TlsFilesError::Unusable {
                        what,
                        path: key.clone(),
                        cause: cause.to_string(),
                    },
                })
        }
    }
}

/// Every certificate in a PEM file, at least one.
///
/// # Errors
///
/// The file cannot be read, or holds none.
pub fn certificates(
    path: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsFilesError> {
    let bytes = read(path, what)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|cause| TlsFilesError::Unusable {
            what,
            path: path.to_owned(),
            cause: cause.to_string(),
        })?;
    if found.is_empty() {
        return Err(TlsFilesError::Empty {
            what,
            path: path.to_owned(),
        });
    }
    Ok(found)
}

/// The private key in a PEM file.
///
/// # Errors
///
/// The file cannot be read, or holds none.
pub fn private_key(
    path: &Path,
    what: &'static str,
) -> Result<PrivateKeyDer<'static>, TlsFilesError> {
    let bytes = read(path, what)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|cause| match cause {
        rustls::pki_types::pem::Error::NoItemsFound => TlsFilesError::Empty {
            what,
            path: path.to_owned(),
        },
        cause => TlsFilesError::Unusable {
            what,
            path: path.to_owned(),
            cause: cause.to_string(),
        },
    })
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, TlsFilesError> {
    std::fs::read(path).map_err(|cause| TlsFilesError::Unreadable {
        what,
        path: path.to_owned(),
        cause,
    })
}
