//! Captured sessions: what a real endpoint sent once, sent again by every agent.
//!
//! Frames differ by nothing but the session's number, so each is packed once and the number written into it.

use std::path::{Path, PathBuf};

use inventory_sync_core::document::Run;
use inventory_sync_core::wire::{AgentInfo, Item, Mode, Operation};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::packing;

/// Why a file is no captured session.
#[derive(Debug, thiserror::Error)]
pub enum CapturedError {
    /// It cannot be read.
    #[error("--session {path}: {cause}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// It is not what it should be.
    #[error("--session {path}: {what}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// The sessions of one module, in the order of the command line.
#[derive(Debug)]
pub(super) struct CapturedLane {
    /// The module.
    pub(super) module: String,
    /// What the endpoint said of itself.
    pub(super) info: AgentInfo,
    /// Its sessions.
    pub(super) sessions: Vec<CapturedSession>,
}

/// One captured session.
#[derive(Debug)]
pub(super) struct CapturedSession {
    /// Full or Delta.
    pub(super) mode: Mode,
    /// Indices concerned.
    pub(super) indices: Vec<String>,
    /// Its items, by sequence.
    pub(super) items: Vec<CapturedItem>,
    /// Its items as frames, in this order.
    pub(super) frames: Vec<packing::Template>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CapturedItem {
    /// What is done.
    pub(super) operation: Operation,
    /// The agent's own id.
    pub(super) id: String,
    /// The index.
    pub(super) index: String,
    /// The document without white space; none for a delete.
    pub(super) data: Option<Vec<u8>>,
}

impl CapturedItem {
    /// As it goes over the wire.
    pub(super) fn item(&self, seq: u32) -> Item<'_> {
        Item {
            seq: u64::from(seq),
            operation: self.operation,
            id: &self.id,
            index: &self.index,
            data: self.data.as_deref(),
            version: 0,
        }
    }
}

#[derive(Deserialize)]
struct File<'a> {
    metadata: Metadata,
    #[serde(borrow)]
    items: Vec<FileItem<'a>>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Metadata {
    module: String,
    mode: String,
    indices: Vec<String>,
    agentname: String,
    agentversion: String,
    architecture: String,
    hostname: String,
    osname: String,
    osplatform: String,
    ostype: String,
    osversion: String,
    groups: Vec<String>,
}

#[derive(Deserialize)]
struct FileItem<'a> {
    seq: u64,
    operation: String,
    id: String,
    index: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Reads the files and groups their sessions by module, with frames of at most so many bytes.
///
/// # Errors
/// The first file that is none.
pub(super) fn load(
    files: &[PathBuf],
    frame_bytes: usize,
) -> Result<Vec<CapturedLane>, CapturedError> {
    let mut lanes: Vec<CapturedLane> = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(path).map_err(|cause| CapturedError::File {
            path: path.clone(),
            cause,
        })?;
        let (module, info, session) = read(path, &text, frame_bytes)?;
        match lanes.iter_mut().find(|lane| lane.module == module) {
            Some(lane) => lane.sessions.push(session),
            None => lanes.push(CapturedLane {
                module,
                info,
                sessions: vec![session],
            }),
        }
    }
    Ok(lanes)
}

fn read(
    path: &Path,
    text: &str,
    frame_bytes: usize,
) -> Result<(String, AgentInfo, CapturedSession), CapturedError> {
    let wrong = |what: String| CapturedError::Content {
        path: path.to_owned(),
        what,
    };
    let mut file: File<'_> = serde_json::from_str(text)
        .map_err(|error| wrong(format!("it is no captured session: {error}")))?;
    let mode = match file.metadata.mode.as_str() {
        "ModuleFull" | "Full" => Mode::Full,
        "ModuleDelta" | "Delta" => Mode::Delta,
        other => {
            return Err(wrong(format!(
                "its mode {other:?} is neither full nor delta"
            )));
        }
    };
    if file.metadata.module.is_empty() {
        return Err(wrong("it names no module".to_owned()));
    }
    if file.items.is_empty() {
        return Err(wrong("it has no items".to_owned()));
    }
    // Captured in the order of arrival; numbered anew, so that none is missing.
    file.items.sort_by_key(|item| item.seq);
    file.items.dedup_by_key(|item| item.seq);
    let mut items = Vec::with_capacity(file.items.len());
    for item in &file.items {
        let operation = match item.operation.as_str() {
            "Upsert" => Operation::Upsert,
            "Delete" => Operation::Delete,
            other => return Err(wrong(format!("item {}: operation {other:?}", item.seq))),
        };
        let is_upsert = operation == Operation::Upsert;
        let data = item
            .data
            .filter(|_| is_upsert)
            .map(|data| compact(data.get()));
        if is_upsert && data.is_none() {
            return Err(wrong(format!("item {}: an upsert without data", item.seq)));
        }
        items.push(CapturedItem {
            operation,
            id: item.id.clone(),
            index: item.index.clone(),
            data,
        });
    }
    let frames = packing::templates(&items, frame_bytes)
        .ok_or_else(|| wrong("a document is too large for a frame".to_owned()))?;
    let info = info(&file.metadata);
    let session = CapturedSession {
        mode,
        indices: std::mem::take(&mut file.metadata.indices),
        items,
        frames,
    };
    Ok((std::mem::take(&mut file.metadata.module), info, session))
}

