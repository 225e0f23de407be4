//! What the Indexer answers when it does not do what was asked.

use crate::model::json::Json;

/// Error types, as the server spells them.
pub mod kind {
    /// A version, sequence number or existence condition did not hold: 409.
    pub const VERSION_CONFLICT: &str = "version_conflict_engine_exception";
    /// No index of this name: 404.
    pub const INDEX_NOT_FOUND: &str = "index_not_found_exception";
    /// The index is closed: 400.
    pub const INDEX_CLOSED: &str = "index_closed_exception";
    /// The index is blocked: 403, or 429 for the flood-stage block.
    pub const CLUSTER_BLOCK: &str = "cluster_block_exception";
    /// A field's value does not fit its mapping, or the source is not a JSON object: 400.
    pub const MAPPER_PARSING: &str = "mapper_parsing_exception";
    /// A field that a strict mapping does not have: 400.
    pub const STRICT_MAPPING: &str = "strict_dynamic_mapping_exception";
    /// An argument that cannot be: 400.
    pub const ILLEGAL_ARGUMENT: &str = "illegal_argument_exception";
    /// A request refused before any of it was done: 400.
    pub const VALIDATION: &str = "action_request_validation_exception";
    /// The primary shard is missing: 503.
    pub const UNAVAILABLE_SHARDS: &str = "unavailable_shards_exception";
    /// The index exists already: 400.
    pub const ALREADY_EXISTS: &str = "resource_already_exists_exception";
    /// A name no index can have: 400.
    pub const INVALID_INDEX_NAME: &str = "invalid_index_name_exception";
    /// A scroll that is not open (any more): 404.
    pub const CONTEXT_MISSING: &str = "search_context_missing_exception";
    /// A search that could not be answered (completely): 400, 503 or 404.
    pub const SEARCH_PHASE: &str = "search_phase_execution_exception";
    /// The write queue is full: 429. The model never says it by itself; who injects faults does.
    pub const REJECTED_EXECUTION: &str = "rejected_execution_exception";
}

/// A refusal: status, error type and reason, as the server words them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The HTTP status of the item (of the request, where the request as a whole is refused).
    pub status: u16,
    /// The error type; one of [`kind`] where the engine makes it.
    pub kind: &'static str,
    /// The reason, in the server's words.
    pub reason: String,
    /// Further members of the error object (`index`, `index_uuid`, `shard` ...).
    pub details: Vec<(&'static str, Json)>,
    /// The error behind this one.
    pub caused_by: Option<Box<Cause>>,
    /// What stands in `root_cause`.
    pub root_cause: RootCause,
}

/// What stands in `root_cause` of a refused request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RootCause {
    /// The error itself.
    Itself,
    /// Nothing: no shard said anything.
    Empty,
    /// The error of a shard.
    Shard(Box<Cause>),
}

/// An error behind another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cause {
    /// The error type.
    pub kind: &'static str,
    /// The reason.
    pub reason: String,
    /// Further members of the error object.
    pub details: Vec<(&'static str, Json)>,
    /// The error behind this one.
    pub caused_by: Option<Box<Cause>>,
}

impl Cause {
    /// A cause without a further one.
    pub fn new(kind: &'static str, reason: impl Into<String>) -> Cause {
        Cause {
            kind,
            reason: reason.into(),
            details: Vec::new(),
            caused_by: None,
        }
    }

    /// The error object.
    pub fn json(&self) -> Json {
        let mut members = vec![
            ("type".to_owned(), Json::text(self.kind)),
            ("reason".to_owned(), Json::text(self.reason.as_str())),
        ];
        members.extend(
            self.details
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        if let Some(cause) = &self.caused_by {
            members.push(("caused_by".to_owned(), cause.json()));
        }
        Json::Object(members)
    }

    /// With the error behind it.
    #[must_use]
    pub fn because(mut self, cause: Cause) -> Cause {
        self.caused_by = Some(Box::new(cause));
        self
    }
}

impl Refusal {
    /// A refusal without details.
    pub fn new(status: u16, kind: &'static str, reason: impl Into<String>) -> Refusal {
        Refusal {
            status,
            kind,
            reason: reason.into(),
            details: Vec::new(),
            caused_by: None,
            root_cause: RootCause::Itself,
        }
    }

    /// 400 `illegal_argument_exception`.
    pub fn illegal_argument(reason: impl Into<String>) -> Refusal {
        Refusal::new(400, kind::ILLEGAL_ARGUMENT, reason)
    }

    /// 400 `action_request_validation_exception` with its usual prefix.
    pub fn validation(reason: &str) -> Refusal {
        Refusal::new(
            400,
            kind::VALIDATION,
            format!("Validation Failed: 1: {reason};"),
        )
    }

    /// 404 `index_not_found_exception`; `resource_type` is `index_or_alias`, or `index_expression` for writes.
    pub fn index_not_found(index: &str, resource_type: &str) -> Refusal {
        Refusal::new(
            404,
            kind::INDEX_NOT_FOUND,
            format!("no such index [{index}]"),
        )
        .with("index", Json::text(index))
        .with("resource.id", Json::text(index))
        .with("resource.type", Json::text(resource_type))
        .with("index_uuid", Json::text("_na_"))
    }

    /// With one more member in the error object.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Json) -> Refusal {
        self.details.push((name, value));
        self
    }

    /// With the error behind this one.
    #[must_use]
    pub fn because(mut self, cause: Cause) -> Refusal {
        self.caused_by = Some(Box::new(cause));
        self
    }

    /// A search that failed; `root` is the error of the shards, if one said anything.
    pub fn search_phase(
        status: u16,
        reason: &str,
        root: RootCause,
        failed_shards: Vec<Json>,
    ) -> Refusal {
        let mut refusal = Refusal::new(status, kind::SEARCH_PHASE, reason);
        refusal.details = phase_details(failed_shards);
        refusal.root_cause = root;
        refusal
    }

    /// The body of a refused request.
    pub fn body(&self) -> Json {
        let root = match &self.root_cause {
            RootCause::Itself => {
                let mut itself = vec![
                    ("type".to_owned(), Json::text(self.kind)),
                    ("reason".to_owned(), Json::text(self.reason.as_str())),
                ];
                itself.extend(
                    self.details
                        .iter()
                        .map(|(name, value)| ((*name).to_owned(), value.clone())),
                );
                vec![Json::Object(itself)]
            }
            RootCause::Empty => Vec::new(),
            RootCause::Shard(cause) => vec![Cause::new(cause.kind, cause.reason.as_str()).json()],
        };
        let mut error = vec![("root_cause".to_owned(), Json::Array(root))];
        if let Json::Object(members) = self.item_error() {
            error.extend(members);
        }
        Json::object([
            ("error", Json::Object(error)),
            ("status", Json::int(self.status)),
        ])
    }

    /// The `error` object of an item.
    pub fn item_error(&self) -> Json {
        let mut members = vec![
            ("type".to_owned(), Json::text(self.kind)),
            ("reason".to_owned(), Json::text(self.reason.as_str())),
        ];
        members.extend(
            self.details
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        if let Some(cause) = &self.caused_by {
            members.push(("caused_by".to_owned(), cause.json()));
        }
        Json::Object(members)
    }
}

/// What a failed search says beside its reason.
pub(super) fn phase_details(failed_shards: Vec<Json>) -> Vec<(&'static str, Json)> {
    vec![
        ("phase", Json::text("query")),
        ("grouped", Json::Bool(true)),
        ("failed_shards", Json::Array(failed_shards)),
    ]
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}: {}", self.status, self.kind, self.reason)
    }
}

impl std::error::Error for Refusal {}
