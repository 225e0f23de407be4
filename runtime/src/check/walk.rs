//! One host, from its name to its mappings.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::presented::Witness;
use super::privileges::{self, Refusal};
use super::{Finding, Line, Section, Step, explain};
use crate::config::{Config, Host, IndexerConfig};
use crate::indexer::{Connector, HttpOutcome, JSON, Method, tls};
use crate::templates::remote::{Remote, RemoteError};
use crate::templates::{Basis, IndexReport, Verdict};

/// Walks the steps of one host; those behind a failed one that they need are skipped.
pub(super) async fn host(config: &Config, connector: &Connector, host_index: usize) -> Section {
    let host = &config.indexer.hosts[host_index];
    let mut lines = Vec::with_capacity(Step::ALL.len());
    let mut put = |step: Step, finding| {
        lines.push(Line {
            name: step.name(),
            finding,
        })
    };
    reach(config, connector, host_index, &mut put).await;
    for step in Step::ALL.iter().skip(lines.len()) {
        lines.push(Line {
            name: step.name(),
            finding: Finding::Skipped("after the failure above".to_owned()),
        });
    }
    Section {
        title: host.url(),
        lines,
    }
}

async fn reach(
    config: &Config,
    connector: &Connector,
    host_index: usize,
    put: &mut impl FnMut(Step, Finding),
) {
    let host = &config.indexer.hosts[host_index];
    let addresses = match dns(host).await {
        Ok(addresses) => addresses,
        Err(finding) => return put(Step::Dns, finding),
    };
    let shown: Vec<_> = addresses
        .iter()
        .map(|address| address.ip().to_string())
        .collect();
    put(Step::Dns, Finding::ok(shown.join(", ")));
    let stream = match tcp(&addresses, &config.indexer).await {
        Ok(stream) => stream,
        Err(finding) => return put(Step::Tcp, finding),
    };
    put(
        Step::Tcp,
        Finding::ok(format!("connected to {}", host.authority())),
    );
    let finding = handshake(stream, host, &config.indexer).await;
    let failed = finding.is_failed();
    put(Step::Tls, finding);
    if failed {
        return;
    }
    let remote = Remote::new(connector, host_index, config.indexer.request_deadline);
    let (status, body) = match remote
        .send(Method::Get, "/_cluster/health", JSON, String::new())
        .await
    {
        HttpOutcome::Answer { status, body } => {
            (status, String::from_utf8_lossy(&body).into_owned())
        }
        HttpOutcome::NotSent { reason } | HttpOutcome::Unknown { reason } => {
            return put(
                Step::Http,
                explain::no_answer(&reason, host, &config.indexer),
            );
        }
    };
    let finding = http(status, &body);
    let failed = finding.is_failed();
    put(Step::Http, finding);
    if failed {
        return;
    }
    if status == 401 {
        return put(
            Step::Credentials,
            explain::unauthorized(&body, &config.indexer),
        );
    }
    put(Step::Credentials, Finding::ok(known_as(&config.indexer)));
    behind_the_door(config, &remote, status, &body, put).await;
}

/// What can be seen once we are known: privileges, health, templates.
async fn behind_the_door(
    config: &Config,
    remote: &Remote<'_>,
    health_status: u16,
    health_body: &str,
    put: &mut impl FnMut(Step, Finding),
) {
    let mut refused = Vec::new();
    if health_status == 403 {
        refused.extend(Refusal::read_all("GET /_cluster/health", health_body));
    }
    let indices: Vec<String> = config.modules.values().flatten().cloned().collect();
    let inspected = remote.inspect(&indices).await;
    if let Err(RemoteError::Refused {
        request,
        status: 403,
        body,
    }) = &inspected
    {
        refused.extend(Refusal::read_all(request, body));
    }
    let existing = inspected
        .as_ref()
        .ok()
        .and_then(|reports| reports.iter().find(|r| r.basis == Basis::Index));
    let existing = existing.map(|report| report.index.as_str());
    refused.extend(privileges::try_actions(remote, existing, &config.writer.cluster_name).await);
    put(Step::Privileges, privileges::judge(&refused, existing));
    put(Step::Health, health(health_status, health_body));
    put(
        Step::Templates,
        match &inspected {
            Ok(reports) => templates(reports, config.indexer.write_without_template),
            Err(RemoteError::Refused { status: 403, .. }) => {
                Finding::Skipped("they cannot be seen without the privileges above".to_owned())
            }
            Err(error) => Finding::failed(error.to_string(), "look into the Indexer's log"),
        },
    );
}

