//! The operating system: os-release and the kernel's own words.

use super::{Category, Outcome, Roots, Row, Scan, Source, read};

/// The operating system. One row; its key is name and version, so an upgrade is another entity.
#[derive(Debug, Clone, Copy)]
pub struct System;

/// Where distributions keep their release file; the first that exists counts (os-release(5)).
const RELEASE_FILES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

impl Source for System {
    fn category(&self) -> Category {
        Category::System
    }

    fn scan(&self, roots: &Roots) -> Outcome {
        let mut release = None;
        for path in RELEASE_FILES.map(|file| roots.path(file)) {
            match read::bytes_if_present(&path) {
                Ok(Some(content)) => {
                    release = Some(content);
                    break;
                }
                Ok(None) => {}
                // Taking the next file, or "Linux", would announce another operating system.
                Err(error) => {
                    return Outcome::unavailable(format!(
                        "cannot read {}: {error}",
                        path.display()
                    ));
                }
            }
        }
        let kernel = |name: &str| read::line(&roots.proc("sys/kernel").join(name));
        if release.is_none() && kernel("osrelease").is_none() {
            return Outcome::unavailable(format!(
                "neither {} nor {} can be read",
                roots.path(RELEASE_FILES[0]).display(),
                roots.proc("sys/kernel/osrelease").display()
            ));
        }
        let release = OsRelease::parse(&release.unwrap_or_default());
        let version = release.get("VERSION").or(release.get("VERSION_ID"));
        let [major, minor, patch] = version_numbers(version.unwrap_or_default());
        let mut scan = Scan::new();
        scan.rows.push(
            Row::new()
                .text_or_unknown("architecture", architecture(roots))
                .text_or_unknown("hostname", kernel("hostname"))
                .text_or_unknown("os_build", release.get("BUILD_ID"))
                .text_or_unknown("os_codename", release.get("VERSION_CODENAME"))
                .text_or_unknown("os_distribution_release", None::<&str>)
                .text_or_unknown("os_full", release.get("PRETTY_NAME"))
                .text_or_unknown("os_kernel_name", kernel("ostype"))
                .text_or_unknown("os_kernel_release", kernel("osrelease"))
                .text_or_unknown("os_kernel_version", kernel("version"))
                .text_or_unknown("os_major", major)
                .text_or_unknown("os_minor", minor)
                .text("os_name", release.get("NAME").unwrap_or("Linux"))
                .text_or_unknown("os_patch", patch)
                .text("os_platform", release.get("ID").unwrap_or("linux"))
                .text("os_type", "linux")
                .text_or_unknown("os_version", version),
        );
        Outcome::Scanned(scan)
    }
}

/// The machine's architecture. Older kernels do not tell it in /proc, and `uname` speaks only of the
/// running system.
fn architecture(roots: &Roots) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;

    if let Some(arch) = read::line(&roots.proc("sys/kernel/arch")) {
        return Some(arch);
    }
    if !roots.is_host() {
        return None;
    }
    let names = nix::sys::utsname::uname().ok()?;
    Some(names.machine().as_bytes().to_vec())
}

/// The assignments of an os-release file: shell-like, `KEY=value`, quotes optional.
struct OsRelease {
    assignments: Vec<(String, String)>,
}

impl OsRelease {
    /// Lines that are no assignment cost themselves only.
    fn parse(content: &[u8]) -> Self {
        let text = String::from_utf8_lossy(content);
        let assignments = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim().to_owned(), unquote(value.trim())))
            .collect();
        Self { assignments }
    }

    /// The last assignment of a key, as a shell would see it; an empty one is none.
    fn get(&self, key: &str) -> Option<&str> {
        self.assignments
            .iter()
            .rev()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.trim().is_empty())
    }
}

/// Takes the quotes off a shell word.
fn unquote(word: &str) -> String {
    if let Some(inner) = word
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        return inner.to_owned();
    }
    let inner = word
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(word);
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            plain.extend(chars.next());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Major, minor and patch: the first run of numbers joined by dots.
fn version_numbers(version: &str) -> [Option<&str>; 3] {
    let digits = version
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .find(|run| run.starts_with(|c: char| c.is_ascii_digit()))
        .unwrap_or_default();
    let mut parts = digits.split('.').filter(|part| !part.is_empty());
    [parts.next(), parts.next(), parts.next()]
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, reason, scanned};
    use super::*;

    fn stored(row: &Row, column: &str) -> String {
        row.get(column).unwrap().stored_text().into_owned()
    }

    #[test]
    fn debian() {
        let fixture = Fixture::new()
            .file(
                "etc/os-release",
                "PRETTY_NAME=\"Debian GNU/Linux 10 (buster)\"\nNAME=\"Debian GNU/Linux\"\n\
                 VERSION_ID=\"10\"\nVERSION=\"10 (buster)\"\nVERSION_CODENAME=buster\nID=debian\n\
                 # a comment\nnonsense\n",
            )
            .file("proc/sys/kernel/hostname", "debian10\n")
            .file("proc/sys/kernel/ostype", "Linux\n")
            .file("proc/sys/kernel/osrelease", "4.19.0\n")
            .file("proc/sys/kernel/arch", "x86_64\n");
        let scan = scanned(System.scan(&fixture.roots()));
        assert!(scan.complete && scan.problems.is_empty());
        let row = &scan.rows[0];
        for (column, text) in [
            ("os_name", "Debian GNU/Linux"),
            ("os_version", "10 (buster)"),
            ("os_major", "10"),
            ("os_minor", " "),
            ("os_codename", "buster"),
            ("os_platform", "debian"),
            ("hostname", "debian10"),
            ("architecture", "x86_64"),
            ("os_kernel_name", "Linux"),
        ] {
            assert_eq!(stored(row, column), text, "{column}");
        }
    }

    #[test]
    fn no_release_file_is_a_linux_of_unknown_version() {
        let fixture = Fixture::new().file("proc/sys/kernel/osrelease", "6.1.0\n");
        let scan = scanned(System.scan(&fixture.roots()));
        assert_eq!(stored(&scan.rows[0], "os_name"), "Linux");
        assert_eq!(stored(&scan.rows[0], "os_version"), " ");
    }

    #[test]
    fn an_unreadable_release_file_is_not_another_system() {
        // A directory in its place fails to read for root, too.
        let fixture = Fixture::new()
            .file("etc/os-release/x", "")
            .file("usr/lib/os-release", "NAME=Other\n");
        assert!(reason(System.scan(&fixture.roots())).contains("etc/os-release"));
    }

    #[test]
    fn versions_and_quotes() {
        assert_eq!(
            version_numbers("22.04.5 LTS (Jammy)"),
            [Some("22"), Some("04"), Some("5")]
        );
        assert_eq!(version_numbers("rolling"), [None, None, None]);
        assert_eq!(unquote(r#""a \"b\" \$c""#), r#"a "b" $c"#);
        assert_eq!(unquote(r"'a \b'"), r"a \b");
        assert_eq!(unquote("\""), "\"");
    }
}
