//! Packages of rpm, asked of the `rpm` program: it knows the formats of its own database.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::super::{Roots, Row, Scan, UNKNOWN, iso8601, read};
use super::Part;

/// How long `rpm` may take; it waits for a lock while a package is being installed. After that it is
/// ended and its packages are unavailable.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Most bytes taken from `rpm`; beyond that its answer is refused.
const MAX_OUTPUT_BYTES: u64 = 64 * 1024 * 1024;

/// One line per package, fields separated by tabs. The summary is last, so that a tab in it does no harm.
const FORMAT: &str = "%{NAME}\\t%{EPOCH}\\t%{VERSION}\\t%{RELEASE}\\t%{ARCH}\\t%{VENDOR}\\t%{GROUP}\\t\
                      %{LONGSIZE}\\t%{INSTALLTIME}\\t%{SOURCERPM}\\t%{SUMMARY}\\n";

/// Where rpm keeps its database: the old place and the new.
const DATABASES: [&str; 2] = ["var/lib/rpm", "usr/lib/sysimage/rpm"];

/// Adds the packages that `program` lists.
pub(super) fn read(program: &Path, roots: &Roots, scan: &mut Scan) -> Part {
    let has_entries = |database: &str| {
        std::fs::read_dir(roots.path(database)).is_ok_and(|mut entries| entries.next().is_some())
    };
    if !DATABASES.iter().any(|database| has_entries(database)) {
        return Part::Absent;
    }
    match query(program, roots) {
        Ok(listing) => {
            parse(&listing, scan);
            Part::Read
        }
        Err(what) => Part::Failed(what),
    }
}

/// Runs `rpm -qa`, bounded in time and size.
fn query(program: &Path, roots: &Roots) -> Result<Vec<u8>, String> {
    let mut command = Command::new(program);
    if !roots.is_host() {
        command.arg("--root").arg(roots.root());
    }
    let mut child = command
        .args(["-qa", "--queryformat", FORMAT])
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let Some(stdout) = child.stdout.take() else {
        return Err(format!("{} has no output", program.display()));
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut listing = Vec::new();
        let outcome = stdout
            .take(MAX_OUTPUT_BYTES + 1)
            .read_to_end(&mut listing)
            .map(|_| listing);
        // The receiver is gone after a timeout; then nobody wants the listing.
        let _ = sender.send(outcome);
    });
    let listing = receiver.recv_timeout(TIMEOUT);
    if !matches!(&listing, Ok(Ok(listing)) if listing.len() as u64 <= MAX_OUTPUT_BYTES) {
        // Ending a process that has just ended is no error worth a word.
        let _ = child.kill();
    }
    let status = child.wait();
    let program = program.display();
    match listing {
        Err(_) => Err(format!(
            "{program} did not answer within {} s",
            TIMEOUT.as_secs()
        )),
        Ok(Err(error)) => Err(format!("cannot read the answer of {program}: {error}")),
        Ok(Ok(listing)) if listing.len() as u64 > MAX_OUTPUT_BYTES => Err(format!(
            "{program} listed more than {} MiB",
            MAX_OUTPUT_BYTES >> 20
        )),
        Ok(Ok(listing)) => match status {
            Ok(status) if status.success() => Ok(listing),
            Ok(status) => Err(format!("{program} failed: {status}")),
            Err(error) => Err(format!("cannot learn how {program} ended: {error}")),
        },
    }
}

