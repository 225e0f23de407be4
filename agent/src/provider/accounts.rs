//! Users and groups, from the files of /etc. Accounts of a directory service are not listed: asking the
//! name service for all of them can hang a scan.

use std::collections::BTreeSet;

use super::shadow::{Password, Shadow};
use super::{Category, Outcome, Roots, Row, Scan, Source, read};

/// User accounts, with what the shadow file says of their passwords where it may be read.
///
/// "Who can log in?" is a search for a `user.shell` that is one, and a `user.password.status` that is not
/// `locked` (a key may still open an account whose password is locked).
#[derive(Debug, Clone, Copy)]
pub struct Users;

/// Groups with their members, those by primary group included.
#[derive(Debug, Clone, Copy)]
pub struct Groups;

impl Source for Users {
    fn category(&self) -> Category {
        Category::Users
    }

    fn scan(&self, roots: &Roots) -> Outcome {
        let mut scan = Scan::new();
        let accounts = match Accounts::read(roots, &mut scan, Category::Users) {
            Ok(accounts) => accounts,
            Err(reason) => return Outcome::Unavailable { reason },
        };
        let shadow = match Shadow::read(roots) {
            Ok(shadow) => shadow,
            Err(what) => {
                scan.problem("passwords", what);
                Shadow::default()
            }
        };
        scan.rows = accounts
            .users
            .iter()
            .map(|user| user_row(user, &accounts, shadow.password_of(&user.name)))
            .collect();
        Outcome::Scanned(scan)
    }
}

impl Source for Groups {
    fn category(&self) -> Category {
        Category::Groups
    }

    fn scan(&self, roots: &Roots) -> Outcome {
        let mut scan = Scan::new();
        let accounts = match Accounts::read(roots, &mut scan, Category::Groups) {
            Ok(accounts) => accounts,
            Err(reason) => return Outcome::Unavailable { reason },
        };
        scan.rows = accounts
            .groups
            .iter()
            .map(|group| {
                let mut members: BTreeSet<&[u8]> =
                    group.members.iter().map(Vec::as_slice).collect();
                members.extend(
                    accounts
                        .users
                        .iter()
                        .filter(|user| user.gid == group.gid)
                        .map(|user| user.name.as_slice()),
                );
                Row::new()
                    .text("group_description", super::UNKNOWN)
                    .integer("group_id", group.gid.into())
                    .integer("group_id_signed", signed(group.gid))
                    .integer("group_is_hidden", 0)
                    .text("group_name", &group.name)
                    .list("group_users", members, ':', super::UNKNOWN)
                    .text("group_uuid", super::UNKNOWN)
            })
            .collect();
        Outcome::Scanned(scan)
    }
}

fn user_row(user: &User, accounts: &Accounts, password: Option<&Password>) -> Row {
    let groups: BTreeSet<&[u8]> = accounts
        .groups
        .iter()
        .filter(|group| group.gid == user.gid || group.members.contains(&user.name))
        .map(|group| group.name.as_slice())
        .collect();
    let password = password.cloned().unwrap_or_default();
    Row::new()
        .text("user_name", &user.name)
        .text_or_unknown("user_full_name", Some(&user.full_name))
        .text_or_unknown("user_home", Some(&user.home))
        .text_or_unknown("user_shell", Some(&user.shell))
        .integer("user_id", user.uid.into())
        .integer("user_uid_signed", signed(user.uid))
        .integer("user_group_id", user.gid.into())
        .integer("user_group_id_signed", signed(user.gid))
        .list("user_groups", groups, ':', super::UNKNOWN)
        .integer("user_is_hidden", 0)
        // Read from a file of this machine.
        .integer("user_is_remote", 0)
        .text("user_password_status", password.status)
        .text("user_password_hash_algorithm", &password.hash_algorithm)
        .text(
            "user_password_expiration_date",
            password.expires.unwrap_or_default(),
        )
        .integer_if("user_password_last_change", password.last_change_unix_s)
        .integer_if("user_password_inactive_days", password.inactive_days)
        .integer_if("user_password_max_days_between_changes", password.max_days)
        .integer_if("user_password_min_days_between_changes", password.min_days)
        .integer_if(
            "user_password_warning_days_before_expiration",
            password.warning_days,
        )
}

