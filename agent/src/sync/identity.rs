//! Who speaks and whom it trusts: certificate, key, authority and the manager's name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Settings;

/// Why nothing can be sent with these settings. Nothing was read or sent.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file cannot be read, or a directory not be made.
    #[error("{what}: {path}: {cause}", path = path.display())]
    File {
        /// Whose file.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file was read and is not what it should be.
    #[error("{what}: {path}: {cause}", path = path.display())]
    Unusable {
        /// Whose file.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why, and what it should be.
        cause: String,
    },
    /// The certificate names another agent than was asked for.
    #[error(
        "--agent says {asked}, and the certificate {path} is agent {named}'s: leave --agent out, or give \
         agent {asked}'s certificate and key",
        path = path.display()
    )]
    OtherAgent {
        /// What --agent says.
        asked: u64,
        /// What the certificate says.
        named: u64,
        /// The certificate.
        path: PathBuf,
    },
    /// The manager's name is neither a DNS name nor an address.
    #[error("the manager's name {name:?} is neither a DNS name nor an address: give --server-name")]
    ServerName {
        /// The name.
        name: String,
    },
    /// TLS cannot be used in this process.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The process cannot wait for the network.
    #[error("the process cannot wait for the network: {0}")]
    Runtime(io::Error),
}

/// Who speaks, and how it shows that.
pub(super) struct Identity {
    /// The agent's number.
    pub(super) agent: u64,
    /// TLS 1.3 with our certificate.
    pub(super) tls: Arc<ClientConfig>,
    /// The name that the manager's certificate must have.
    pub(super) server_name: ServerName<'static>,
}

impl Identity {
    /// Bytes that differ from one process start to the next.
    pub(super) fn seed(&self) -> Result<[u8; 32], SettingsError> {
        let mut seed = [0; 32];
        self.tls
            .crypto_provider()
            .secure_random
            .fill(&mut seed)
            .map_err(|_| SettingsError::Tls("the system has no random numbers".to_owned()))?;
        Ok(seed)
    }
}

/// Reads the files and compares the names.
pub(super) fn load(settings: &Settings) -> Result<Identity, SettingsError> {
    let name = settings
        .server_name
        .as_deref()
        .unwrap_or_else(|| settings.manager.host());
    let server_name =
        ServerName::try_from(name.to_owned()).map_err(|_| SettingsError::ServerName {
            name: name.to_owned(),
        })?;

    let what = "the agent's certificate (--certificate)";
    let chain = certificates(&settings.certificate, what)?;
    let unusable = |cause: String| SettingsError::Unusable {
        what,
        path: settings.certificate.clone(),
        cause,
    };
    let agent = chain
        .first()
        .ok_or_else(|| "it is empty".to_owned())
        .and_then(agent_of)
        .map_err(unusable)?;
    if let Some(asked) = settings.agent.filter(|asked| *asked != agent) {
        return Err(SettingsError::OtherAgent {
            asked,
            named: agent,
            path: settings.certificate.clone(),
        });
    }

    let what = "the manager's authority (--ca)";
    let mut roots = RootCertStore::empty();
    for authority in certificates(&settings.ca, what)? {
        roots
            .add(authority)
            .map_err(|error| SettingsError::Unusable {
                what,
                path: settings.ca.clone(),
                cause: error.to_string(),
            })?;
    }
    let key = private_key(&settings.key)?;
    let tls = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_protocol_versions(&[&rustls::version::TLS13])
    .map_err(|error| SettingsError::Tls(error.to_string()))?
    .with_root_certificates(roots)
    .with_client_auth_cert(chain, key)
    .map_err(|error| SettingsError::Unusable {
        what: "the agent's key (--key)",
        path: settings.key.clone(),
        cause: format!("it does not belong to the certificate: {error}"),
    })?;
    Ok(Identity {
        agent,
        tls: Arc::new(tls),
        server_name,
    })
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, SettingsError> {
    std::fs::read(path).map_err(|cause| SettingsError::File {
        what,
        path: path.to_owned(),
        cause,
    })
}

fn certificates(
    path: &Path,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let text = read(path, what)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let cause = match found {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_) => "it has no PEM block `BEGIN CERTIFICATE`".to_owned(),
        Err(error) => format!("it is not PEM: {error}"),
    };
    Err(SettingsError::Unusable {
        what,
        path: path.to_owned(),
        cause,
    })
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, SettingsError> {
    let what = "the agent's key (--key)";
    let text = read(path, what)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| SettingsError::Unusable {
        what,
        path: path.to_owned(),
        cause: format!("it has no private key in PEM: {error}"),
    })
}

/// The agent that a certificate names: its one common name, in decimal (`docs/protocol.md` section 2).
fn agent_of(certificate: &CertificateDer<'_>) -> Result<u64, String> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| format!("it cannot be read: {error}"))?;
    let mut names = parsed.subject().iter_common_name();
    let (Some(name), None) = (names.next(), names.next()) else {
        return Err("it must have exactly one common name".to_owned());
    };
    let name = name
        .as_str()
        .map_err(|error| format!("its common name is no text: {error}"))?;
    let is_decimal = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse()
        .ok()
        .filter(|agent| is_decimal && *agent != 0)
        .ok_or_else(|| format!("its common name {name:?} is not an agent's number, such as 001"))
}
