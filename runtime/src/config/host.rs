//! Where an Indexer host is: `https://NAME:PORT`.

/// The port of the Indexer when a host does not say one.
const INDEXER_PORT: u16 = 9200;

/// One Indexer host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Name or address, without brackets.
    pub name: String,
    /// Port.
    pub port: u16,
}

impl Host {
    /// `NAME:PORT`, with brackets around an IPv6 address.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.name.contains(':') {
            format!("[{}]:{}", self.name, self.port)
        } else {
            format!("{}:{}", self.name, self.port)
        }
    }

    /// `https://NAME:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.authority())
    }

    /// Whether it is the address that means "every interface" to a listener and nothing to a client.
    #[must_use]
    pub fn is_unspecified(&self) -> bool {
        self.name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_unspecified())
    }
}

/// The URL without the user and password that somebody may have put into it: of what stands before the
/// last `@` only a scheme is left.
pub(super) fn redacted_url(url: &str) -> String {
    let Some((before, host)) = url.rsplit_once('@') else {
        return url.to_owned();
    };
    match before.split_once("://") {
        Some((scheme, _)) if is_http(scheme) => format!("{scheme}://…@{host}"),
        _ => format!("…@{host}"),
    }
}

fn is_http(scheme: &str) -> bool {
    ["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Why a text names no host.
pub(super) enum HostError {
    Plaintext,
    Unusable(&'static str),
}

/// `https://NAME[:PORT][/]`, and nothing else.
pub(super) fn parse_host(url: &str) -> Result<Host, HostError> {
    let unusable = HostError::Unusable;
    if url
        .get(..7)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"))
    {
        return Err(HostError::Plaintext);
    }
    if !url
        .get(..8)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
    {
        return Err(unusable("is not a host: write https://NAME:PORT"));
    }
    let rest = url[8..].strip_suffix('/').unwrap_or(&url[8..]);
    if rest.contains('@') {
        return Err(unusable(
            "names a user: use indexer.user and indexer.password_file instead",
        ));
    }
    if rest.contains(['/', '?', '#']) {
        return Err(unusable("has a path: only https://NAME:PORT is understood"));
    }
    let (name, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, after)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(unusable("has no IPv6 address between its brackets"));
            }
            (
                address,
                after
                    .strip_prefix(':')
                    .unwrap_or(if after.is_empty() { "" } else { "?" }),
            )
        }
        None => rest.split_once(':').unwrap_or((rest, "")),
    };
    let port = match port {
        "" => INDEXER_PORT,
        digits => digits
            .parse()
            .map_err(|_| unusable("has no usable port: 1 to 65535"))?,
    };
    if port == 0 {
        return Err(unusable("has no usable port: 1 to 65535"));
    }
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(unusable("names no host: write https://NAME:PORT"));
    }
    Ok(Host {
        name: name.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::redacted_url;

    #[test]
    fn of_what_stands_before_the_host_a_scheme_is_left() {
        for (url, shown) in [
            ("https://a:9200", "https://a:9200"),
            ("https://user:secret@a:9200", "https://…@a:9200"),
            ("HTTP://user:se@cret@a", "HTTP://…@a"),
            ("user:secret@a", "…@a"),
            // What looks like a scheme may stand behind the password, or end in it.
            ("user:secret@s://a", "…@s://a"),
            ("user:secret://x@a", "…@a"),
        ] {
            assert_eq!(redacted_url(url), shown);
        }
    }
}
