//! A development authority and the certificates it signs.
//!
//! ```text
//!  DIR/ca.pem, ca-key.pem ──signs──▶ server.pem          names and addresses, for servers
//!                                    agent-001.pem       common name 1, for agent 1
//!                                    admin.pem           common name admin, for an Indexer's user
//!                                    indexer-client.pem  common name inventory-sync
//! ```
//!
//! For tests, demonstrations and first steps; a production authority lives elsewhere. Keys are
//! ECDSA P-256, written with mode 0600, and nothing that exists is ever overwritten. An agent's
//! common name is its id in decimal (`docs/protocol.md` section 2).

#[cfg(test)]
mod tests;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

/// File of the authority's certificate, in its directory.
pub const AUTHORITY_FILE: &str = "ca.pem";
/// File of the authority's key, in its directory.
pub const AUTHORITY_KEY_FILE: &str = "ca-key.pem";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What can go wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// The file exists; it may be in use.
    #[error("{path} exists already and is left as it is; remove it or choose another directory or --file name", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is no authority in that directory.
    #[error("{path} is missing: make an authority first, with `inventory-sync certs init --dir {dir}`", path = path.display(), dir = dir.display())]
    NoAuthority {
        /// The missing file.
        path: PathBuf,
        /// The directory.
        dir: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{path}: {cause}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// An agent without a number of its own.
    #[error(
        "agent 0 is the manager's own, which connects over the Unix socket and needs no certificate; agents are numbered from 1"
    )]
    AgentZero,
    /// The authority's files are not what they should be, or a name cannot stand in a certificate.
    #[error("{what}: {cause}")]
    Certificate {
        /// What was to be done.
        what: String,
        /// What the library says.
        cause: rcgen::Error,
    },
}

/// From when until when a certificate counts.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// Not before.
    pub from: SystemTime,
    /// Not after.
    pub until: SystemTime,
}

impl Validity {
    /// From an hour ago, for clocks that disagree, for so many days.
    #[must_use]
    pub fn days(days: u32) -> Self {
        let now = SystemTime::now();
        Validity {
            from: now - DAY / 24,
            until: now + DAY * days,
        }
    }

    /// Ended yesterday.
    #[must_use]
    pub fn ended() -> Self {
        let now = SystemTime::now();
        Validity {
            from: now - DAY * 30,
            until: now - DAY,
        }
    }
}

/// Who a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A server, by names and addresses; the first is its common name.
    Server(Vec<String>),
    /// An agent, by its number.
    Agent(u64),
    /// A client of the Indexer, by its user's name there.
    Client(String),
}

/// A certificate and its key, as PEM texts.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// Its key, PKCS #8.
    pub key_pem: String,
}

/// An authority that can sign.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
}

impl Authority {
    /// Makes a new one of that name.
    ///
    /// # Errors
    ///
    /// The name cannot stand in a certificate.
    pub fn new(name: &str, validity: Validity) -> Result<Self, CertsError> {
        let failed = |cause| CertsError::Certificate {
            what: format!("no authority named {name:?} can be made"),
            cause,
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut params = params(name, validity);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let certificate_pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Authority {
            issuer: Issuer::new(params, key),
            certificate_pem,
        })
    }

