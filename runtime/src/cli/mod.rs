//! The command line.
//!
//! Invariants: what was asked for goes to standard output, everything else to standard error; the
//! exit code is 0 if all is well, 1 if not, 2 if the command line itself is wrong (`replay` has 3 for what was
//! not finished).

mod certs;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::admin::client::ask;
use crate::admin::{Request, Response};
use crate::check;
use crate::config::{Config, Need, Settings, Sources};
use crate::demo;
use crate::indexer::Connector;
use crate::logging;
use crate::replay;
use crate::serve::{self, Ended};
use crate::templates::remote::{Remote, RemoteError};

/// Takes endpoints' inventory in sessions and delivers it to an OpenSearch-compatible Indexer.
#[derive(Debug, Parser)]
#[command(name = "inventory-sync", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    sources: SourceArgs,
    /// Show the effective value of every setting and where it came from, and end; no secrets
    #[arg(long, global = true)]
    print_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Args)]
struct SourceArgs {
    /// Configuration file [default: inventory-sync.toml, else /etc/inventory-sync/inventory-sync.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// An existing ossec.conf, whose <indexer> block says where the Indexer is
    #[arg(long, global = true, value_name = "FILE")]
    ossec_conf: Option<PathBuf>,
    /// One setting, over file and environment; may be repeated (no passwords: arguments are public)
    #[arg(long, global = true, value_name = "SECTION.NAME=VALUE")]
    set: Vec<String>,
}