fn info(metadata: &Metadata) -> AgentInfo {
    AgentInfo {
        name: metadata.agentname.clone(),
        version: metadata.agentversion.clone(),
        architecture: metadata.architecture.clone(),
        hostname: metadata.hostname.clone(),
        os_name: metadata.osname.clone(),
        os_platform: metadata.osplatform.clone(),
        os_type: metadata.ostype.clone(),
        os_version: metadata.osversion.clone(),
        groups: metadata.groups.clone(),
    }
}

/// JSON without the white space between its tokens, which captures are printed with and endpoints do not send.
fn compact(json: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let (mut is_text, mut is_escaped) = (false, false);
    for byte in json.bytes() {
        if is_text {
            is_text = is_escaped || byte != b'"';
            is_escaped = byte == b'\\' && !is_escaped;
        } else if byte == b'"' {
            is_text = true;
        } else if byte.is_ascii_whitespace() {
            continue;
        }
        out.push(byte);
    }
    out
}

impl CapturedSession {
    /// The first of its frames that begins with that row, if it lies in the run.
    pub(super) fn frame(&self, run: Run) -> Option<&packing::Template> {
        let at = self
            .frames
            .binary_search_by_key(&run.first, |frame| frame.run.first)
            .ok()?;
        self.frames
            .get(at)
            .filter(|frame| frame.run.last <= run.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_goes_and_texts_stay() {
        let json = "{ \"a b\" :\n [1, 2.50 ,\"x \\\" y\\\\\" ] , \"c\":null}\r\n";
        let text = String::from_utf8(compact(json)).unwrap();
        assert_eq!(text, r#"{"a b":[1,2.50,"x \" y\\"],"c":null}"#);
    }

    fn file(mode: &str, items: &str) -> Result<Vec<CapturedLane>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        let text = format!(
            r#"{{"session_id": 1, "metadata": {{"module": "fim", "mode": "{mode}", "indices": ["wazuh-states-fim-files"]}},
                "items": [{items}]}}"#
        );
        std::fs::write(&path, text).unwrap();
        load(&[path.clone(), path], 1 << 16).map_err(|error| error.to_string())
    }

    #[test]
    fn sessions_of_a_module_are_one_lane_with_items_by_sequence() {
        let items = r#"{"seq": 5, "operation": "Delete", "id": "b", "index": "i", "data": {}},
                       {"seq": 2, "operation": "Upsert", "id": "a", "index": "i", "data": {"x": 1}}"#;
        let lanes = file("ModuleDelta", items).unwrap();
        assert_eq!((lanes.len(), lanes[0].sessions.len()), (1, 2));
        let session = &lanes[0].sessions[1];
        assert_eq!(session.mode, Mode::Delta);
        let ids: Vec<_> = session.items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(
            session.items[0].data.as_deref(),
            Some(br#"{"x":1}"#.as_slice())
        );
        assert_eq!(session.items[1].data, None);
        assert!(session.frame(Run::new(0, 1)).is_some());
        assert!(session.frame(Run::one(0)).is_none());
    }

    #[test]
    fn what_is_no_session_is_told() {
        assert!(file("ModuleCheck", "").unwrap_err().contains("ModuleCheck"));
        assert!(file("ModuleDelta", "").unwrap_err().contains("no items"));
        let item = r#"{"seq": 0, "operation": "Upsert", "id": "a", "index": "i"}"#;
        assert!(
            file("ModuleDelta", item)
                .unwrap_err()
                .contains("without data")
        );
        let error = load(&["/nowhere".into()], 1_024).unwrap_err().to_string();
        assert!(error.starts_with("--session /nowhere"), "{error}");
    }
}