async fn dns(host: &Host) -> Result<Vec<SocketAddr>, Finding> {
    if host.is_unspecified() {
        return Err(Finding::failed(
            format!(
                "{} is the address a server listens on to be reached from everywhere; it is nobody's address",
                host.name
            ),
            "write the Indexer's name, as it stands in its certificate, into indexer.hosts (on the same machine often localhost or 127.0.0.1)",
        ));
    }
    let unknown = |why: String| {
        Finding::failed(
            format!("the name {} has no address: {why}", host.name),
            "correct the name in indexer.hosts, or make it known in DNS or /etc/hosts",
        )
    };
    match tokio::net::lookup_host((host.name.as_str(), host.port)).await {
        Ok(addresses) => {
            let addresses: Vec<_> = addresses.collect();
            if addresses.is_empty() {
                Err(unknown("the answer is empty".to_owned()))
            } else {
                Ok(addresses)
            }
        }
        Err(error) => Err(unknown(error.to_string())),
    }
}

/// The first address that answers, or why the last one did not.
async fn tcp(addresses: &[SocketAddr], config: &IndexerConfig) -> Result<TcpStream, Finding> {
    let mut finding = Finding::failed("there is no address to connect to", "correct indexer.hosts");
    for address in addresses {
        let error = match timeout(config.connect_timeout, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => std::io::ErrorKind::TimedOut.into(),
        };
        finding = explain::tcp(*address, &error);
    }
    Err(finding)
}

async fn handshake(stream: TcpStream, host: &Host, config: &IndexerConfig) -> Finding {
    let (connector, witness) = match witnessed(config) {
        Ok(both) => both,
        Err(text) => return Finding::failed(text, "name the right files in [indexer]"),
    };
    let Ok(name) = ServerName::try_from(host.name.clone()) else {
        return Finding::failed(
            format!("{:?} is not a name a certificate can have", host.name),
            "write a DNS name or an address into indexer.hosts",
        );
    };
    match timeout(config.connect_timeout, connector.connect(name, stream)).await {
        Err(_) => Finding::failed(
            format!(
                "{} accepts connections and does not answer the TLS handshake",
                host.authority()
            ),
            "is the port another service's? Is the Indexer overloaded?",
        ),
        Ok(Ok(stream)) => {
            let version = stream
                .get_ref()
                .1
                .protocol_version()
                .map_or("TLS", |version| match version {
                    rustls::ProtocolVersion::TLSv1_2 => "TLS 1.2",
                    rustls::ProtocolVersion::TLSv1_3 => "TLS 1.3",
                    _ => "TLS",
                });
            Finding::ok(format!(
                "{version}, the certificate is for {} and from a known authority",
                host.name
            ))
        }
        Ok(Err(error)) => match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            Some(error) => explain::tls(error, host, config, &witness.presented()),
            None => Finding::failed(
                format!(
                    "{} closed the connection during the TLS handshake: {error}",
                    host.authority()
                ),
                "is the port another service's? Look into the Indexer's log",
            ),
        },
    }
}