/// The same 32 bits read as a signed number.
fn signed(id: u32) -> i64 {
    i64::from(id.cast_signed())
}

/// A line of passwd(5).
struct User {
    name: Vec<u8>,
    uid: u32,
    gid: u32,
    full_name: Vec<u8>,
    home: Vec<u8>,
    shell: Vec<u8>,
}

impl User {
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [name, _password, uid, gid, full_name, home, shell] = fields[..] else {
            return None;
        };
        Some(Self {
            name: name.to_vec(),
            uid: read::parse(uid)?,
            gid: read::parse(gid)?,
            full_name: full_name.to_vec(),
            home: home.to_vec(),
            // An empty one stands for this (passwd(5)); such an account can log in.
            shell: if shell.is_empty() { b"/bin/sh" } else { shell }.to_vec(),
        })
    }
}

/// A line of group(5).
struct Group {
    name: Vec<u8>,
    gid: u32,
    members: Vec<Vec<u8>>,
}

impl Group {
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        let [name, _password, gid, members] = fields[..] else {
            return None;
        };
        Some(Self {
            name: name.to_vec(),
            gid: read::parse(gid)?,
            members: members
                .split(|byte| *byte == b',')
                .map(|member| member.trim_ascii().to_vec())
                .filter(|member| !member.is_empty())
                .collect(),
        })
    }
}

struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

impl Accounts {
    /// Reads both files. The one that holds `wanted` must be readable; without the other the rows have
    /// fewer memberships and the scan says so. Broken lines are reported for `wanted` only.
    fn read(roots: &Roots, scan: &mut Scan, wanted: Category) -> Result<Self, String> {
        let users = Self::table(
            roots,
            "etc/passwd",
            scan,
            wanted == Category::Users,
            User::parse,
            |user| &user.name,
        )?;
        let groups = Self::table(
            roots,
            "etc/group",
            scan,
            wanted == Category::Groups,
            Group::parse,
            |group| &group.name,
        )?;
        Ok(Self { users, groups })
    }

