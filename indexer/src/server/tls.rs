//! The server's side of TLS 1.2 and 1.3.

use super::Options;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(format!("{what} has no certificate in PEM form")),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("{what} cannot be read: {error}")),
    }
}

/// The configuration the options describe.
pub fn config(options: &Options) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?;
    let builder = match &options.client_ca_pem {
        None if options.require_client_certificate => {
            return Err(
                "client certificates are required, but no authority for them is given (--ca)"
                    .to_owned(),
            );
        }
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(pem, "the authority of client certificates")? {
                roots
                    .add(authority)
                    .map_err(|error| format!("an authority of client certificates: {error}"))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = if options.require_client_certificate {
                verifier
            } else {
                verifier.allow_unauthenticated()
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
        }
    };
    let chain = certificates(&options.certificate_pem, "the server's certificate")?;
    let key = PrivateKeyDer::from_pem_slice(&options.key_pem)
        .map_err(|error| format!("the server's key cannot be read: {error}"))?;
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| format!("the server's certificate and key do not serve: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