/// The connector's own TLS, with a verifier that remembers the certificate.
fn witnessed(config: &IndexerConfig) -> Result<(TlsConnector, Arc<Witness>), String> {
    let mut roots = RootCertStore::empty();
    for path in &config.certificate_authorities {
        for certificate in
            tls::certificates(path, "certificate authority").map_err(|error| error.to_string())?
        {
            roots
                .add(certificate)
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| format!("the authorities cannot be used: {error}"))?;
    let witness = Arc::new(Witness::new(verifier));
    let mut client = tls::client_config(config).map_err(|error| error.to_string())?;
    client
        .dangerous()
        .set_certificate_verifier(Arc::clone(&witness) as Arc<_>);
    Ok((TlsConnector::from(Arc::new(client)), witness))
}

fn http(status: u16, body: &str) -> Finding {
    match status {
        200 | 401 | 403 | 408 => Finding::ok("it answers"),
        _ if explain::is_starting(status, body) => Finding::failed(
            format!("the Indexer is starting (503 {})", body.trim()),
            "wait some seconds and check again; `serve` waits by itself. If it stays so, its security index was never set up",
        ),
        300..=399 => Finding::failed(
            format!("the health of the cluster is redirected elsewhere ({status})"),
            "name the Indexer itself, not a proxy or dashboard in front of it",
        ),
        _ => {
            let start: String = body.chars().take(120).collect();
            Finding::failed(
                format!("the health of the cluster is answered with {status}: {start}"),
                "is this an OpenSearch-compatible Indexer, or something else on its port?",
            )
        }
    }
}

fn known_as(config: &IndexerConfig) -> String {
    match (&config.credentials, &config.client_certificate) {
        (Some(credentials), _) => format!("known as {}", credentials.user),
        (None, Some((certificate, _))) => format!("known by {}", certificate.display()),
        (None, None) => "none are asked for".to_owned(),
    }
}

fn health(status: u16, body: &str) -> Finding {
    if status == 403 {
        return Finding::Skipped("it cannot be seen without the privileges above".to_owned());
    }
    let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    match body.get("status").and_then(Value::as_str) {
        Some("green") => Finding::ok("green"),
        Some("yellow") => Finding::ok(
            "yellow: some copies of data have no node, as with a single node; that does not hinder us",
        ),
        Some("red") => {
            let missing = body.get("unassigned_shards").and_then(Value::as_u64);
            let shards = missing.map_or_else(String::new, |count| {
                format!(", {count} shards have no node")
            });
            Finding::failed(
                format!("red: some data cannot be reached{shards}"),
                "GET /_cluster/allocation/explain says why; until then `serve` admits no session",
            )
        }
        _ => Finding::failed(
            "the answer does not say green, yellow or red",
            "is this an OpenSearch-compatible Indexer?",
        ),
    }
}

fn templates(reports: &[IndexReport], write_all_the_same: bool) -> Finding {
    let of = |verdict: Verdict| {
        reports
            .iter()
            .filter(move |report| report.verdict == verdict)
    };
    let (missing, different) = (of(Verdict::Missing).count(), of(Verdict::Different).count());
    if missing + different == 0 {
        let warnings: usize = reports.iter().map(|report| report.warnings.len()).sum();
        let more = match warnings {
            0 => "",
            _ => "; `inventory-sync templates diff` has warnings",
        };
        return Finding::ok(format!("fit all {} indices{more}", reports.len()));
    }
    let mut found = Vec::new();
    let some = |verdict| {
        let names: Vec<_> = of(verdict)
            .take(3)
            .map(|report| report.index.as_str())
            .collect();
        let more = of(verdict).count().saturating_sub(names.len());
        if more > 0 {
            format!("{} and {more} more", names.join(", "))
        } else {
            names.join(", ")
        }
    };
    if missing > 0 {
        found.push(format!(
            "{missing} of {} indices have no template: {}",
            reports.len(),
            some(Verdict::Missing)
        ));
    }
    if let Some(first) = of(Verdict::Different).next() {
        let mut text = format!(
            "{different} of {} have other fields: {}",
            reports.len(),
            some(Verdict::Different)
        );
        if let Some(difference) = first.differences.first() {
            text += &format!(" (in {}: {difference})", first.index);
        }
        found.push(text);
    }
    let found = found.join("; ");
    if write_all_the_same {
        return Finding::Warning(format!(
            "{found}; written to all the same, since indexer.write_without_template is set"
        ));
    }
    let remedy = if different > 0 {
        "`inventory-sync templates diff` shows every field, `inventory-sync templates install` puts ours in place; `serve` does not write to these indices before"
    } else {
        "`inventory-sync templates install` installs them; `serve` does not write to these indices before"
    };
    Finding::failed(found, remedy)
}
