//! Packages of dpkg: its status file, stanza by stanza.

use super::super::{Roots, Row, Scan, UNKNOWN, read};
use super::Part;

/// Adds the installed packages of the status file.
pub(super) fn read(roots: &Roots, scan: &mut Scan) -> Part {
    if !roots.path("var/lib/dpkg").is_dir() {
        return Part::Absent;
    }
    let path = roots.path("var/lib/dpkg/status");
    let content = match read::bytes(&path) {
        Ok(content) => content,
        Err(error) => return Part::Failed(format!("cannot read {}: {error}", path.display())),
    };
    parse(&content, scan);
    Part::Read
}

/// A malformed stanza costs that stanza.
fn parse(content: &[u8], scan: &mut Scan) {
    let mut stanza = Stanza::default();
    for (number, line) in read::lines(content).enumerate() {
        if line.trim_ascii().is_empty() {
            std::mem::take(&mut stanza).finish(scan);
        } else {
            stanza.line(number + 1, line);
        }
    }
    stanza.finish(scan);
}

/// The fields of one package as far as they were read.
#[derive(Default)]
struct Stanza<'a> {
    first_line: usize,
    fields: Vec<(&'a [u8], &'a [u8])>,
    malformed: Option<&'a [u8]>,
}

impl<'a> Stanza<'a> {
    fn line(&mut self, number: usize, line: &'a [u8]) {
        if self.first_line == 0 {
            self.first_line = number;
        }
        // The continuation of the field above; only first lines are of interest.
        if line[0].is_ascii_whitespace() {
            return;
        }
        match line.iter().position(|byte| *byte == b':') {
            Some(colon) if colon > 0 => self.fields.push((&line[..colon], &line[colon + 1..])),
            _ => self.malformed = self.malformed.or(Some(line)),
        }
    }

    /// The first line of a field, trimmed; names are compared without case. An empty one is none.
    fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.trim_ascii())
            .filter(|value| !value.is_empty())
    }

    fn finish(self, scan: &mut Scan) {
        if self.first_line == 0 {
            return;
        }
        let entry = |stanza: &Self| match stanza.get("Package") {
            Some(name) => format!("package {}", read::shown(name)),
            None => format!("dpkg status line {}", stanza.first_line),
        };
        if let Some(line) = self.malformed {
            let what = format!("malformed stanza left out: {}", read::shown(line));
            return scan.problem(entry(&self), what);
        }
        let Some(status) = self.get("Status") else {
            return scan.problem(entry(&self), "left out: its stanza has no Status");
        };
        // "want flag state": removed packages keep a stanza for their configuration.
        let mut words = read::words(status).skip(1);
        if words.next() != Some(b"ok") || words.next() != Some(b"installed") {
            return;
        }
        let (Some(name), Some(version)) = (self.get("Package"), self.get("Version")) else {
            return scan.problem(
                entry(&self),
                "left out: its stanza has no Package or no Version",
            );
        };
        let kilobytes = self.get("Installed-Size");
        let size = kilobytes
            .and_then(read::parse::<i64>)
            .filter(|kilobytes| *kilobytes >= 0)
            .and_then(|kilobytes| kilobytes.checked_mul(1024));
        if let (Some(kilobytes), None) = (kilobytes, size) {
            let what = format!("size unknown: Installed-Size is {}", read::shown(kilobytes));
            scan.problem(entry(&self), what);
        }
        scan.rows.push(
            Row::new()
                .text("name", name)
                .text("version_", version)
                .text_or_unknown("vendor", self.get("Maintainer"))
                .text("installed", UNKNOWN)
                .text("path", UNKNOWN)
                .text_or_unknown("architecture", self.get("Architecture"))
                .text_or_unknown("category", self.get("Section"))
                .text_or_unknown("description", self.get("Description"))
                .integer_if("size", size)
                .text_or_unknown("priority", self.get("Priority"))
                .text("multiarch", self.get("Multi-Arch").unwrap_or_default())
                .text_or_unknown("source", self.get("Source"))
                .text("type", "deb"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Value;
    use super::*;

    fn parsed(content: &[u8]) -> Scan {
        let mut scan = Scan::new();
        parse(content, &mut scan);
        scan
    }

    fn names(scan: &Scan) -> Vec<String> {
        scan.rows
            .iter()
            .map(|row| row.get("name").unwrap().stored_text().into_owned())
            .collect()
    }

    const GOOD: &str = "Package: sl\nStatus: install ok installed\nPriority: optional\n\
        Section: games\nInstalled-Size: 59\nMaintainer: Markus Frosch <lazyfrosch@debian.org>\n\
        Architecture: amd64\nVersion: 5.02-1\n\
        Description: Correct you if you type `sl' by mistake\n Sl is a program.\n .\n Really.\n";

    #[test]
    fn a_stanza() {
        let scan = parsed(GOOD.as_bytes());
        assert!(scan.problems.is_empty());
        let row = &scan.rows[0];
        for (column, text) in [
            ("name", "sl"),
            ("version_", "5.02-1"),
            ("category", "games"),
            ("description", "Correct you if you type `sl' by mistake"),
            ("multiarch", ""),
            ("path", " "),
            ("source", " "),
            ("size", "60416"),
        ] {
            assert_eq!(row.get(column).unwrap().stored_text(), text, "{column}");
        }
    }

    #[test]
    fn a_malformed_stanza_costs_that_stanza() {
        let content = format!(
            "Package: one\nthis is no field\n\nPackage: two\nVersion: 1\n\n\n\n{GOOD}\n\
             Status: install ok installed\nVersion: 3\n\n\
             Package: three\nStatus: install ok installed\nVersion: 3\n"
        );
        let scan = parsed(content.as_bytes());
        assert!(scan.complete);
        assert_eq!(names(&scan), ["sl", "three"]);
        let entries: Vec<_> = scan.problems.iter().map(|p| p.entry.as_str()).collect();
        assert_eq!(
            entries,
            ["package one", "package two", "dpkg status line 22"]
        );
    }

    #[test]
    fn only_what_is_installed() {
        let scan = parsed(
            b"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
              Package: half\nStatus: install reinstreq half-installed\nVersion: 1\n\n\
              Package: none\nStatus: unknown ok not-installed\n\n\
              Package: held\nStatus: hold ok installed\nVersion: 1\n",
        );
        assert_eq!(names(&scan), ["held"]);
        assert!(scan.problems.is_empty(), "{:?}", scan.problems);
    }

    #[test]
    fn a_bad_size_costs_the_size_and_bad_utf8_its_bytes() {
        let scan = parsed(
            b"Package: a\nStatus: install ok installed\nVersion: 1\nInstalled-Size: many\n\
              Maintainer: J\xf6rg\n\n\
              package: b\nSTATUS: install ok installed\nVersion: 1:2.0\nInstalled-Size: 9223372036854775807\r\n",
        );
        assert_eq!(names(&scan), ["a", "b"]);
        assert_eq!(scan.problems.len(), 2);
        assert_eq!(scan.rows[0].get("size"), None);
        assert_eq!(
            scan.rows[0].get("vendor"),
            Some(&Value::Text("J\u{fffd}rg".into()))
        );
    }
}
