//! Templates and mappings of a real Indexer: reading, judging, installing.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use inventory_sync_schemas::{fields, templates};
use serde_json::Value;
use tokio::time::Instant;

use super::{Basis, Difference, IndexReport, Verdict, compare, winning_template};
use crate::indexer::{Connector, HttpOutcome, HttpRequest, JSON, Method};

/// Why the Indexer could not be asked.
#[derive(Debug)]
pub enum RemoteError {
    /// There was no answer.
    NoAnswer {
        /// The request.
        request: String,
        /// Why.
        reason: String,
    },
    /// It answered with a refusal.
    Refused {
        /// The request.
        request: String,
        /// Status.
        status: u16,
        /// Body, as a text.
        body: String,
    },
    /// It answered with something else than JSON.
    NotJson {
        /// The request.
        request: String,
    },
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemoteError::NoAnswer { request, reason } => {
                write!(f, "{request}: no answer: {reason}")
            }
            RemoteError::NotJson { request } => write!(
                f,
                "{request}: the answer is not JSON; is this an OpenSearch?"
            ),
            RemoteError::Refused {
                request,
                status,
                body,
            } => {
                let reason = serde_json::from_str::<Value>(body)
                    .ok()
                    .and_then(|body| reason_of(&body));
                let reason = reason.unwrap_or_else(|| body.chars().take(200).collect());
                write!(f, "{request}: refused with {status}: {reason}")
            }
        }
    }
}

impl std::error::Error for RemoteError {}

/// `error.reason`, or what stands in its place.
fn reason_of(body: &Value) -> Option<String> {
    let error = body.get("error")?;
    error
        .get("reason")
        .and_then(Value::as_str)
        .or_else(|| error.as_str())
        .map(str::to_owned)
}

/// One host, asked one request after the other.
pub struct Remote<'a> {
    connector: &'a Connector,
    host_index: usize,
    deadline: Duration,
}

impl<'a> Remote<'a> {
    /// Asks that host; each request has `deadline`.
    #[must_use]
    pub fn new(connector: &'a Connector, host_index: usize, deadline: Duration) -> Self {
        Remote {
            connector,
            host_index,
            deadline,
        }
    }

    /// One request, whatever becomes of it.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: String,
    ) -> HttpOutcome {
        let request = HttpRequest {
            host_index: self.host_index,
            method,
            path_and_query: path.to_owned(),
            body: vec![Bytes::from(body)],
            content_type,
            deadline: Instant::now() + self.deadline,
            not_after: None,
        };
        self.connector.execute(request).await
    }

    /// One request whose answer is JSON; `None` for a 404.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<Option<Value>, RemoteError> {
        let request = format!("{} {path}", method.name());
        match self.send(method, path, JSON, body).await {
            HttpOutcome::Answer { status: 404, .. } => Ok(None),
            HttpOutcome::Answer {
                status: 200 | 201,
                body,
            } => serde_json::from_slice(&body)
                .map(Some)
                .map_err(|_| RemoteError::NotJson { request }),
            HttpOutcome::Answer { status, body } => Err(RemoteError::Refused {
                request,
                status,
                body: String::from_utf8_lossy(&body).into_owned(),
            }),
            HttpOutcome::NotSent { reason } | HttpOutcome::Unknown { reason } => {
                Err(RemoteError::NoAnswer {
                    request,
                    reason: reason.text,
                })
            }
        }
    }

    /// Judges every index named, in that order, on the index where it exists, else on the template
    /// that would win.
    ///
    /// # Errors
    ///
    /// The Indexer could not be asked.
    pub async fn inspect(&self, indices: &[String]) -> Result<Vec<IndexReport>, RemoteError> {
        let all = self.all_templates().await?;
        let mut reports = Vec::with_capacity(indices.len());
        for index in indices {
            reports.push(self.inspect_one(&all, index).await?);
        }
        Ok(reports)
    }

    async fn all_templates(&self) -> Result<Value, RemoteError> {
        Ok(self
            .ask(Method::Get, "/_index_template/*", String::new())
            .await?
            .unwrap_or(Value::Null))
    }

    async fn inspect_one(&self, all: &Value, index: &str) -> Result<IndexReport, RemoteError> {
        let Some(schema) = fields::index(index) else {
            let warning =
                "the field table does not know this index: nothing can be said about its mapping"
                    .to_owned();
            return Ok(report(
                index,
                Basis::Nothing,
                Verdict::Unknown,
                vec![warning],
            ));
        };
        if let Some(answer) = self
            .ask(Method::Get, &format!("/{index}"), String::new())
            .await?
        {
            // By its only entry, not by name: an alias answers with the index behind it.
            let entry = answer
                .as_object()
                .and_then(|indices| indices.values().next())
                .unwrap_or(&Value::Null);
            let (mappings, settings) = parts(entry);
            return Ok(compare(schema, Basis::Index, mappings, settings));
        }
        let Some((name, winner)) = winning_template(all, index) else {
            return Ok(report(index, Basis::Nothing, Verdict::Missing, Vec::new()));
        };
        let basis = Basis::Template(name.to_owned());
        let composed = winner
            .get("composed_of")
            .and_then(Value::as_array)
            .is_some_and(|parts| !parts.is_empty());
        if composed {
            // Its own text is not all of it; the Indexer can put the parts together.
            let path = format!("/_index_template/_simulate_index/{index}");
            if let Ok(Some(merged)) = self.ask(Method::Post, &path, String::new()).await {
                let (mappings, settings) = parts(merged.get("template").unwrap_or(&Value::Null));
                return Ok(compare(schema, basis, mappings, settings));
            }
        }
        let (mappings, settings) = parts(winner.get("template").unwrap_or(&Value::Null));
        let mut report = compare(schema, basis, mappings, settings);
        if composed {
            report.warnings.push(format!(
                "template {name} is composed of component templates this user may not read; it was judged without them"
            ));
        }
        Ok(report)
    }

    /// Installs a template for every index whose own, or whose winning template, does not fit.
    ///
    /// # Errors
    ///
    /// The Indexer could not be asked; what was installed until then stays.
    pub async fn install(&self, indices: &[String]) -> Result<Vec<Installed>, RemoteError> {
        let all = self.all_templates().await?;
        let mut done = Vec::with_capacity(indices.len());
        for index in indices {
            let report = self.inspect_one(&all, index).await?;
            let result = match (report.verdict, fields::index(index)) {
                (Verdict::Unknown, _) | (_, None) => InstallResult::Unknown,
                (Verdict::Fits, _) => InstallResult::Left(report.basis),
                (Verdict::Different | Verdict::Missing, Some(schema)) => {
                    let ours = templates::name(schema);
                    match stronger_template(&all, index, &ours) {
                        Some((name, priority)) => InstallResult::Overruled { name, priority },
                        None => {
                            let path = format!("/_index_template/{ours}");
                            if self
                                .ask(Method::Put, &path, templates::template(schema))
                                .await?
                                .is_none()
                            {
                                let request = format!("PUT {path}");
                                return Err(RemoteError::Refused {
                                    request,
                                    status: 404,
                                    body: String::new(),
                                });
                            }
                            match report.basis {
                                Basis::Index => InstallResult::IndexStays {
                                    name: ours,
                                    differences: report.differences,
                                },
                                Basis::Template(_) | Basis::Nothing => {
                                    InstallResult::Installed(ours)
                                }
                            }
                        }
                    }
                }
            };
            done.push(Installed {
                index: index.clone(),
                result,
            });
        }
        Ok(done)
    }
}

