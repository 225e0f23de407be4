//! Document ids.

use sha1::{Digest as _, Sha1};

use super::hex;
use crate::provider::{Category, Row};

/// The id of a row's document: the SHA-1 of its [`key`], in lowercase hexadecimal (40 characters).
#[must_use]
pub fn id(category: Category, row: &Row) -> String {
    hex(&Sha1::digest(key(category, row).as_bytes()))
}

/// What an id hashes: the table's name and the values of the key, joined by `:`. `\` and `:` inside a
/// value are escaped by `\`, so that different keys are different texts; numbers have 64 bits. Changing
/// any of this orphans every document, so the vectors below are law.
#[must_use]
pub fn key(category: Category, row: &Row) -> String {
    let mut key = category.table().to_owned();
    for (column, missing) in category.primary_key() {
        key.push(':');
        match row.get(column) {
            None => key.push_str(missing),
            Some(value) => {
                for c in value.stored_text().chars() {
                    if matches!(c, '\\' | ':') {
                        key.push('\\');
                    }
                    key.push(c);
                }
            }
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assert_id(category: Category, row: &Row, text: &str, sha1: &str) {
        assert_eq!(key(category, row), text);
        assert_eq!(id(category, row), sha1);
    }

    #[test]
    fn vectors_of_packages_accounts_and_host() {
        assert_id(
            Category::Packages,
            &Row::new()
                .text("name", "sl")
                .text("version_", "5.02-1")
                .text("architecture", "amd64")
                .text("type", "deb")
                .text("path", " "),
            "dbsync_packages:sl:5.02-1:amd64:deb: ",
            "1ac7263731dde3de39f57267f5488f1b33c29a78",
        );
        assert_id(
            Category::Groups,
            &Row::new().text("group_name", "adm"),
            "dbsync_groups:adm",
            "9514440889170d3539c0e316a64b79c0cebaced0",
        );
        assert_id(
            Category::Hardware,
            &Row::new().text("serial_number", "0"),
            "dbsync_hwinfo:0",
            "3d8f8efa51fe80ff83e14adaa8eb8c9cbae808c8",
        );
        assert_id(
            Category::System,
            &Row::new()
                .text("os_name", "Debian GNU/Linux")
                .text("os_version", "10 (buster)"),
            "dbsync_osinfo:Debian GNU/Linux:10 (buster)",
            "5491df5ff43f7bbb83ef8f92e8c2a44833872a45",
        );
        assert_id(
            Category::Processes,
            &Row::new().text("pid", "26460"),
            "dbsync_processes:26460",
            "378a21d5584d27d063e94110a1c5265eee97ad9b",
        );
    }

    #[test]
    fn vectors_of_the_network() {
        assert_id(
            Category::Ports,
            &Row::new()
                .integer("file_inode", 14064)
                .text("network_transport", "tcp")
                .text("source_ip", "127.0.0.1")
                .integer("source_port", 11211),
            "dbsync_ports:14064:tcp:127.0.0.1:11211",
            "54757b52bb07147a499eba05d30ab549a131ac52",
        );
        assert_id(
            Category::Networks,
            &Row::new()
                .text("interface_name", "eth0")
                .integer("network_type", 0)
                .text("network_ip", "10.0.2.15"),
            "dbsync_network_address:eth0:0:10.0.2.15",
            "86e1ff2130541f0218d252f246caa97e7c1c0ef3",
        );
        assert_id(
            Category::Interfaces,
            &Row::new()
                .text("interface_name", "eth0")
                .text("interface_alias", "")
                .text("interface_type", "ethernet"),
            "dbsync_network_iface:eth0::ethernet",
            "2a17861fe751d2d6d2ba037afe120e4a222df8f2",
        );
        assert_id(
            Category::Protocols,
            &Row::new()
                .text("interface_name", "eth0")
                .text("network_type", "ipv4"),
            "dbsync_network_protocol:eth0:ipv4",
            "7dc99733e3abea1eac919cb6125462713374ff83",
        );
    }

    /// There is no provider of services yet; the vector still pins the hash of such a key.
    #[test]
    fn vector_of_services() {
        assert_eq!(
            hex(&Sha1::digest("dbsync_services:resolvconf: ")),
            "2a295267801f83cd7d9ac3c0bb302487fd81c1bc"
        );
    }

    #[test]
    fn missing_parts_and_wide_numbers() {
        assert_eq!(key(Category::Ports, &Row::new()), "dbsync_ports:0:::0");
        let row = Row::new()
            .integer("file_inode", 9_000_000_000)
            .text("network_transport", "tcp6")
            .text("source_ip", "::1")
            .integer("source_port", 22);
        assert_eq!(
            key(Category::Ports, &row),
            r"dbsync_ports:9000000000:tcp6:\:\:1:22"
        );
    }

    /// What the escape is for: without it these two were one document.
    #[test]
    fn colons_do_not_move_between_parts() {
        let row = |name, version| Row::new().text("os_name", name).text("os_version", version);
        assert_ne!(
            id(Category::System, &row("a:b", "c")),
            id(Category::System, &row("a", "b:c"))
        );
    }

    /// Nor do backslashes, were only colons escaped.
    #[test]
    fn backslashes_are_escaped_as_well() {
        let row = |name: &str, alias: &str| {
            Row::new()
                .text("interface_name", name)
                .text("interface_alias", alias)
        };
        let key = |row: &Row| key(Category::Interfaces, row);
        assert_eq!(key(&row("\\", ":")), r"dbsync_network_iface:\\:\::");
        assert_ne!(key(&row("\\", ":")), key(&row(":\\", "")));
    }

    proptest! {
        #[test]
        fn different_keys_have_different_texts(
            a in prop::array::uniform3("[:\\\\]{0,2}"),
            b in prop::array::uniform3("[:\\\\]{0,2}"),
        ) {
            let text = |parts: &[String; 3]| {
                let row = Row::new()
                    .text("interface_name", &parts[0])
                    .text("interface_alias", &parts[1])
                    .text("interface_type", &parts[2]);
                key(Category::Interfaces, &row)
            };
            prop_assert_eq!(a == b, text(&a) == text(&b));
        }
    }
}