impl SourceArgs {
    fn sources(&self) -> Sources {
        let Self {
            config,
            ossec_conf,
            set,
        } = self.clone();
        Sources::of_process(config, ossec_conf, set)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon until SIGTERM or SIGINT
    Serve,
    /// Show how the running daemon is doing
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Act on one index of the running daemon
    #[command(subcommand)]
    Index(IndexCommand),
    /// Compare or install the index templates
    #[command(subcommand)]
    Templates(TemplatesCommand),
    /// Check the configuration, then each Indexer host step by step; changes nothing
    Check,
    /// Make a development authority and certificates signed by it
    #[command(subcommand)]
    Certs(certs::CertsCommand),
    /// Put load on a running daemon: many agents at once, with generated or captured documents
    Replay(Box<replay::Options>),
    /// Show everything on this machine: agent, daemon and a stand-in for the Indexer
    Demo(demo::Options),
}

#[derive(Debug, Subcommand)]
enum IndexCommand {
    /// Go on with the sessions that wait for this index
    Resume {
        /// Exact name of the index
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum TemplatesCommand {
    /// Install a template for every index whose mapping would not take our documents
    Install,
    /// Show which indices would not take our documents, field by field
    Diff {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the process's command line.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        // It has more to say by its exit code.
        Some(Command::Replay(options)) if !cli.print_config => {
            replay::run(options, &cli.sources.sources())
        }
        _ => finish(cli.execute()),
    }
}

/// What a command ends with: what it shows, and whether all is well.
type Ending = Result<(String, bool), String>;

fn finish(ending: Ending) -> ExitCode {
    let (text, is_ok) = match ending {
        Ok(ending) => ending,
        Err(error) => {
            eprintln!("inventory-sync: {error}");
            return ExitCode::FAILURE;
        }
    };
    if !text.is_empty() {
        // A reader that has seen enough (`| head`) is no error.
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    }
    if is_ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Cli {
    fn execute(self) -> Ending {
        let sources = self.sources.sources();
        if self.print_config {
            let settings = Settings::read(&sources);
            let text = settings.print();
            let sound = Config::from_settings(settings, Need::Local).map(|config| warn(&config));
            // Shown in any case: it helps to find what is wrong.
            return Ok((
                text,
                sound
                    .map_err(|errors| eprintln!("inventory-sync: {errors}"))
                    .is_ok(),
            ));
        }
        match self.command {
            None => {
                Err("what shall be done? `inventory-sync --help` lists the commands".to_owned())
            }
            Some(Command::Serve) => run_daemon(&sources),
            Some(Command::Status { json }) => status(&sources, json),
            Some(Command::Index(IndexCommand::Resume { name })) => {
                told(&sources, &Request::IndexResume { index: name })
            }
            Some(Command::Templates(command)) => {
                block_on(templates(&load(&sources, Need::Indexer)?, &command))?
            }
            Some(Command::Check) => {
                let report = block_on(check::run(Config::load(&sources, Need::Indexer)))?;
                Ok((report.to_string(), report.is_ok()))
            }
            Some(Command::Certs(command)) => command
                .execute()
                .map_err(|error| error.to_string())
                .map(|text| (text, true)),
            // Ran before this, see `run`.
            Some(Command::Replay(_)) => Ok((String::new(), true)),
            // It speaks as it goes.
            Some(Command::Demo(options)) => demo::run(&options)
                .map_err(|error| error.to_string())
                .map(|is_shown| (String::new(), is_shown)),
        }
    }
}

fn run_daemon(sources: &Sources) -> Ending {
    let config = load(sources, Need::Indexer)?;
    logging::install(&config.log).map_err(|error| error.to_string())?;
    match serve::run(config) {
        Ok(Ended::Clean) => Ok(("stopped; every request was answered".to_owned(), true)),
        Ok(Ended::Unclean) => {
            let text = "stopped; the next start waits before it deletes";
            Ok((text.to_owned(), true))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn load(sources: &Sources, need: Need) -> Result<Config, String> {
    let config = Config::load(sources, need).map_err(|errors| errors.to_string())?;
    warn(&config);
    Ok(config)
}

fn warn(config: &Config) {
    for warning in &config.warnings {
        eprintln!("inventory-sync: warning: {warning}");
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the process cannot wait for the network: {error}"))?;
    Ok(runtime.block_on(future))
}

fn asked(sources: &Sources, request: &Request) -> Result<Response, String> {
    let config = load(sources, Need::Local)?;
    if config.admin_socket.as_os_str().is_empty() {
        return Err("admin.socket is empty, so there is no way to ask the daemon".to_owned());
    }
    ask(&config.admin_socket, request).map_err(|error| error.to_string())
}

fn status(sources: &Sources, json: bool) -> Ending {
    match asked(sources, &Request::Status)? {
        Response::Status(status) if json => Ok((
            serde_json::to_string_pretty(&status).map_err(|error| error.to_string())?,
            true,
        )),
        Response::Status(status) => Ok((status.to_string(), true)),
        Response::Done { message } | Response::Refused { message } => Err(message),
    }
}

fn told(sources: &Sources, request: &Request) -> Ending {
    match asked(sources, request)? {
        Response::Done { message } => Ok((message, true)),
        Response::Refused { message } => Err(message),
        Response::Status(_) => {
            Err("the daemon answered another question; are both of the same version?".to_owned())
        }
    }
}

/// Asks the first host that answers: templates belong to the cluster, not to a host.
async fn templates(config: &Config, command: &TemplatesCommand) -> Ending {
    let connector = Connector::new(&config.indexer).map_err(|error| error.to_string())?;
    let indices: Vec<String> = config.modules.values().flatten().cloned().collect();
    let mut silent = Vec::new();
    for host_index in 0..config.indexer.hosts.len() {
        let remote = Remote::new(&connector, host_index, config.indexer.request_deadline);
        let ending = match command {
            TemplatesCommand::Diff { json } => remote.inspect(&indices).await.map(|reports| {
                let is_ok = reports
                    .iter()
                    .all(crate::templates::IndexReport::is_writable);
                let text = if *json {
                    serde_json::to_string_pretty(&reports).ok()
                } else {
                    None
                };
                (text.unwrap_or_else(|| lines(&reports)), is_ok)
            }),
            TemplatesCommand::Install => remote.install(&indices).await.map(|done| {
                let is_ok = done
                    .iter()
                    .all(crate::templates::remote::Installed::is_settled);
                (lines(&done), is_ok)
            }),
        };
        match ending {
            Ok(ending) => return Ok(ending),
            Err(error @ RemoteError::NoAnswer { .. }) => {
                silent.push(format!(
                    "{}: {error}",
                    config.indexer.hosts[host_index].url()
                ));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(format!(
        "{}\n`inventory-sync check` shows where it fails",
        silent.join("\n")
    ))
}

fn lines(items: &[impl ToString]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
