//! `inventory-sync check`: is the configuration right, and would each host take what we send?
//!
//! ```text
//!  configuration ─▶ per host: dns ▶ tcp ▶ tls ▶ http ▶ credentials ▶ privileges ▶ health ▶ templates
//!                              │ one line each: ok, failed (and what to do), skipped (and why)
//! ```
//!
//! Invariants: nothing is written; the one write that is tried, to learn whether it is allowed, carries
//! a condition that no document can meet. What is told is told in the user's terms, and a failure
//! always says what to do.

mod explain;
mod presented;
mod privileges;
#[cfg(test)]
mod tests;
mod walk;

use std::fmt;

use crate::config::{Config, ConfigErrors, RouterTls};
use crate::indexer::{Connector, tls};

/// The steps for one host, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its name has an address.
    Dns,
    /// Something listens there.
    Tcp,
    /// It is who it should be, and speaks TLS.
    Tls,
    /// It answers requests.
    Http,
    /// It knows us.
    Credentials,
    /// It lets us do what we need.
    Privileges,
    /// It is well.
    Health,
    /// Its mappings take our documents.
    Templates,
}

impl Step {
    /// All of them.
    pub const ALL: [Step; 8] = [
        Step::Dns,
        Step::Tcp,
        Step::Tls,
        Step::Http,
        Step::Credentials,
        Step::Privileges,
        Step::Health,
        Step::Templates,
    ];

    /// As it is shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Step::Dns => "dns",
            Step::Tcp => "tcp",
            Step::Tls => "tls",
            Step::Http => "http",
            Step::Credentials => "credentials",
            Step::Privileges => "privileges",
            Step::Health => "health",
            Step::Templates => "templates",
        }
    }
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is fine; what was found.
    Ok(String),
    /// It is not.
    Failed {
        /// What was found.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// It works and is probably not meant.
    Warning(String),
    /// It could not be tried; why.
    Skipped(String),
}

impl Finding {
    fn ok(found: impl Into<String>) -> Self {
        Finding::Ok(found.into())
    }

    fn failed(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding::Failed {
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    fn is_failed(&self) -> bool {
        matches!(self, Finding::Failed { .. })
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What was looked at.
    pub name: &'static str,
    /// What came of it.
    pub finding: Finding,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, text) = match &self.finding {
            Finding::Ok(found) => ("ok", found),
            Finding::Failed { found, .. } => ("FAILED", found),
            Finding::Warning(found) => ("warning", found),
            Finding::Skipped(why) => ("skipped", why),
        };
        write!(f, "  {:<13} {state:<8} {text}", self.name)?;
        if let Finding::Failed { remedy, .. } = &self.finding {
            write!(f, "\n                         → {remedy}")?;
        }
        Ok(())
    }
}

/// What was found about one host, or about the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it is about.
    pub title: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.title)?;
        for line in &self.lines {
            write!(f, "\n{line}")?;
        }
        Ok(())
    }
}

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The configuration, then each host.
    pub sections: Vec<Section>,
}

impl Report {
    /// Whether nothing failed: the exit code is 0.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.sections
            .iter()
            .flat_map(|section| &section.lines)
            .all(|line| !line.finding.is_failed())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in &self.sections {
            writeln!(f, "{section}\n")?;
        }
        let failed = self
            .sections
            .iter()
            .flat_map(|section| &section.lines)
            .filter(|line| line.finding.is_failed())
            .count();
        match failed {
            0 => write!(f, "All is well."),
            1 => write!(f, "One step failed."),
            _ => write!(f, "{failed} steps failed."),
        }
    }
}

/// Looks at the configuration and then at each host.
pub async fn run(config: Result<Config, ConfigErrors>) -> Report {
    let config = match config {
        Ok(config) => config,
        Err(errors) => {
            let line = |error: &crate::config::ConfigError| Line {
                name: "settings",
                finding: Finding::failed(
                    error.to_string(),
                    "correct it; hosts are looked at once the configuration is right",
                ),
            };
            let lines = errors.0.iter().map(line).collect();
            return Report {
                sections: vec![Section {
                    title: "configuration".to_owned(),
                    lines,
                }],
            };
        }
    };
    let mut lines = vec![Line {
        name: "settings",
        finding: Finding::ok("every value is in its range and order"),
    }];
    for warning in &config.warnings {
        lines.push(Line {
            name: "settings",
            finding: Finding::Warning(warning.clone()),
        });
    }
    if let Some(router) = &config.router.tls {
        lines.push(Line {
            name: "agents' tls",
            finding: router_files(router),
        });
    }
    let connector = Connector::new(&config.indexer);
    lines.push(Line {
        name: "indexer's tls",
        finding: match &connector {
            Ok(_) => Finding::ok(match &config.indexer.client_certificate {
                Some((certificate, _)) => {
                    format!("authorities and {} can be used", certificate.display())
                }
                None => "authorities can be used; no client certificate".to_owned(),
            }),
            Err(error) => Finding::failed(
                error.to_string(),
                "name the right files in [indexer], readable by this user",
            ),
        },
    });
    let mut sections = vec![Section {
        title: "configuration".to_owned(),
        lines,
    }];
    if let Ok(connector) = connector {
        for host_index in 0..config.indexer.hosts.len() {
            sections.push(walk::host(&config, &connector, host_index).await);
        }
    }
    Report { sections }
}

fn router_files(router: &RouterTls) -> Finding {
    let certificate = tls::certificates(&router.certificate, "agents' listener's certificate");
    let key = tls::private_key(&router.key, "agents' listener's key");
    let authority = tls::certificates(&router.client_ca, "agents' authority");
    match (certificate, key, authority) {
        (Ok(_), Ok(_), Ok(_)) => {
            Finding::ok(format!("{} can be used", router.certificate.display()))
        }
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => Finding::failed(
            error.to_string(),
            "name the right files in [router], readable by this user",
        ),
    }
}
