//! Who asks, and what is answered to nobody.

use super::Options;
use super::connection::Peer;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;

/// What is known of who asks.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A user.
    User,
    /// No, wrong or malformed credentials.
    Unauthorized,
    /// A certificate of a trusted authority whose name is no user's; a good password does not help it.
    UnknownCertificate(String),
}

/// Judges a request.
pub fn judge(options: &Options, peer: &Peer, headers: &HeaderMap) -> Verdict {
    if let Peer::Certificate(name) = peer {
        return if options.certificate_users.is_empty() || options.certificate_users.contains(name) {
            Verdict::User
        } else {
            Verdict::UnknownCertificate(name.clone())
        };
    }
    if options.users.is_empty() && options.client_ca_pem.is_none() {
        return Verdict::User;
    }
    match credentials(headers) {
        Some((name, password))
            if options
                .users
                .iter()
                .any(|user| user.name == name && user.password == password) =>
        {
            Verdict::User
        }
        Some(_) | None => Verdict::Unauthorized,
    }
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let text = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded.trim())
        .ok()?;
    let (name, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}
