//! `inventory-sync certs`: a development authority and what it signs.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::certs::{Authority, CertsError, Subject, Validity, default_file_name};

#[derive(Debug, Subcommand)]
pub(super) enum CertsCommand {
    /// Make a new authority: DIR/ca.pem and DIR/ca-key.pem
    Init {
        /// Where it is kept; made if needed
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Its name
        #[arg(long, default_value = "inventory-sync development authority")]
        name: String,
        /// How long it counts, in days
        #[arg(long, default_value_t = 3_650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
    /// Make a key and a certificate signed by the authority in DIR
    Issue {
        /// Where the authority is, and where the files are written
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        #[command(flatten)]
        subject: SubjectArgs,
        /// Name of the files, without .pem [default: server, agent-001, admin, …]
        #[arg(long, value_name = "NAME")]
        file: Option<String>,
        /// How long it counts, in days
        #[arg(long, default_value_t = 825, value_parser = clap::value_parser!(u32).range(1..=36_500))]
        days: u32,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct SubjectArgs {
    /// For a server, by its names and addresses
    #[arg(long, value_name = "NAME", num_args = 1..)]
    server: Vec<String>,
    /// For an agent, by its number
    #[arg(long, value_name = "ID")]
    agent: Option<u64>,
    /// For the Indexer's administrator (common name admin)
    #[arg(long)]
    admin: bool,
    /// For a client of the Indexer, by its user's name there
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "inventory-sync")]
    indexer_client: Option<String>,
}

impl SubjectArgs {
    fn subject(self) -> Subject {
        match (self.agent, self.indexer_client) {
            (Some(id), _) => Subject::Agent(id),
            (None, Some(name)) => Subject::Client(name),
            (None, None) if self.admin => Subject::Client("admin".to_owned()),
            (None, None) => Subject::Server(self.server),
        }
    }
}

impl CertsCommand {
    pub(super) fn execute(self) -> Result<String, CertsError> {
        match self {
            CertsCommand::Init { dir, name, days } => {
                let written = Authority::new(&name, Validity::days(days))?.save(&dir)?;
                Ok(told(
                    &written,
                    "the authority",
                    "keep the key to yourself: whoever has it can be any agent",
                ))
            }
            CertsCommand::Issue {
                dir,
                subject,
                file,
                days,
            } => {
                let authority = Authority::load(&dir)?;
                let subject = subject.subject();
                let name = file.unwrap_or_else(|| match &subject {
                    Subject::Client(name) if name == "inventory-sync" => {
                        "indexer-client".to_owned()
                    }
                    subject => default_file_name(subject),
                });
                let written = authority
                    .issue(&subject, Validity::days(days))?
                    .save(&dir, &name)?;
                let who = match &subject {
                    Subject::Server(names) => format!("a server ({})", names.join(", ")),
                    Subject::Agent(id) => format!("agent {id}"),
                    Subject::Client(name) => format!("{name}, a client of the Indexer"),
                };
                Ok(told(
                    &written,
                    &who,
                    "it counts where this authority is trusted",
                ))
            }
        }
    }
}

fn told(written: &[PathBuf], who: &str, note: &str) -> String {
    let path = |place: usize| {
        written
            .get(place)
            .map(PathBuf::as_path)
            .unwrap_or(Path::new(""))
            .display()
            .to_string()
    };
    format!(
        "certificate  {}\nkey          {}\nfor {who}; {note}",
        path(0),
        path(1)
    )
}
