//! Addresses of interfaces, and per interface and family the gateway: asked of the running kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

use super::{Category, Outcome, Roots, Row, Scan, Source, read};

/// Addresses, one row each.
#[derive(Debug, Clone, Copy)]
pub struct Networks;

/// Address families in use, one row per interface and family, with gateway and metric of its default
/// route. Whether an address came by DHCP is not determined and stays null: the answer lies with
/// whichever of several network managers runs, and a wrong "no" is worse than none.
#[derive(Debug, Clone, Copy)]
pub struct Protocols;

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Address {
    interface: String,
    ip: IpAddr,
    netmask: Option<IpAddr>,
    broadcast: Option<IpAddr>,
}

impl Source for Networks {
    fn category(&self) -> Category {
        Category::Networks
    }

    fn scan(&self, roots: &Roots) -> Outcome {
        let addresses = match addresses(roots) {
            Ok(addresses) => addresses,
            Err(reason) => return Outcome::Unavailable { reason },
        };
        let mut scan = Scan::new();
        scan.rows = addresses.iter().map(network).collect();
        Outcome::Scanned(scan)
    }
}

impl Source for Protocols {
    fn category(&self) -> Category {
        Category::Protocols
    }

    fn scan(&self, roots: &Roots) -> Outcome {
        let addresses = match addresses(roots) {
            Ok(addresses) => addresses,
            Err(reason) => return Outcome::Unavailable { reason },
        };
        let mut scan = Scan::new();
        let mut routes = Routes::default();
        for (file, read_routes) in [
            ("net/route", Routes::add_v4 as fn(&mut Routes, &[u8])),
            ("net/ipv6_route", Routes::add_v6),
        ] {
            let path = roots.proc(file);
            match read::bytes_if_present(&path) {
                Ok(Some(content)) => read_routes(&mut routes, &content),
                Ok(None) => {}
                // The rows stay; their gateways are missing.
                Err(error) => scan.problem(
                    path.display().to_string(),
                    format!("cannot be read: {error}"),
                ),
            }
        }
        let families: BTreeSet<(&str, bool)> = addresses
            .iter()
            .map(|address| (address.interface.as_str(), address.ip.is_ipv6()))
            .collect();
        scan.rows = families
            .into_iter()
            .map(|(interface, v6)| protocol(interface, v6, &routes))
            .collect();
        Outcome::Scanned(scan)
    }
}

fn network(address: &Address) -> Row {
    let optional = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
    Row::new()
        .text("interface_name", &address.interface)
        .integer("network_type", i64::from(address.ip.is_ipv6()))
        .text("network_ip", address.ip.to_string())
        .text("network_netmask", optional(address.netmask))
        .text("network_broadcast", optional(address.broadcast))
}

fn protocol(interface: &str, v6: bool, routes: &Routes) -> Row {
    let route = routes.default_of(interface, v6);
    Row::new()
        .text("interface_name", interface)
        .text("network_type", if v6 { "ipv6" } else { "ipv4" })
        .text(
            "network_gateway",
            route
                .map(|route| route.gateway.to_string())
                .unwrap_or_default(),
        )
        .text(
            "network_metric",
            route
                .map(|route| route.metric.to_string())
                .unwrap_or_default(),
        )
}

/// All addresses, sorted. An interface without any has no row, which breaks nothing.
fn addresses(roots: &Roots) -> Result<Vec<Address>, String> {
    if !roots.is_host() {
        return Err("addresses are asked of the running kernel, not of another root".into());
    }
    let entries =
        getifaddrs().map_err(|error| format!("the kernel lists no addresses: {error}"))?;
    let mut addresses: Vec<Address> = entries
        .filter_map(|entry| {
            let ip = ip(entry.address.as_ref()?)?;
            // The field is a union: without the flag it is the peer of a point-to-point link.
            let broadcasts = entry.flags.contains(InterfaceFlags::IFF_BROADCAST) && ip.is_ipv4();
            Some(Address {
                // Labels such as `eth0:1` are addresses of `eth0`.
                interface: entry.interface_name.split(':').next()?.to_owned(),
                ip,
                netmask: entry.netmask.as_ref().and_then(self::ip),
                broadcast: entry
                    .broadcast
                    .as_ref()
                    .filter(|_| broadcasts)
                    .and_then(self::ip),
            })
        })
        .collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

/// The IP address in a socket address, without zone.
fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(IpAddr::V4(v4.ip()));
    }
    address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()))
}

