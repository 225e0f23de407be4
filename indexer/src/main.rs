//! `inventory-indexer`: the stand-in as a program.

use clap::Parser;
use inventory_indexer::model::engine::Release;
use inventory_indexer::server::{self, Options, User};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// A stand-in Indexer over HTTPS. Documents are kept in memory only.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; beyond 127.0.0.1 only with users.
    #[arg(long, default_value = "127.0.0.1:9200")]
    listen: SocketAddr,
    /// The server's certificate chain (PEM).
    #[arg(long)]
    certificate: PathBuf,
    /// The server's private key (PEM).
    #[arg(long)]
    key: PathBuf,
    /// Authorities of client certificates (PEM); a certificate of theirs is a user.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Refuse the TLS handshake without a client certificate.
    #[arg(long, requires = "ca")]
    require_client_certificate: bool,
    /// Take only client certificates with this common name as users (may be repeated).
    #[arg(long, requires = "ca", value_name = "NAME")]
    certificate_user: Vec<String>,
    /// The user who may ask with a password.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A file with the password; else the environment variable INVENTORY_INDEXER_PASSWORD is read.
    #[arg(long, requires = "user", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The largest request body; more is answered with 413.
    #[arg(long, default_value_t = 100 << 20, value_name = "BYTES")]
    max_content_length: u64,
    /// How often writes become visible to searches.
    #[arg(long, default_value_t = 1000, value_name = "MS")]
    refresh_interval_ms: u64,
    /// Keep of state documents only ids, versions, checksums and overlays: for large loads. What it would need more
    /// for is answered with 501
    #[arg(long)]
    sink: bool,
    /// Do not create an index because something is written to it.
    #[arg(long)]
    no_auto_create: bool,
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn options(arguments: Arguments) -> Result<Options, String> {
    let password = match (
        &arguments.password_file,
        std::env::var("INVENTORY_INDEXER_PASSWORD"),
    ) {
        (Some(path), _) => {
            let text = String::from_utf8(read(path)?)
                .map_err(|_| format!("the password in {} is not UTF-8", path.display()))?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        (None, Ok(password)) => Some(password),
        (None, Err(_)) => None,
    };
    let users = match (arguments.user, password) {
        (Some(name), Some(password)) => vec![User { name, password }],
        (Some(name), None) => {
            return Err(format!(
                "user {name} has no password: give --password-file, or set INVENTORY_INDEXER_PASSWORD"
            ));
        }
        (None, _) => Vec::new(),
    };
    let mut options = Options::new(read(&arguments.certificate)?, read(&arguments.key)?);
    options.listen = arguments.listen;
    options.client_ca_pem = arguments.ca.as_deref().map(read).transpose()?;
    options.require_client_certificate = arguments.require_client_certificate;
    options.certificate_users = arguments.certificate_user;
    options.users = users;
    options.content_length_max = arguments.max_content_length;
    options.refresh_interval_ms = arguments.refresh_interval_ms;
    options.auto_create = !arguments.no_auto_create;
    options.release = Release::V3;
    options.sink = arguments.sink;
    Ok(options)
}

/// Returns when the process is asked to end.
async fn asked_to_end() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn run() -> Result<(), String> {
    let signals = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    let handle = server::spawn(options(Arguments::parse())?).map_err(|error| error.to_string())?;
    println!("inventory-indexer listens on https://{}", handle.address());
    signals
        .block_on(asked_to_end())
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    handle.stop();
    Ok(())
}

fn main() -> ExitCode {
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("inventory-indexer: a TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    let filter =
        EnvFilter::try_from_env("INVENTORY_INDEXER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("inventory-indexer: {fault}");
            ExitCode::FAILURE
        }
    }
}
