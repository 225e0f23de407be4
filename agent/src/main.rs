//! `inventory-agent`: the endpoint's command line.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use inventory_agent::inventory::{self, Inventory, Options, State};
use inventory_agent::provider::{Category, Roots};
use inventory_agent::report::{self, Layout};

#[cfg(feature = "sync")]
mod sync_command;

/// Reads the inventory of this machine, and brings it to a manager.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what is on this machine, as it would be sent; nothing is sent or changed.
    #[command(after_help = SCAN_EXIT_CODES)]
    Scan(ScanArgs),

    /// Bring this machine's inventory to a manager, which delivers it to the Indexer
    #[cfg(feature = "sync")]
    #[command(after_help = sync_command::EXIT_CODES)]
    Sync(sync_command::SyncArgs),
}

const SCAN_EXIT_CODES: &str = "Exit codes:
  0  the scan was shown
  1  no category at all could be read, or the output could not be written
  2  wrong usage
  3  with --strict: the scan was shown, but a category is unavailable or incomplete";

#[derive(Debug, Args)]
struct ScanArgs {
    /// Print all documents as one JSON array of {index, id, document}
    #[arg(long)]
    json: bool,

    /// Only this category (may be repeated): system, hardware, packages, processes, ports, interfaces,
    /// protocols, networks, users, groups
    #[arg(long = "category", value_name = "CATEGORY")]
    categories: Vec<Category>,

    /// Rows shown per category; 0 for the summary alone
    #[arg(long, value_name = "ROWS", default_value_t = 5)]
    limit: usize,

    /// Also TCP sockets that do not listen
    #[arg(long)]
    all_ports: bool,

    /// The top of the file tree to read: a mounted image instead of the running system
    #[arg(long, value_name = "DIRECTORY", default_value = "/")]
    root: PathBuf,

    /// Exit with 3 when a category is unavailable or incomplete
    #[arg(long)]
    strict: bool,
}

const FAILED: u8 = 1;
const NOT_ALL: u8 = 3;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Scan(args) => scan(&args),
        #[cfg(feature = "sync")]
        Command::Sync(args) => sync_command::sync(args),
    }
}

fn scan(args: &ScanArgs) -> ExitCode {
    let mut options = Options::now();
    options.roots = Roots::at(&args.root);
    options.all_ports = args.all_ports;
    if !args.categories.is_empty() {
        options
            .categories
            .retain(|category| args.categories.contains(category));
    }
    let inventory = inventory::collect(&options);
    match show(args, &inventory) {
        Ok(()) => {}
        // Whoever read us has seen enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            eprintln!("inventory-agent: cannot write the scan: {error}");
            return ExitCode::from(FAILED);
        }
    }
    exit_code(args.strict, &inventory)
}

fn show(args: &ScanArgs, inventory: &Inventory) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        report::write_json(&mut out, inventory)?;
        out.flush()?;
        // An array of documents has no place for these.
        for category in &inventory.categories {
            let name = category.category;
            match &category.state {
                State::Unavailable { reason } => {
                    eprintln!("inventory-agent: {name} is unavailable: {reason}");
                }
                State::Incomplete => eprintln!("inventory-agent: {name} is incomplete"),
                State::Complete => {}
            }
        }
        return Ok(());
    }
    let layout = Layout {
        limit: args.limit,
        width: None,
    };
    report::write_tables(&mut out, inventory, layout)?;
    out.flush()
}

fn exit_code(strict: bool, inventory: &Inventory) -> ExitCode {
    let states = || inventory.categories.iter().map(|category| &category.state);
    if states().all(|state| matches!(state, State::Unavailable { .. })) {
        return ExitCode::from(FAILED);
    }
    if strict && states().any(|state| *state != State::Complete) {
        return ExitCode::from(NOT_ALL);
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_names_every_category() {
        let mut cli = Cli::command();
        let scan = cli.find_subcommand_mut("scan").unwrap();
        let help = scan.render_long_help().to_string();
        for category in Category::ALL {
            assert!(help.contains(category.name()), "{category}");
        }
    }
}
