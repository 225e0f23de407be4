//! Certificates of agents, signed in memory, and what they trust.

use std::path::Path;
use std::sync::Arc;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

use crate::certs::{Authority, CertsError, Subject, Validity};

/// Longer than any run.
const VALID_DAYS: u32 = 30;

/// Why agents have no certificates.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is no authority, or it cannot sign.
    #[error(transparent)]
    Certs(#[from] CertsError),
    /// TLS cannot be used.
    #[error("--certs: TLS cannot be set up: {0}")]
    Tls(String),
}

/// All agents of a run: one authority, one key, a certificate each.
pub(super) struct Fleet {
    authority: Authority,
    key: KeyPair,
    signing: Arc<dyn SigningKey>,
    verifier: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl Fleet {
    /// Reads the authority of that folder.
    ///
    /// # Errors
    /// There is none, or it is of no use.
    pub(super) fn load(folder: &Path) -> Result<Self, IdentityError> {
        let tls = |error: &dyn std::fmt::Display| IdentityError::Tls(error.to_string());
        let authority = Authority::load(folder)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| tls(&error))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = provider
            .key_provider
            .load_private_key(private)
            .map_err(|error| tls(&error))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.certificate_pem().as_bytes()) {
            roots
                .add(certificate.map_err(|error| tls(&error))?)
                .map_err(|error| tls(&error))?;
        }
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| tls(&error))?;
        Ok(Self {
            authority,
            key,
            signing,
            verifier,
            provider,
        })
    }

    /// TLS 1.3 with a certificate of that agent. Sessions are not resumed: what is measured is the daemon
    /// with agents that come anew.
    pub(super) fn client(&self, agent: u64) -> Result<Arc<ClientConfig>, IdentityError> {
        let validity = Validity::days(VALID_DAYS);
        let certificate = self
            .authority
            .certify(&Subject::Agent(agent), &self.key, validity)?;
        let chain = vec![certificate.der().clone()];
        let certified = CertifiedKey::new(chain, Arc::clone(&self.signing));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| IdentityError::Tls(error.to_string()))?
            .with_webpki_verifier(Arc::clone(&self.verifier))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;

    #[test]
    fn every_agent_has_its_own_name_and_all_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("Test CA", Validity::days(1)).unwrap();
        authority.save(folder.path()).unwrap();
        let fleet = Fleet::load(folder.path()).unwrap();
        let mut keys = Vec::new();
        for agent in [1, 2_000] {
            fleet.client(agent).unwrap();
            let validity = Validity::days(VALID_DAYS);
            let signed = fleet
                .authority
                .certify(&Subject::Agent(agent), &fleet.key, validity)
                .unwrap();
            let (_, parsed) = X509Certificate::from_der(signed.der()).unwrap();
            let name = parsed.subject().iter_common_name().next().unwrap();
            assert_eq!(name.as_str().unwrap(), agent.to_string());
            keys.push(parsed.public_key().raw.to_vec());
        }
        assert_eq!(keys[0], keys[1]);
        assert!(matches!(fleet.client(0), Err(IdentityError::Certs(_))));
    }

    #[test]
    fn without_an_authority_there_is_advice() {
        let folder = tempfile::tempdir().unwrap();
        let error = Fleet::load(folder.path()).err().unwrap().to_string();
        assert!(error.contains("inventory-sync certs init"), "{error}");
    }
}
