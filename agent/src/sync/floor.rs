//! The highest version heard of, kept from one run to the next (`docs/protocol.md` section 5).

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use inventory_sync_core::id::Version;

use super::SettingsError;

/// Longest file that is read: a number and a line break.
const FILE_BYTES_MAX: u64 = 64;

/// The floor, and where it is kept.
#[derive(Debug)]
pub(super) struct Floor {
    version: Version,
    path: Option<PathBuf>,
}

impl Floor {
    /// Reads it. A file that cannot be understood counts as none, with a sentence that says so: a lower
    /// floor loses nothing that the manager still knows.
    pub(super) fn open(
        state: Option<&Path>,
        agent: u64,
    ) -> Result<(Self, Option<String>), SettingsError> {
        let Some(directory) = state else {
            let floor = Self {
                version: Version(0),
                path: None,
            };
            return Ok((floor, None));
        };
        let unusable = |path: &Path, cause| SettingsError::File {
            what: "the state",
            path: path.to_owned(),
            cause,
        };
        fs::create_dir_all(directory).map_err(|cause| unusable(directory, cause))?;
        let path = directory.join(format!("agent-{agent:03}.version-floor"));
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => b"0".to_vec(),
            Err(error) => return Err(unusable(&path, error)),
        };
        let version = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let complaint = version.is_none().then(|| {
            format!(
                "{} holds no version and counts as none; it is written anew",
                path.display()
            )
        });
        let floor = Self {
            version: Version(version.unwrap_or(0)),
            path: Some(path),
        };
        Ok((floor, complaint))
    }

    pub(super) const fn version(&self) -> Version {
        self.version
    }

    /// Keeps a higher one durably; a lower one changes nothing.
    ///
    /// # Errors
    ///
    /// A sentence; the floor counts for this run nevertheless.
    pub(super) fn raise(&mut self, version: Version) -> Result<(), String> {
        if version <= self.version {
            return Ok(());
        }
        self.version = version;
        let Some(path) = &self.path else {
            return Ok(());
        };
        write(path, version).map_err(|error| {
            format!(
                "the version floor cannot be kept in {}: {error}",
                path.display()
            )
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut text)?;
    Ok(text)
}

/// The old content or the new, whatever happens meanwhile.
fn write(path: &Path, version: Version) -> io::Result<()> {
    let next = path.with_extension("new");
    let mut file = File::create(&next)?;
    writeln!(file, "{version}")?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_outlives_the_run_and_never_goes_back() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let open = || Floor::open(Some(&state), 1).unwrap();
        let (mut floor, complaint) = open();
        assert_eq!((floor.version(), complaint), (Version(0), None));
        floor.raise(Version(2_048)).unwrap();
        floor.raise(Version(1_024)).unwrap();
        assert_eq!(open().0.version(), Version(2_048));
        assert_eq!(
            Floor::open(Some(&state), 2).unwrap().0.version(),
            Version(0)
        );
        let names: Vec<_> = fs::read_dir(&state)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["agent-001.version-floor"]);
    }

    #[test]
    fn a_damaged_file_is_told_and_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("agent-001.version-floor"), b"\xff7").unwrap();
        let (mut floor, complaint) = Floor::open(Some(directory.path()), 1).unwrap();
        assert_eq!(floor.version(), Version(0));
        assert!(complaint.unwrap().contains("holds no version"));
        floor.raise(Version(5)).unwrap();
        let (floor, complaint) = Floor::open(Some(directory.path()), 1).unwrap();
        assert_eq!((floor.version(), complaint), (Version(5), None));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = Floor::open(Some(&file), 1).unwrap_err().to_string();
        assert!(error.contains("file"), "{error}");
    }
}
