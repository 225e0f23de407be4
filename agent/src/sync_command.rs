//! `inventory-agent sync`: arguments, output and exit codes.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use inventory_agent::provider::{Category, Roots};
use inventory_agent::sync::{
    self, Address, Ending, Plain, Progress, Report, Settings, Silent, Terminal,
};

/// What the exit codes mean, for the help.
pub const EXIT_CODES: &str = "Exit codes:
  0  stored: the Indexer has every document
  1  not stored: no verdict says that anything was stored, or the result could not be written
  2  wrong usage: an argument, a certificate or a key that cannot be used; nothing was sent
  3  stored in part: documents were refused, or a category that could not be read completely was left out

Documents that are unchanged are not written again by the manager. A run that fails harms nothing: the next
one brings everything.";

const NOT_STORED: u8 = 1;
const USAGE: u8 = 2;
const PARTIALLY: u8 = 3;

#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Scan once, bring it, and end with the verdict
    #[arg(long, required = true)]
    once: bool,

    /// Where the manager listens
    #[arg(long, env = "INVENTORY_AGENT_MANAGER", value_name = "HOST:PORT")]
    manager: Address,

    /// The name that the manager's certificate must have [default: the host of --manager]
    #[arg(long, env = "INVENTORY_AGENT_SERVER_NAME", value_name = "NAME")]
    server_name: Option<String>,

    /// The authority that signed the manager's certificate (PEM)
    #[arg(long, env = "INVENTORY_AGENT_CA", value_name = "FILE")]
    ca: PathBuf,

    /// This agent's certificate (PEM); its common name is the agent's number
    #[arg(long, env = "INVENTORY_AGENT_CERTIFICATE", value_name = "FILE")]
    certificate: PathBuf,

    /// The certificate's key (PEM)
    #[arg(long, env = "INVENTORY_AGENT_KEY", value_name = "FILE")]
    key: PathBuf,

    /// Which agent this is; refused if the certificate says another [default: what the certificate says]
    #[arg(long, env = "INVENTORY_AGENT_ID", value_name = "NUMBER",
          value_parser = clap::value_parser!(u64).range(1..))]
    agent: Option<u64>,

    /// Only this category (may be repeated): system, hardware, packages, processes, ports, interfaces,
    /// protocols, networks, users, groups
    #[arg(long = "category", value_name = "CATEGORY")]
    categories: Vec<Category>,

    /// Also TCP sockets that do not listen
    #[arg(long)]
    all_ports: bool,

    /// The top of the file tree to read: a mounted image instead of the running system
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    root: PathBuf,

    /// A directory that keeps what the next run must know of the manager's versions
    #[arg(long, env = "INVENTORY_AGENT_STATE", value_name = "DIRECTORY")]
    state: Option<PathBuf>,

    /// When to give up, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,

    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,

    /// No progress
    #[arg(long, short)]
    quiet: bool,
}

impl SyncArgs {
    fn settings(self) -> Settings {
        Settings {
            manager: self.manager,
            server_name: self.server_name,
            ca: self.ca,
            certificate: self.certificate,
            key: self.key,
            agent: self.agent,
            categories: self.categories,
            all_ports: self.all_ports,
            roots: Roots::at(self.root),
            state: self.state,
            timeout: Duration::from_secs(self.timeout),
        }
    }
}

/// Runs the command.
pub fn sync(args: SyncArgs) -> ExitCode {
    // Whoever asks for "the" provider of cryptography gets this one; there is none before it.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        eprintln!("inventory-agent: a provider of cryptography is installed already");
        return ExitCode::from(NOT_STORED);
    }
    let json = args.json;
    let mut progress: Box<dyn Progress> = if args.quiet {
        Box::new(Silent)
    } else if io::stderr().is_terminal() {
        Box::new(Terminal::default())
    } else {
        Box::new(Plain::default())
    };
    let done = sync::once(&args.settings(), progress.as_mut());
    // Takes its line off the screen.
    drop(progress);
    let report = match done {
        Ok(report) => report,
        Err(error) => {
            eprintln!("inventory-agent: {error}");
            return ExitCode::from(USAGE);
        }
    };
    match show(&report, json) {
        Ok(()) => {}
        // Whoever read us has seen enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            eprintln!("inventory-agent: cannot write the result: {error}");
            return ExitCode::from(NOT_STORED);
        }
    }
    match report.ending() {
        Ending::Stored => ExitCode::SUCCESS,
        Ending::Partially => ExitCode::from(PARTIALLY),
        Ending::NotStored => ExitCode::from(NOT_STORED),
    }
}

fn show(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{:#}", report.to_json())
    } else {
        write!(out, "{report}")
    }
}
