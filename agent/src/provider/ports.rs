//! Sockets of TCP and UDP, and the processes that hold them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::{Category, Outcome, Roots, Row, Scan, Source, processes, read};

/// Open sockets: TCP that listens, and all of UDP.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Also TCP sockets in every other state.
    pub all: bool,
}

const TABLES: [&str; 4] = ["tcp", "tcp6", "udp", "udp6"];

impl Source for Ports {
    fn category(&self) -> Category {
        Category::Ports
    }

    fn scan(&self, roots: &Roots) -> Outcome {
        let mut scan = Scan::new();
        let mut sockets = Vec::new();
        let mut tables_read = 0;
        for table in TABLES {
            let path = roots.proc("net").join(table);
            match read::bytes_if_present(&path) {
                Ok(Some(content)) => {
                    tables_read += 1;
                    parse_table(table, &content, &mut sockets, &mut scan);
                }
                // A kernel without IPv6 has no tcp6.
                Ok(None) => {}
                Err(error) => {
                    scan.incomplete(
                        path.display().to_string(),
                        format!("cannot be read: {error}"),
                    );
                }
            }
        }
        if tables_read == 0 {
            return Outcome::unavailable(format!(
                "none of {} in {} can be read",
                TABLES.join(", "),
                roots.proc("net").display()
            ));
        }
        sockets.retain(|socket| self.all || !socket.is_tcp() || socket.state == LISTENING);
        let holders = holders(roots, &mut scan);
        scan.rows = sockets
            .iter()
            .map(|socket| socket.row(holders.get(&socket.inode)))
            .collect();
        Outcome::Scanned(scan)
    }
}

const LISTENING: &str = "listening";

/// The name of a TCP state (`include/net/tcp_states.h`).
fn tcp_state(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "established",
        2 => "syn_sent",
        // 12 is a request that waits for its last acknowledgement.
        3 | 12 => "syn_recv",
        4 => "fin_wait1",
        5 => "fin_wait2",
        6 => "time_wait",
        7 => "close",
        8 => "close_wait",
        9 => "last_ack",
        10 => LISTENING,
        11 => "closing",
        _ => return None,
    })
}

/// One line of a table.
#[derive(Debug, PartialEq)]
struct Socket {
    transport: &'static str,
    local: (IpAddr, u16),
    remote: (IpAddr, u16),
    /// Empty for UDP, which has none.
    state: &'static str,
    egress_queue: i64,
    ingress_queue: i64,
    inode: i64,
}

fn parse_table(table: &'static str, content: &[u8], sockets: &mut Vec<Socket>, scan: &mut Scan) {
    // The first line is the heading.
    for line in read::lines(content).skip(1) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match Socket::parse(table, line) {
            Some(socket) => sockets.push(socket),
            None => scan.problem(
                format!("a socket of {table}"),
                format!("malformed line left out: {}", read::shown(line)),
            ),
        }
    }
}

impl Socket {
    /// `sl local remote st tx:rx tr:tm retrnsmt uid timeout inode …`
    fn parse(transport: &'static str, line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let word = |n: usize| words.get(n).copied();
        let state = u8::from_str_radix(word(3)?, 16).ok()?;
        let (egress, ingress) = word(4)?.split_once(':')?;
        Some(Self {
            transport,
            local: endpoint(word(1)?)?,
            remote: endpoint(word(2)?)?,
            state: if transport.starts_with("tcp") {
                tcp_state(state)?
            } else {
                ""
            },
            egress_queue: i64::from_str_radix(egress, 16).ok()?,
            ingress_queue: i64::from_str_radix(ingress, 16).ok()?,
            inode: word(9)?.parse().ok()?,
        })
    }

    fn is_tcp(&self) -> bool {
        self.transport.starts_with("tcp")
    }

    fn row(&self, holder: Option<&Holder>) -> Row {
        Row::new()
            .text("destination_ip", self.remote.0.to_string())
            .integer("destination_port", self.remote.1.into())
            .integer("file_inode", self.inode)
            .integer("host_network_egress_queue", self.egress_queue)
            .integer("host_network_ingress_queue", self.ingress_queue)
            .text("interface_state", self.state)
            .text("network_transport", self.transport)
            .text(
                "process_name",
                holder.map_or(&[][..], |holder| &holder.name),
            )
            .integer_if("process_pid", holder.map(|holder| holder.pid))
            .text("source_ip", self.local.0.to_string())
            .integer("source_port", self.local.1.into())
    }
}

