//! The `<indexer>` block of an existing `ossec.conf` (`docs/protocol.md` section 10).
//!
//! Such a file is not one XML document: it may have several roots, and most of it is none of our
//! business. So it is read as a stream of events, and only what stands inside an `<indexer>` block
//! is looked at; unknown elements are skipped. As in the daemon the file belongs to, a later block
//! replaces what an earlier one said.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::layers::{Value, line_of};

/// What an `<indexer>` block says; values carry the line they stand on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct IndexerBlock {
    /// Whether there is such a block at all.
    pub found: bool,
    /// `<enabled>`; a block that does not say is enabled.
    pub enabled: bool,
    hosts: Vec<(String, usize)>,
    authorities: Vec<(String, usize)>,
    certificate: Option<(String, usize)>,
    key: Option<(String, usize)>,
}

/// Where and why the file cannot be read.
#[derive(Debug)]
pub(super) struct OssecError {
    pub line: usize,
    pub message: String,
}

impl IndexerBlock {
    /// The settings it stands for, each with its line; none when it is disabled.
    pub(super) fn settings(&self) -> Vec<(&'static str, Value, usize)> {
        if !self.enabled {
            return Vec::new();
        }
        let list = |key, values: &[(String, usize)]| {
            let line = values.first()?.1;
            Some((
                key,
                Value::List(values.iter().map(|(text, _)| text.clone()).collect()),
                line,
            ))
        };
        let text = |key, value: &Option<(String, usize)>| {
            value
                .as_ref()
                .map(|(text, line)| (key, Value::Text(text.clone()), *line))
        };
        [
            list("indexer.hosts", &self.hosts),
            list("indexer.certificate_authorities", &self.authorities),
            text("indexer.certificate", &self.certificate),
            text("indexer.key", &self.key),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn take(&mut self, path: &[String], value: String, line: usize) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["enabled"] => self.enabled = value != "no",
            ["hosts", "host"] => self.hosts.push((value, line)),
            ["ssl", "certificate_authorities", "ca"] => self.authorities.push((value, line)),
            ["ssl", "certificate"] => self.certificate = Some((value, line)),
            ["ssl", "key"] => self.key = Some((value, line)),
            _ => {}
        }
    }
}

/// Reads the file's `<indexer>` block.
///
/// # Errors
///
/// The text is not XML up to the end of the block, with the line.
pub(super) fn read(text: &str) -> Result<IndexerBlock, OssecError> {
    let mut reader = Reader::from_str(text);
    // Roots beside roots and stray ends are common in such files; only our block must be whole.
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
    reader.config_mut().allow_dangling_amp = true;
    let mut block = IndexerBlock::default();
    // Elements open inside the block; `None` outside of one.
    let mut open: Option<Vec<String>> = None;
    let mut content = String::new();
    let mut began = 0;
    loop {
        let before = usize::try_from(reader.buffer_position()).unwrap_or(text.len());
        let wrong = |offset: u64, message: String| OssecError {
            line: line_of(text, usize::try_from(offset).unwrap_or(text.len())),
            message: format!("this is not XML: {message}"),
        };
        let event = match reader.read_event() {
            Ok(event) => event,
            Err(error) => return Err(wrong(reader.error_position(), error.to_string())),
        };
        match event {
            Event::Eof if open.is_some() => {
                return Err(OssecError {
                    line: line_of(text, text.len()),
                    message: "the file ends inside its <indexer> block".to_owned(),
                });
            }
            Event::Eof => return Ok(block),
            Event::Start(start) => {
                let name = start.name().as_ref().to_owned();
                match &mut open {
                    Some(path) => path.push(name),
                    None if name == "indexer" => {
                        block = IndexerBlock {
                            found: true,
                            enabled: true,
                            ..IndexerBlock::default()
                        };
                        open = Some(Vec::new());
                    }
                    None => {}
                }
                content.clear();
                began = before;
            }
            Event::End(end) => {
                let name = end.name().as_ref().to_owned();
                let line = line_of(text, before);
                match open.as_mut().map(|path| (path.last().cloned(), path)) {
                    None => {}
                    Some((None, _)) if name == "indexer" => open = None,
                    Some((Some(last), path)) if last == name => {
                        block.take(path, content.trim().to_owned(), line_of(text, began));
                        path.pop();
                    }
                    Some(_) => {
                        return Err(OssecError {
                            line,
                            message: format!("</{name}> closes nothing that is open here"),
                        });
                    }
                }
                content.clear();
            }
            Event::Text(piece) if open.is_some() => content.push_str(&piece.xml10_content()),
            Event::CData(piece) if open.is_some() => content.push_str(&piece.xml10_content()),
            Event::GeneralRef(reference) if open.is_some() => {
                match reference.resolve_char_ref() {
                    Ok(Some(character)) => content.push(character),
                    _ => content.push_str(match reference.xml10_content().as_ref() {
                        "amp" => "&",
                        "lt" => "<",
                        "gt" => ">",
                        "quot" => "\"",
                        "apos" => "'",
                        _ => "",
                    }),
                };
            }
            _ => {}
        }
    }
}
