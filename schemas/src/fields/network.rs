//! The network: ports, interfaces, protocols and addresses. Rows in ascending order of path.

use super::FieldType::{Boolean, Ip, Keyword, Long};
use super::{Field, column, unused};

/// Open ports. The lengths of the queues are volatile.
pub(super) const PORTS: &[Field] = &[
    column("destination.ip", Ip, "destination_ip").list(),
    column("destination.port", Long, "destination_port"),
    column("file.inode", Keyword, "file_inode"),
    column(
        "host.network.egress.queue",
        Long,
        "host_network_egress_queue",
    )
    .volatile(),
    column(
        "host.network.ingress.queue",
        Long,
        "host_network_ingress_queue",
    )
    .volatile(),
    column("interface.state", Keyword, "interface_state"),
    column("network.transport", Keyword, "network_transport"),
    column("process.name", Keyword, "process_name"),
    column("process.pid", Long, "process_pid"),
    column("source.ip", Ip, "source_ip").list(),
    column("source.port", Long, "source_port"),
];

/// Network interfaces. All counters are volatile.
pub(super) const INTERFACES: &[Field] = &[
    column("host.mac", Keyword, "host_mac").list(),
    column(
        "host.network.egress.bytes",
        Long,
        "host_network_egress_bytes",
    )
    .volatile(),
    column(
        "host.network.egress.drops",
        Long,
        "host_network_egress_drops",
    )
    .volatile(),
    column(
        "host.network.egress.errors",
        Long,
        "host_network_egress_errors",
    )
    .volatile(),
    column(
        "host.network.egress.packets",
        Long,
        "host_network_egress_packages",
    )
    .volatile(),
    column(
        "host.network.ingress.bytes",
        Long,
        "host_network_ingress_bytes",
    )
    .volatile(),
    column(
        "host.network.ingress.drops",
        Long,
        "host_network_ingress_drops",
    )
    .volatile(),
    column(
        "host.network.ingress.errors",
        Long,
        "host_network_ingress_errors",
    )
    .volatile(),
    column(
        "host.network.ingress.packets",
        Long,
        "host_network_ingress_packages",
    )
    .volatile(),
    column("interface.alias", Keyword, "interface_alias"),
    column("interface.mtu", Long, "interface_mtu"),
    column("interface.name", Keyword, "interface_name"),
    column("interface.state", Keyword, "interface_state"),
    column("interface.type", Keyword, "interface_type"),
];

/// Gateway, DHCP and metric per interface and family.
pub(super) const PROTOCOLS: &[Field] = &[
    column("interface.name", Keyword, "interface_name"),
    column("network.dhcp", Boolean, "network_dhcp"),
    column("network.gateway", Ip, "network_gateway").list(),
    column("network.metric", Long, "network_metric"),
    column("network.type", Keyword, "network_type"),
];

/// Addresses per interface.
pub(super) const NETWORKS: &[Field] = &[
    column("interface.name", Keyword, "interface_name"),
    column("network.broadcast", Ip, "network_broadcast").list(),
    unused("network.dhcp", Boolean),
    column("network.ip", Ip, "network_ip").list(),
    unused("network.metric", Long),
    column("network.netmask", Ip, "network_netmask").list(),
    column("network.type", Keyword, "network_type"),
];
