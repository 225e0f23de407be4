//! What a failure means for the user, and what to do about it.

use std::io;
use std::net::SocketAddr;

use rustls::{AlertDescription, CertificateError, Error};

use super::Finding;
use super::presented::Presented;
use crate::config::{Host, IndexerConfig};
use crate::indexer::Failure;

/// No TCP connection.
pub(super) fn tcp(address: SocketAddr, error: &io::Error) -> Finding {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Finding::failed(
            format!("nothing listens on {address}: the connection was refused"),
            "start the Indexer (it refuses connections while it starts), or correct the port in indexer.hosts",
        ),
        io::ErrorKind::TimedOut => Finding::failed(
            format!("{address} does not answer"),
            "is there a firewall between, or is the address wrong? A longer indexer.connect_timeout_ms helps only on a very slow network",
        ),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => Finding::failed(
            format!("{address} cannot be reached: {error}"),
            "correct the address, or this machine's routes",
        ),
        _ => Finding::failed(
            format!("{address}: {error}"),
            "correct the host in indexer.hosts",
        ),
    }
}

/// A handshake that failed, or an alert that came with the first answer.
pub(super) fn tls(
    error: &Error,
    host: &Host,
    config: &IndexerConfig,
    presented: &Presented,
) -> Finding {
    match error {
        Error::InvalidCertificate(error) => certificate(error, host, config, presented),
        Error::AlertReceived(alert) => client_certificate(*alert, config),
        Error::InvalidMessage(_) => Finding::failed(
            format!("{} does not speak TLS", host.authority()),
            "its port may be one without encryption, or another service's: switch TLS on in the Indexer, or correct the port",
        ),
        Error::PeerIncompatible(_) => Finding::failed(
            format!(
                "{} and we have no version or cipher of TLS in common: {error}",
                host.authority()
            ),
            "let the Indexer speak TLS 1.2 or 1.3",
        ),
        error => Finding::failed(
            format!("the handshake failed: {error}"),
            "look into the Indexer's log for the other side of it",
        ),
    }
}

fn certificate(
    error: &CertificateError,
    host: &Host,
    config: &IndexerConfig,
    presented: &Presented,
) -> Finding {
    let name = &host.name;
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            let files: Vec<_> = config
                .certificate_authorities
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            Finding::failed(
                format!(
                    "the certificate of {name} was issued by {:?}, which is not the authority in {}",
                    presented.issuer,
                    files.join(", ")
                ),
                "name the PEM file of the authority that issued it in indexer.certificate_authorities",
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Finding::failed(
            format!("the certificate of {name} expired on {}", presented.until),
            "renew the Indexer's certificate; if it is new already, set this machine's clock",
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Finding::failed(
                format!(
                    "the certificate of {name} counts only from {}",
                    presented.from
                ),
                "set this machine's clock, or wait",
            )
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let names = if presented.names.is_empty() {
                "no name at all".to_owned()
            } else {
                presented.names.join(", ")
            };
            Finding::failed(
                format!("the certificate is for {names}, not for {name}"),
                "write a name that stands in the certificate into indexer.hosts, or have the certificate issued for this name too",
            )
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Finding::failed(
                format!("the certificate of {name} is not one for servers"),
                "have it issued with the extended key usage \"server authentication\"",
            )
        }
        error => Finding::failed(
            format!("the certificate of {name} cannot be accepted: {error}"),
            "have it issued anew",
        ),
    }
}

/// The Indexer did not like the certificate we showed, or did not show.
fn client_certificate(alert: AlertDescription, config: &IndexerConfig) -> Finding {
    match &config.client_certificate {
        None => Finding::failed(
            format!(
                "the Indexer wants a client certificate and none is configured (alert {alert:?})"
            ),
            "name one, and its key, in indexer.certificate and indexer.key",
        ),
        Some((certificate, _)) => Finding::failed(
            format!(
                "the Indexer refuses our certificate {} (alert {alert:?})",
                certificate.display()
            ),
            "it must be issued by an authority the Indexer trusts, be valid today, and be one for clients",
        ),
    }
}

/// A request without an answer.
pub(super) fn no_answer(failure: &Failure, host: &Host, config: &IndexerConfig) -> Finding {
    match &failure.tls {
        Some(error) => tls(error, host, config, &Presented::default()),
        None if failure.timeout => Finding::failed(
            format!(
                "no answer within {} ms",
                config.request_deadline.as_millis()
            ),
            "is the Indexer overloaded, or still starting? Look into its log",
        ),
        None => Finding::failed(
            format!("no answer: {failure}"),
            "is this the Indexer's HTTP port, and not the one its nodes use among themselves (9300)?",
        ),
    }
}

/// The node answers and is not ready.
pub(super) fn is_starting(status: u16, body: &str) -> bool {
    status == 503 && body.contains("not initialized")
}

/// A 401.
pub(super) fn unauthorized(body: &str, config: &IndexerConfig) -> Finding {
    if body.contains("finally failed") {
        return Finding::failed(
            "the Indexer has locked us out after too many failures (401 Authentication finally failed)",
            "stop everything that uses the wrong password, wait until the lock ends, and check again; the right password is refused until then too",
        );
    }
    match (&config.credentials, &config.client_certificate) {
        (Some(credentials), _) => Finding::failed(
            format!(
                "the Indexer does not accept user {:?} with this password (401)",
                credentials.user
            ),
            "correct indexer.user or the password; many tries lock the account",
        ),
        (None, Some((certificate, _))) => Finding::failed(
            format!(
                "the Indexer does not know the subject of {} (401)",
                certificate.display()
            ),
            "let the Indexer take users from client certificates, or set indexer.user and a password",
        ),
        (None, None) => Finding::failed(
            "the Indexer wants to know who we are (401)",
            "set indexer.user and indexer.password_file, or indexer.certificate and indexer.key",
        ),
    }
}