    fn table<T>(
        roots: &Roots,
        file: &str,
        scan: &mut Scan,
        wanted: bool,
        parse: fn(&[u8]) -> Option<T>,
        name: fn(&T) -> &Vec<u8>,
    ) -> Result<Vec<T>, String> {
        let path = roots.path(file);
        let content = match read::bytes(&path) {
            Ok(content) => content,
            Err(error) => {
                let what = format!("cannot read {}: {error}", path.display());
                if wanted {
                    return Err(what);
                }
                scan.problem("memberships", what);
                return Ok(Vec::new());
            }
        };
        let mut entries: Vec<T> = Vec::new();
        let mut seen = BTreeSet::new();
        for (number, line) in read::lines(&content).enumerate() {
            let blank = line.trim_ascii();
            // Comments, and the entries that only include a directory service.
            if blank.is_empty() || matches!(blank[0], b'#' | b'+' | b'-') {
                continue;
            }
            let entry = parse(line).filter(|entry| !name(entry).trim_ascii().is_empty());
            let what = match entry {
                None => format!("malformed, left out: {}", read::shown(line)),
                // The first line of a name is the one that the system uses.
                Some(entry) if seen.contains(name(&entry)) => {
                    format!("a second entry of {}, left out", read::shown(name(&entry)))
                }
                Some(entry) => {
                    seen.insert(name(&entry).clone());
                    entries.push(entry);
                    continue;
                }
            };
            if wanted {
                scan.problem(format!("{} line {}", path.display(), number + 1), what);
            }
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::super::fixture::{Fixture, reason, scanned};
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n\
        # comment\n\
        \n\
        daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
        too:few:fields\n\
        caf\xe9:x:1000:1000::/home/cafe:\n\
        root:x:7:7:again:/root:/bin/sh\n\
        +nis\n\
        bad:x:notanumber:1::/:/bin/sh\n\
        nobody:x:4294967294:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    const GROUP: &str = "root:x:0:\ndaemon:x:1:bin,root,\nadm:x:4:\nbroken\nsudo:x:27:root\n";
    const SHADOW: &str = "root:$y$j9T$salt$hash:19732:0:99999:7:::\n\
        daemon:*:19732:0:99999:7:30:20000:\nnobody:!!:::::::\n";

    fn fixture() -> Fixture {
        Fixture::new()
            .file("etc/passwd", PASSWD)
            .file("etc/group", GROUP)
            .file("etc/shadow", SHADOW)
    }

    #[test]
    fn users_and_odd_lines() {
        let scan = scanned(Users.scan(&fixture().roots()));
        assert!(scan.complete);
        let names: Vec<_> = scan
            .rows
            .iter()
            .map(|row| row.get("user_name").unwrap().stored_text().into_owned())
            .collect();
        assert_eq!(names, ["root", "daemon", "caf\u{fffd}", "nobody"]);
        let problems: Vec<_> = scan.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("line 5"), "{problems:?}");
        assert!(problems[1].contains("second entry of root"), "{problems:?}");
        assert!(problems[2].contains("notanumber"), "{problems:?}");
    }

    #[test]
    fn passwords_groups_and_ids() {
        let scan = scanned(Users.scan(&fixture().roots()));
        let stored = |row: usize, column| scan.rows[row].get(column).unwrap().stored_text();
        assert_eq!(stored(0, "user_password_status"), "active");
        assert_eq!(stored(0, "user_password_hash_algorithm"), "y");
        assert_eq!(
            scan.rows[0].get("user_password_last_change"),
            Some(&Value::Integer(1_704_844_800))
        );
        assert_eq!(scan.rows[0].get("user_password_inactive_days"), None);
        assert_eq!(stored(0, "user_groups"), "daemon:root:sudo");
        assert_eq!(stored(1, "user_password_status"), "locked");
        // Days since 1970, not seconds.
        assert_eq!(
            stored(1, "user_password_expiration_date"),
            "2024-10-04T00:00:00.000Z"
        );
        assert_eq!(stored(2, "user_shell"), "/bin/sh", "an empty shell is sh");
        assert_eq!(stored(2, "user_password_status"), "");
        assert_eq!(stored(3, "user_password_status"), "not_set");
        assert_eq!(stored(3, "user_id"), "4294967294");
        assert_eq!(
            scan.rows[3].get("user_uid_signed"),
            Some(&Value::Integer(-2))
        );
    }

    #[test]
    fn groups_with_members_by_primary_group() {
        let scan = scanned(Groups.scan(&fixture().roots()));
        assert!(scan.complete);
        assert_eq!(scan.problems.len(), 1);
        assert_eq!(scan.rows.len(), 4);
        let users = |row: usize| scan.rows[row].get("group_users").unwrap().stored_text();
        assert_eq!(users(0), "root");
        assert_eq!(users(1), "bin:daemon:root");
        assert_eq!(users(2), " ");
    }

    #[test]
    fn an_unreadable_shadow_costs_the_passwords_only() {
        let fixture = Fixture::new()
            .file("etc/passwd", PASSWD)
            .file("etc/group", GROUP);
        let scan = scanned(Users.scan(&fixture.roots()));
        assert_eq!(scan.rows.len(), 4);
        assert!(
            scan.problems
                .iter()
                .any(|problem| problem.entry == "passwords")
        );
    }

    #[test]
    fn an_unreadable_passwd_is_unavailable_for_users_only() {
        let fixture = Fixture::new().file("etc/group", GROUP);
        assert!(reason(Users.scan(&fixture.roots())).contains("etc/passwd"));
        let scan = scanned(Groups.scan(&fixture.roots()));
        assert_eq!(scan.rows.len(), 4);
        assert!(
            scan.problems
                .iter()
                .any(|problem| problem.entry == "memberships")
        );
    }
}
