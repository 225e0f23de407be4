//! The shadow file: the state of passwords, where it may be read.

use std::collections::BTreeMap;
use std::io;

use super::{Roots, iso8601, read};

/// What shadow(5) says of a password. Nothing of the hash but its algorithm is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Password {
    pub(super) status: &'static str,
    pub(super) hash_algorithm: Vec<u8>,
    pub(super) last_change_unix_s: Option<i64>,
    pub(super) min_days: Option<i64>,
    pub(super) max_days: Option<i64>,
    pub(super) warning_days: Option<i64>,
    pub(super) inactive_days: Option<i64>,
    pub(super) expires: Option<String>,
}

const DAY_S: i64 = 86_400;

impl Password {
    fn parse(line: &[u8]) -> Option<(Vec<u8>, Self)> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [name, hash, last, min, max, warning, inactive, expires, ..] = fields[..] else {
            return None;
        };
        let status = match hash {
            b"" => "empty",
            b"!!" => "not_set",
            [b'!' | b'*', ..] => "locked",
            _ => "active",
        };
        let algorithm = hash
            .strip_prefix(b"$")
            .and_then(|rest| rest.split(|byte| *byte == b'$').next());
        let seconds = |days: &[u8]| read::parse::<i64>(days)?.checked_mul(DAY_S);
        Some((
            name.to_vec(),
            Self {
                status,
                hash_algorithm: algorithm.unwrap_or_default().to_vec(),
                last_change_unix_s: seconds(last),
                min_days: read::parse(min),
                max_days: read::parse(max),
                warning_days: read::parse(warning),
                inactive_days: read::parse(inactive),
                expires: seconds(expires).and_then(iso8601::utc_from_seconds),
            },
        ))
    }
}

#[derive(Debug, Default)]
pub(super) struct Shadow {
    entries: BTreeMap<Vec<u8>, Password>,
}

impl Shadow {
    pub(super) fn read(roots: &Roots) -> Result<Self, String> {
        let path = roots.path("etc/shadow");
        let content = read::bytes(&path).map_err(|error| {
            let hint = if error.kind() == io::ErrorKind::PermissionDenied {
                " (run as root to see it)"
            } else {
                ""
            };
            format!(
                "the state of passwords is unknown, for {} cannot be read: {error}{hint}",
                path.display()
            )
        })?;
        let mut entries = BTreeMap::new();
        // The first line of a name counts, as in passwd; a broken line leaves its user without these.
        for (name, password) in read::lines(&content).filter_map(Password::parse) {
            entries.entry(name).or_insert(password);
        }
        Ok(Self { entries })
    }

    /// What the file says of a user; `None` where it has no entry.
    pub(super) fn password_of(&self, user: &[u8]) -> Option<&Password> {
        self.entries.get(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(hash: &str) -> &'static str {
        let line = format!("u:{hash}:19732:0:99999:7:::");
        Password::parse(line.as_bytes()).unwrap().1.status
    }

    #[test]
    fn states() {
        for (hash, expected) in [
            ("", "empty"),
            ("!!", "not_set"),
            ("!", "locked"),
            ("*", "locked"),
            ("!$6$salt$hash", "locked"),
            ("$6$salt$hash", "active"),
        ] {
            assert_eq!(status(hash), expected, "{hash}");
        }
    }

    #[test]
    fn nothing_of_the_hash_is_kept() {
        let (_, password) = Password::parse(b"u:$6$salt$secret:1::::::").unwrap();
        assert_eq!(password.hash_algorithm, b"6");
        assert!(!format!("{password:?}").contains("secret"));
    }

    #[test]
    fn odd_lines_are_no_entries_and_odd_numbers_no_values() {
        assert_eq!(Password::parse(b"too:few:fields"), None);
        let line = b"u:*:9223372036854775807:x:-1:::99999999999999:";
        let (_, password) = Password::parse(line).unwrap();
        assert_eq!(password.last_change_unix_s, None);
        assert_eq!(password.min_days, None);
        assert_eq!(password.max_days, Some(-1));
        assert_eq!(password.expires, None);
    }
}
