//! Network interfaces, from /sys/class/net.

use std::io;
use std::path::Path;

use super::{Category, Outcome, Roots, Row, Scan, Source, read};

/// Network interfaces, the loopback included.
#[derive(Debug, Clone, Copy)]
pub struct Interfaces;

impl Source for Interfaces {
    fn category(&self) -> Category {
        Category::Interfaces
    }

    fn scan(&self, roots: &Roots) -> Outcome {
        let path = roots.path("sys/class/net");
        let mut names: Vec<_> = match std::fs::read_dir(&path).and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name()))
                .collect::<io::Result<_>>()
        }) {
            Ok(names) => names,
            Err(error) => {
                return Outcome::unavailable(format!("cannot list {}: {error}", path.display()));
            }
        };
        names.sort_unstable();
        let mut scan = Scan::new();
        for name in names {
            let dir = path.join(&name);
            // Controls such as `bonding_masters` are files; an interface that was just removed is nothing.
            if dir.is_dir() {
                scan.rows.push(interface(name.as_encoded_bytes(), &dir));
            }
        }
        Outcome::Scanned(scan)
    }
}

/// What the kernel does not tell of an interface is left out; nothing but its name is required.
fn interface(name: &[u8], dir: &Path) -> Row {
    let mut row = Row::new()
        .text("interface_name", name)
        .text("interface_alias", "")
        .text(
            "interface_type",
            read::number(&dir.join("type")).map_or("", type_name),
        )
        .text_or_unknown("interface_state", read::line(&dir.join("operstate")))
        .integer_if(
            "interface_mtu",
            read::number(&dir.join("mtu")).filter(|mtu| (1..i64::from(u32::MAX)).contains(mtu)),
        )
        .text_or_unknown("host_mac", read::line(&dir.join("address")));
    for (column, counter) in [
        ("host_network_egress_bytes", "tx_bytes"),
        ("host_network_egress_drops", "tx_dropped"),
        ("host_network_egress_errors", "tx_errors"),
        ("host_network_egress_packages", "tx_packets"),
        ("host_network_ingress_bytes", "rx_bytes"),
        ("host_network_ingress_drops", "rx_dropped"),
        ("host_network_ingress_errors", "rx_errors"),
        ("host_network_ingress_packages", "rx_packets"),
    ] {
        row = row.integer_if(column, read::number(&dir.join("statistics").join(counter)));
    }
    row
}

/// The name of an ARP hardware type (`include/uapi/linux/if_arp.h`); empty for others, the loopback
/// among them. It is part of the key: changing a name orphans documents.
fn type_name(code: i64) -> &'static str {
    match code {
        1 => "ethernet",
        4 | 800 => "token ring",
        19 => "ATM",
        24 => "firewire",
        512 => "point-to-point",
        768 | 769 | 776 | 778 => "tunnel",
        784..=787 => "fibrechannel",
        801..=803 => "wireless",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::super::fixture::{Fixture, reason, scanned};
    use super::*;

    #[test]
    fn an_interface_and_one_that_tells_nothing() {
        let fixture = Fixture::new()
            .file("sys/class/net/bonding_masters", "\n")
            .file("sys/class/net/eth0/type", "1\n")
            .file("sys/class/net/eth0/operstate", "up\n")
            .file("sys/class/net/eth0/mtu", "1500\n")
            .file("sys/class/net/eth0/address", "08:00:27:6c:5f:78\n")
            .file("sys/class/net/eth0/statistics/rx_bytes", "20718640\n")
            .file("sys/class/net/wg0/mtu", "0\n");
        let scan = scanned(Interfaces.scan(&fixture.roots()));
        assert!(scan.complete);
        assert_eq!(scan.rows.len(), 2);
        let eth = &scan.rows[0];
        assert_eq!(eth.get("interface_type").unwrap().stored_text(), "ethernet");
        assert_eq!(eth.get("interface_mtu"), Some(&Value::Integer(1500)));
        assert_eq!(
            eth.get("host_mac").unwrap().stored_text(),
            "08:00:27:6c:5f:78"
        );
        assert_eq!(
            eth.get("host_network_ingress_bytes"),
            Some(&Value::Integer(20_718_640))
        );
        let tunnel = &scan.rows[1];
        assert_eq!(tunnel.get("interface_mtu"), None, "0 stands for unknown");
        assert_eq!(tunnel.get("interface_state").unwrap().stored_text(), " ");
        assert_eq!(tunnel.get("interface_type").unwrap().stored_text(), "");
    }

    #[test]
    fn without_sys_it_is_unavailable() {
        assert!(reason(Interfaces.scan(&Fixture::new().roots())).contains("sys/class/net"));
    }
}