    /// Reads the one in that directory.
    ///
    /// # Errors
    ///
    /// There is none, or its files cannot be read.
    pub fn load(dir: &Path) -> Result<Self, CertsError> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read_to_string(&path).map_err(|cause| match cause.kind() {
                std::io::ErrorKind::NotFound => CertsError::NoAuthority {
                    path,
                    dir: dir.to_owned(),
                },
                _ => CertsError::File { path, cause },
            })
        };
        let (certificate_pem, key_pem) = (read(AUTHORITY_FILE)?, read(AUTHORITY_KEY_FILE)?);
        let failed = |cause| CertsError::Certificate {
            what: format!("{} holds no usable authority", dir.display()),
            cause,
        };
        let key = KeyPair::from_pem(&key_pem).map_err(failed)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key).map_err(failed)?;
        Ok(Authority {
            issuer,
            certificate_pem,
        })
    }

    /// Writes it into that directory, which is made if needed.
    ///
    /// # Errors
    ///
    /// A file exists already or cannot be written.
    pub fn save(&self, dir: &Path) -> Result<Vec<PathBuf>, CertsError> {
        let issued = Issued {
            certificate_pem: self.certificate_pem.clone(),
            key_pem: self.issuer.key().serialize_pem(),
        };
        issued.save_as(&dir.join(AUTHORITY_FILE), &dir.join(AUTHORITY_KEY_FILE))
    }

    /// Its certificate, as a PEM text.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Makes a key and signs its certificate.
    ///
    /// # Errors
    ///
    /// Agent 0, or a name that cannot stand in a certificate.
    pub fn issue(&self, subject: &Subject, validity: Validity) -> Result<Issued, CertsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|cause| {
            CertsError::Certificate {
                what: "no key can be made".to_owned(),
                cause,
            }
        })?;
        let certificate_pem = self.certify(subject, &key, validity)?.pem();
        Ok(Issued {
            certificate_pem,
            key_pem: key.serialize_pem(),
        })
    }

    /// Signs a certificate for a key that is there; several certificates may have the same.
    ///
    /// # Errors
    ///
    /// Agent 0, or a name that cannot stand in a certificate.
    pub fn certify(
        &self,
        subject: &Subject,
        key: &KeyPair,
        validity: Validity,
    ) -> Result<Certificate, CertsError> {
        let common_name = match subject {
            Subject::Agent(0) => return Err(CertsError::AgentZero),
            Subject::Agent(id) => id.to_string(),
            Subject::Server(names) => names.first().cloned().unwrap_or_default(),
            Subject::Client(name) => name.clone(),
        };
        let failed = |cause| CertsError::Certificate {
            what: format!("no certificate for {common_name:?}"),
            cause,
        };
        let mut params = params(&common_name, validity);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match subject {
            Subject::Server(names) => {
                // Decides by itself which are addresses and which are names.
                params.subject_alt_names = CertificateParams::new(names.clone())
                    .map_err(failed)?
                    .subject_alt_names;
                ExtendedKeyUsagePurpose::ServerAuth
            }
            Subject::Agent(_) | Subject::Client(_) => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.signed_by(key, &self.issuer).map_err(failed)
    }
}

impl Issued {
    /// Writes `DIR/NAME.pem` and `DIR/NAME-key.pem`; the key is readable by its owner alone.
    ///
    /// # Errors
    ///
    /// A file exists already (then nothing is written) or cannot be written.
    pub fn save(&self, dir: &Path, name: &str) -> Result<Vec<PathBuf>, CertsError> {
        self.save_as(
            &dir.join(format!("{name}.pem")),
            &dir.join(format!("{name}-key.pem")),
        )
    }

    fn save_as(&self, certificate: &Path, key: &Path) -> Result<Vec<PathBuf>, CertsError> {
        if let Some(dir) = certificate.parent() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(dir)
                .map_err(|cause| CertsError::File {
                    path: dir.to_owned(),
                    cause,
                })?;
        }
        for path in [certificate, key] {
            if path.symlink_metadata().is_ok() {
                return Err(CertsError::Exists {
                    path: path.to_owned(),
                });
            }
        }
        write_new(key, &self.key_pem, 0o600)?;
        write_new(certificate, &self.certificate_pem, 0o644)?;
        Ok(vec![certificate.to_owned(), key.to_owned()])
    }
}

/// The file name a subject's certificate gets when nobody chooses one.
#[must_use]
pub fn default_file_name(subject: &Subject) -> String {
    match subject {
        Subject::Server(_) => "server".to_owned(),
        Subject::Agent(id) => format!("agent-{id:03}"),
        Subject::Client(name) => {
            let safe = |c: char| {
                if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                    c
                } else {
                    '_'
                }
            };
            name.chars().map(safe).collect()
        }
    }
}

fn params(common_name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = validity.from.into();
    params.not_after = validity.until.into();
    params
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), CertsError> {
    let failed = |cause: std::io::Error| match cause.kind() {
        std::io::ErrorKind::AlreadyExists => CertsError::Exists {
            path: path.to_owned(),
        },
        _ => CertsError::File {
            path: path.to_owned(),
            cause,
        },
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
