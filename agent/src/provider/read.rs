//! Bounded reading of files whose content the system decides.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

/// Largest file read whole, in bytes. A larger one is an error, never a silently shortened file.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// The whole content of a file.
pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!(
            "the file is larger than {} MiB",
            MAX_FILE_BYTES >> 20
        )));
    }
    Ok(content)
}

/// The content of a file if there is one: `None` if it does not exist.
pub(super) fn bytes_if_present(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match bytes(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A small kernel file as one trimmed line, or `None` if it cannot be read or is empty: for facts that
/// may be missing.
pub(super) fn line(path: &Path) -> Option<Vec<u8>> {
    let content = bytes(path).ok()?;
    let line = content.split(|byte| *byte == b'\n').next()?.trim_ascii();
    (!line.is_empty()).then(|| line.to_vec())
}

/// A number that stands alone in a small kernel file.
pub(super) fn number(path: &Path) -> Option<i64> {
    parse(&line(path)?)
}

/// A number written in ASCII.
pub(super) fn parse<T: FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes.trim_ascii()).ok()?.parse().ok()
}

/// The lines of a file, without their line breaks.
pub(super) fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The words of a line.
pub(super) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}

/// Bytes for a message: lossy, one line, short.
pub(super) fn shown(bytes: &[u8]) -> String {
    const SHOWN_CHARS: usize = 60;
    let text = String::from_utf8_lossy(bytes);
    let mut shown: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN_CHARS)
        .collect();
    if text.chars().count() > SHOWN_CHARS {
        shown.push('…');
    }
    shown
}