/// A template of another name that would win over ours: of higher priority, since the Indexer refuses
/// two of the same priority whose patterns overlap.
fn stronger_template(all: &Value, index: &str, ours: &str) -> Option<(String, u64)> {
    let (name, winner) = winning_template(all, index)?;
    let priority = winner.get("priority").and_then(Value::as_u64).unwrap_or(0);
    (name != ours && priority > u64::from(templates::PRIORITY)).then(|| (name.to_owned(), priority))
}

fn parts(entry: &Value) -> (&Value, &Value) {
    (
        entry.get("mappings").unwrap_or(&Value::Null),
        entry.get("settings").unwrap_or(&Value::Null),
    )
}

fn report(index: &str, basis: Basis, verdict: Verdict, warnings: Vec<String>) -> IndexReport {
    IndexReport {
        index: index.to_owned(),
        basis,
        verdict,
        differences: Vec::new(),
        warnings,
    }
}

/// What `templates install` did for one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// The index.
    pub index: String,
    /// What was done.
    pub result: InstallResult,
}

/// What was done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallResult {
    /// It fits already.
    Left(Basis),
    /// Our template of that name is there now, and a new index will get it.
    Installed(String),
    /// Our template is there now, but the index exists with other types, which nothing can change.
    IndexStays {
        /// Our template.
        name: String,
        /// What does not fit in the index.
        differences: Vec<Difference>,
    },
    /// Nothing was installed: another template would win over ours.
    Overruled {
        /// Its name.
        name: String,
        /// Its priority.
        priority: u64,
    },
    /// The field table does not know the index.
    Unknown,
}

impl Installed {
    /// Whether documents can be written to the index now.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        match self.result {
            InstallResult::Left(_) | InstallResult::Installed(_) | InstallResult::Unknown => true,
            InstallResult::IndexStays { .. } | InstallResult::Overruled { .. } => false,
        }
    }
}

impl fmt::Display for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = &self.index;
        match &self.result {
            InstallResult::Left(Basis::Template(name)) => {
                write!(f, "left       {index}: template {name} fits")
            }
            InstallResult::Left(_) => write!(f, "left       {index}: the index fits"),
            InstallResult::Installed(name) => write!(f, "installed  {index}: template {name}"),
            InstallResult::Unknown => {
                write!(f, "skipped    {index}: the field table does not know it")
            }
            InstallResult::Overruled { name, priority } => write!(
                f,
                "failed     {index}: template {name} does not fit and wins by its priority {priority} over ours ({}); \
                 correct it, or lower its priority",
                templates::PRIORITY
            ),
            InstallResult::IndexStays { name, differences } => {
                write!(
                    f,
                    "failed     {index}: template {name} is installed, but the index exists and its types cannot be \
                     changed; reindex it under another name, or delete it and let the agents send again"
                )?;
                for difference in differences {
                    write!(f, "\n             {difference}")?;
                }
                Ok(())
            }
        }
    }
}