/// A default route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    metric: u32,
    gateway: IpAddr,
}

/// The default routes by interface and family (true: IPv6).
#[derive(Debug, Default)]
struct Routes {
    defaults: BTreeMap<(Vec<u8>, bool), Route>,
}

/// A route that is up and leads through a gateway (`include/uapi/linux/route.h`).
const UP_AND_GATEWAY: u32 = 0x1 | 0x2;

impl Routes {
    /// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`; the first line is the heading.
    fn add_v4(&mut self, content: &[u8]) {
        for line in read::lines(content).skip(1) {
            let words: Vec<&[u8]> = read::words(line).collect();
            let parsed = || {
                let hex = |n: usize| u32::from_str_radix(text(&words, n)?, 16).ok();
                let is_default = hex(1)? == 0 && hex(7)? == 0;
                let usable = hex(3)? & UP_AND_GATEWAY == UP_AND_GATEWAY;
                let route = Route {
                    metric: text(&words, 6)?.parse().ok()?,
                    gateway: IpAddr::V4(Ipv4Addr::from(hex(2)?.to_ne_bytes())),
                };
                (is_default && usable).then_some((words[0].to_vec(), route))
            };
            if let Some((interface, route)) = parsed() {
                self.add(interface, false, route);
            }
        }
    }

    /// `destination length source length gateway metric refcount use flags interface`, all hexadecimal.
    fn add_v6(&mut self, content: &[u8]) {
        for line in read::lines(content) {
            let words: Vec<&[u8]> = read::words(line).collect();
            let parsed = || {
                let hex = |n: usize| u32::from_str_radix(text(&words, n)?, 16).ok();
                let address = |n: usize| u128::from_str_radix(text(&words, n)?, 16).ok();
                let is_default = address(0)? == 0 && hex(1)? == 0;
                let usable = hex(8)? & UP_AND_GATEWAY == UP_AND_GATEWAY;
                let route = Route {
                    metric: hex(5)?,
                    gateway: IpAddr::V6(Ipv6Addr::from(address(4)?)),
                };
                (is_default && usable).then_some((words.get(9)?.to_vec(), route))
            };
            if let Some((interface, route)) = parsed() {
                self.add(interface, true, route);
            }
        }
    }

    /// Of several default routes of an interface the one with the lowest metric counts, as in the kernel.
    fn add(&mut self, interface: Vec<u8>, v6: bool, route: Route) {
        self.defaults
            .entry((interface, v6))
            .and_modify(|known| *known = route.min(*known))
            .or_insert(route);
    }

    fn default_of(&self, interface: &str, v6: bool) -> Option<&Route> {
        self.defaults.get(&(interface.as_bytes().to_vec(), v6))
    }
}

fn text<'a>(words: &[&'a [u8]], n: usize) -> Option<&'a str> {
    std::str::from_utf8(words.get(n)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_routes_of_both_families() {
        let gateway = u32::from_ne_bytes([10, 0, 2, 2]);
        let v4 = format!(
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
             eth0\t00000000\t{gateway:08X}\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             eth0\t00000000\t{:08X}\t0003\t0\t0\t200\t00000000\t0\t0\t0\n\
             eth0\t0002000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n\
             broken line\n",
            u32::from_ne_bytes([10, 0, 2, 3]),
        );
        let v6 = b"00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                   fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n\
                   00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                   00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";
        let mut routes = Routes::default();
        routes.add_v4(v4.as_bytes());
        routes.add_v6(v6);
        assert_eq!(
            routes.default_of("eth0", false),
            Some(&Route {
                metric: 100,
                gateway: "10.0.2.2".parse().unwrap()
            })
        );
        assert_eq!(
            routes.default_of("eth0", true),
            Some(&Route {
                metric: 1024,
                gateway: "fe80::1".parse().unwrap()
            })
        );
        assert_eq!(routes.default_of("lo", true), None);
        let row = protocol("eth0", false, &routes);
        assert_eq!(
            row.get("network_gateway").unwrap().stored_text(),
            "10.0.2.2"
        );
        assert_eq!(row.get("network_metric").unwrap().stored_text(), "100");
    }

    #[test]
    fn this_machine_has_a_loopback_or_says_why_not() {
        match addresses(&Roots::host()) {
            Ok(addresses) => assert!(
                addresses.windows(2).all(|pair| pair[0] < pair[1]),
                "sorted and unique"
            ),
            Err(reason) => assert!(!reason.is_empty()),
        }
    }
}