/// An address and port in the kernel's form: the address as 32-bit words in the machine's byte order.
fn endpoint(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    if !address.is_ascii() {
        return None;
    }
    let word = |n: usize| {
        let digits = address.get(n * 8..n * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (n, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(n)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((address, port))
}

/// The process that holds a socket.
struct Holder {
    pid: i64,
    name: Vec<u8>,
}

/// Socket inode to process, from the descriptors of every process. Where several hold a socket (a server
/// and its workers) it is the one with the lowest pid, so that the answer does not depend on chance.
fn holders(roots: &Roots, scan: &mut Scan) -> BTreeMap<i64, Holder> {
    let mut holders = BTreeMap::new();
    let pids = match processes::pids(roots) {
        Ok(pids) => pids,
        Err(reason) => {
            scan.problem("processes of sockets", reason);
            return holders;
        }
    };
    let mut denied = 0_usize;
    for pid in pids {
        let dir = roots.proc(&pid.to_string());
        match sockets_of(&dir.join("fd")) {
            Ok(inodes) => {
                for inode in inodes {
                    holders.entry(inode).or_insert_with(|| Holder {
                        pid,
                        name: read::line(&dir.join("comm")).unwrap_or_default(),
                    });
                }
            }
            // Anything else is a process that ended.
            Err(error) => denied += usize::from(error.kind() == io::ErrorKind::PermissionDenied),
        }
    }
    if denied > 0 {
        let hint = if nix::unistd::geteuid().is_root() {
            ""
        } else {
            " (root may)"
        };
        scan.problem(
            "processes of sockets",
            format!(
                "the descriptors of {denied} processes may not be read{hint}; sockets of theirs are \
                 listed without process"
            ),
        );
    }
    holders
}

/// The inodes of the sockets that a process holds. A descriptor that was closed meanwhile is skipped.
fn sockets_of(descriptors: &Path) -> io::Result<Vec<i64>> {
    let mut inodes = Vec::new();
    for entry in std::fs::read_dir(descriptors)? {
        match std::fs::read_link(entry?.path()) {
            Ok(target) => inodes.extend(socket_inode(target.as_os_str().as_bytes())),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(_) => {}
        }
    }
    Ok(inodes)
}

/// The inode in `socket:[1234]`.
fn socket_inode(target: &[u8]) -> Option<i64> {
    read::parse(target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::super::fixture::{Fixture, reason, scanned};
    use super::*;

    const HEADING: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn line(local: &str, remote: &str, state: &str, inode: u64) -> String {
        format!(
            "   0: {local} {remote} {state} 00000001:00000002 00:00000000 00000000     0        0 {inode} 1 0 100 0 0 10 0\n"
        )
    }

    fn hex(ip: &str, port: u16) -> String {
        let words: Vec<u8> = match ip.parse().unwrap() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let mut text: String = words
            .chunks_exact(4)
            .map(|word| format!("{:08X}", u32::from_ne_bytes(word.try_into().unwrap())))
            .collect();
        text.push_str(&format!(":{port:04X}"));
        text
    }

    fn fixture() -> Fixture {
        let tcp = format!(
            "{HEADING}{}{}garbage\n{}",
            line(&hex("127.0.0.1", 11211), &hex("0.0.0.0", 0), "0A", 14064),
            line(
                &hex("10.0.0.1", 22),
                &hex("10.0.0.2", 50000),
                "01",
                9_000_000_000
            ),
            line("ZZ00007F:0016", &hex("0.0.0.0", 0), "0A", 1),
        );
        let udp6 = format!(
            "{HEADING}{}",
            line(&hex("fe80::1", 546), &hex("::", 0), "07", 77)
        );
        Fixture::new()
            .file("proc/net/tcp", tcp)
            .file("proc/net/udp6", udp6)
            .file("proc/507/comm", "memcached\n")
            .link("proc/507/fd/3", "socket:[14064]")
            .file("proc/600/comm", "worker\n")
            .link("proc/600/fd/3", "socket:[14064]")
            .link("proc/600/fd/4", "/dev/null")
    }

    #[test]
    fn listening_and_udp_by_default() {
        let scan = scanned(Ports { all: false }.scan(&fixture().roots()));
        assert!(scan.complete);
        assert_eq!(scan.problems.len(), 2, "two malformed lines: {scan:?}");
        assert_eq!(scan.rows.len(), 2);
        let row = &scan.rows[0];
        let stored = |column| row.get(column).unwrap().stored_text();
        assert_eq!(stored("source_ip"), "127.0.0.1");
        assert_eq!(stored("source_port"), "11211");
        assert_eq!(stored("destination_ip"), "0.0.0.0");
        assert_eq!(stored("interface_state"), "listening");
        assert_eq!(stored("process_name"), "memcached");
        assert_eq!(row.get("process_pid"), Some(&Value::Integer(507)));
        assert_eq!(stored("host_network_egress_queue"), "1");
        assert_eq!(stored("host_network_ingress_queue"), "2");
        let udp = &scan.rows[1];
        assert_eq!(udp.get("source_ip").unwrap().stored_text(), "fe80::1");
        assert_eq!(udp.get("interface_state").unwrap().stored_text(), "");
        assert_eq!(udp.get("process_pid"), None);
    }

    #[test]
    fn all_states_and_inodes_beyond_32_bits() {
        let scan = scanned(Ports { all: true }.scan(&fixture().roots()));
        assert_eq!(scan.rows.len(), 3);
        let row = &scan.rows[1];
        assert_eq!(
            row.get("interface_state").unwrap().stored_text(),
            "established"
        );
        assert_eq!(row.get("file_inode"), Some(&Value::Integer(9_000_000_000)));
    }

    #[test]
    fn a_table_that_cannot_be_read_makes_the_scan_incomplete() {
        let fixture = fixture().file("proc/net/tcp6/x", "");
        let scan = scanned(Ports { all: false }.scan(&fixture.roots()));
        assert!(!scan.complete);
        assert_eq!(scan.rows.len(), 2);
    }

    #[test]
    fn no_table_is_unavailable() {
        let fixture = Fixture::new().file("proc/7/comm", "x\n");
        assert!(reason(Ports { all: false }.scan(&fixture.roots())).contains("tcp"));
    }

    #[test]
    fn endpoints_of_wrong_length_or_alphabet_are_none() {
        for text in [
            "",
            ":",
            "0100007F",
            "0100007F:1FFFF",
            "é0007F:0016",
            "01:02",
        ] {
            assert_eq!(endpoint(text), None, "{text}");
        }
    }
}