/// A malformed line costs that package.
fn parse(listing: &[u8], scan: &mut Scan) {
    for line in read::lines(listing) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let fields: Vec<&[u8]> = line.splitn(11, |byte| *byte == b'\t').collect();
        let [
            name,
            epoch,
            version,
            release,
            arch,
            vendor,
            group,
            size,
            installed,
            source,
            summary,
        ] = fields[..]
        else {
            scan.problem(
                "rpm",
                format!("malformed line left out: {}", read::shown(line)),
            );
            continue;
        };
        // Keys for signatures are kept as packages, but nothing is installed.
        if name == b"gpg-pubkey" {
            continue;
        }
        let mut full_version = Vec::new();
        if let Some(epoch) = present(epoch) {
            full_version.extend_from_slice(epoch);
            full_version.push(b':');
        }
        full_version.extend_from_slice(version);
        if let Some(release) = present(release) {
            full_version.push(b'-');
            full_version.extend_from_slice(release);
        }
        let installed = read::parse(installed).and_then(iso8601::utc_from_seconds);
        scan.rows.push(
            Row::new()
                .text("name", name)
                .text("version_", full_version)
                .text_or_unknown("vendor", present(vendor))
                .text_or_unknown("installed", installed)
                .text("path", UNKNOWN)
                .text_or_unknown("architecture", present(arch))
                .text_or_unknown("category", present(group))
                .text_or_unknown("description", present(summary))
                .integer_if("size", read::parse(size))
                .text("priority", UNKNOWN)
                .text("multiarch", "")
                .text_or_unknown("source", present(source))
                .text("type", "rpm"),
        );
    }
}

/// rpm's own word for a missing tag.
fn present(value: &[u8]) -> Option<&[u8]> {
    let value = value.trim_ascii();
    (!value.is_empty() && value != b"(none)").then_some(value)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::super::Value;
    use super::super::super::fixture::Fixture;
    use super::*;

    const LISTING: &[u8] = b"bash\t(none)\t5.1.8\t9.el9\tx86_64\tRed Hat, Inc.\tUnspecified\t7738778\t1700000000\tbash-5.1.8-9.el9.src.rpm\tThe GNU\tBash shell\n\
        gpg-pubkey\t(none)\t1\t2\t(none)\t(none)\tPublic Keys\t0\t1700000000\t(none)\tkey\n\
        dbus\t1\t1.12.20\t8.el9\tx86_64\t(none)\tUnspecified\tmany\tnever\t(none)\tD-BUS\n\
        broken line\n";

    #[test]
    fn lines() {
        let mut scan = Scan::new();
        parse(LISTING, &mut scan);
        assert_eq!(scan.rows.len(), 2);
        assert_eq!(scan.problems.len(), 1);
        let stored = |row: usize, column| scan.rows[row].get(column).unwrap().stored_text();
        assert_eq!(stored(0, "version_"), "5.1.8-9.el9");
        assert_eq!(stored(0, "installed"), "2023-11-14T22:13:20.000Z");
        assert_eq!(stored(0, "description"), "The GNU\tBash shell");
        assert_eq!(scan.rows[0].get("size"), Some(&Value::Integer(7_738_778)));
        assert_eq!(stored(1, "version_"), "1:1.12.20-8.el9");
        assert_eq!(stored(1, "installed"), " ");
        assert_eq!(scan.rows[1].get("size"), None);
    }

    fn program(fixture: &Fixture, script: &str) -> std::path::PathBuf {
        let path = fixture.roots().path("rpm");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_program_is_asked_about_the_given_root() {
        let fixture = Fixture::new().file("usr/lib/sysimage/rpm/rpmdb.sqlite", "x");
        let script = r#"printf 'a\t(none)\t%s\t(none)\tnoarch\t\t\t1\t1\t\t%s\n' "$1" "$2""#;
        let program = program(&fixture, script);
        let mut scan = Scan::new();
        assert!(matches!(
            read(&program, &fixture.roots(), &mut scan),
            Part::Read
        ));
        let stored = |column| scan.rows[0].get(column).unwrap().stored_text();
        assert_eq!(stored("version_"), "--root");
        assert_eq!(
            stored("description"),
            fixture.roots().root().to_str().unwrap()
        );
    }

    #[test]
    fn a_failing_program_is_not_an_empty_list() {
        let fixture = Fixture::new().file("var/lib/rpm/Packages", "x");
        let program = program(&fixture, "exit 3");
        let mut scan = Scan::new();
        let Part::Failed(what) = read(&program, &fixture.roots(), &mut scan) else {
            panic!("not failed");
        };
        assert!(what.contains('3'), "{what}");
    }

    #[test]
    fn no_database_is_absent() {
        let mut scan = Scan::new();
        let part = read(Path::new("rpm"), &Fixture::new().roots(), &mut scan);
        assert!(matches!(part, Part::Absent));
    }
}
