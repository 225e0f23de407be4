//! TLS towards agents: 1.3 only, and only with a certificate that names an agent.

use std::sync::Arc;

use inventory_sync_core::id::AgentId;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::ServeError;
use crate::config::RouterTls;
use crate::indexer::{TlsFilesError, certificates, private_key};

/// The server's side of TLS for agents.
pub(super) fn server_config(tls: &RouterTls) -> Result<ServerConfig, ServeError> {
    let unusable = |what, path: &std::path::Path, cause: String| {
        ServeError::Tls(TlsFilesError::Unusable {
            what,
            path: path.to_owned(),
            cause,
        })
    };
    let mut roots = RootCertStore::empty();
    let what = "the authority of agents' certificates";
    for authority in certificates(&tls.client_ca, what)? {
        roots
            .add(authority)
            .map_err(|error| unusable(what, &tls.client_ca, error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(what, &tls.client_ca, error.to_string()))?;
    let what = "the certificate that agents are shown";
    let chain = certificates(&tls.certificate, what)?;
    let key = private_key(&tls.key, "its key")?;
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(what, &tls.certificate, error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| unusable(what, &tls.certificate, error.to_string()))
}

/// The agent that a verified certificate names: its one common name, in decimal (`001` is 1). Anything
/// else is refused, 0 too: it is the manager's own machine, which has no certificate.
pub(super) fn agent_of(certificate: &CertificateDer<'_>) -> Result<AgentId, String> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let mut names = parsed.subject().iter_common_name();
    let (Some(name), None) = (names.next(), names.next()) else {
        return Err("the certificate must have exactly one common name".to_owned());
    };
    let name = name
        .as_str()
        .map_err(|error| format!("its common name is no text: {error}"))?;
    agent_named(name)
        .ok_or_else(|| format!("its common name {name:?} is not an agent's number, such as 001"))
}

fn agent_named(name: &str) -> Option<AgentId> {
    let is_decimal = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if !is_decimal {
        return None;
    }
    name.parse().ok().filter(|id| *id != 0).map(AgentId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_decimal_names_are_agents() {
        assert_eq!(agent_named("1"), Some(AgentId(1)));
        assert_eq!(agent_named("001"), Some(AgentId(1)));
        assert_eq!(agent_named("18446744073709551615"), Some(AgentId(u64::MAX)));
        for refused in [
            "",
            "0",
            "000",
            "+1",
            "-1",
            "1.0",
            " 1",
            "1 ",
            "0x1",
            "agent",
            "١",
            "18446744073709551616",
        ] {
            assert_eq!(agent_named(refused), None, "{refused:?}");
        }
    }
}
