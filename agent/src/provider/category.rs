//! The categories of the inventory: their index, their table's name and their primary key.

use std::fmt;
use std::str::FromStr;

/// A kind of thing the inventory lists. One category is one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// The operating system.
    System,
    /// Processor, memory, serial number.
    Hardware,
    /// Installed packages.
    Packages,
    /// Running processes.
    Processes,
    /// Open sockets.
    Ports,
    /// Network interfaces.
    Interfaces,
    /// Address families in use on an interface, with their gateway.
    Protocols,
    /// Addresses of interfaces.
    Networks,
    /// Accounts.
    Users,
    /// Groups of accounts.
    Groups,
}

impl Category {
    /// All categories, in the order in which they are scanned and shown.
    pub const ALL: [Self; 10] = [
        Self::System,
        Self::Hardware,
        Self::Packages,
        Self::Processes,
        Self::Ports,
        Self::Interfaces,
        Self::Protocols,
        Self::Networks,
        Self::Users,
        Self::Groups,
    ];

    /// The name used on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Hardware => "hardware",
            Self::Packages => "packages",
            Self::Processes => "processes",
            Self::Ports => "ports",
            Self::Interfaces => "interfaces",
            Self::Protocols => "protocols",
            Self::Networks => "networks",
            Self::Users => "users",
            Self::Groups => "groups",
        }
    }

    /// The index that holds the documents of this category (`docs/protocol.md`, section 7).
    #[must_use]
    pub const fn index(self) -> &'static str {
        match self {
            Self::System => "wazuh-states-inventory-system",
            Self::Hardware => "wazuh-states-inventory-hardware",
            Self::Packages => "wazuh-states-inventory-packages",
            Self::Processes => "wazuh-states-inventory-processes",
            Self::Ports => "wazuh-states-inventory-ports",
            Self::Interfaces => "wazuh-states-inventory-interfaces",
            Self::Protocols => "wazuh-states-inventory-protocols",
            Self::Networks => "wazuh-states-inventory-networks",
            Self::Users => "wazuh-states-inventory-users",
            Self::Groups => "wazuh-states-inventory-groups",
        }
    }

    /// The table's name, first part of what a document id hashes. Changing it orphans every document.
    #[must_use]
    pub const fn table(self) -> &'static str {
        match self {
            Self::System => "dbsync_osinfo",
            Self::Hardware => "dbsync_hwinfo",
            Self::Packages => "dbsync_packages",
            Self::Processes => "dbsync_processes",
            Self::Ports => "dbsync_ports",
            Self::Interfaces => "dbsync_network_iface",
            Self::Protocols => "dbsync_network_protocol",
            Self::Networks => "dbsync_network_address",
            Self::Users => "dbsync_users",
            Self::Groups => "dbsync_groups",
        }
    }

    /// The columns that identify a row, in the order in which the id hashes them, each with what stands
    /// for it when it is missing: nothing for text, `0` for a number.
    #[must_use]
    pub const fn primary_key(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::System => &[("os_name", ""), ("os_version", "")],
            Self::Hardware => &[("serial_number", "")],
            Self::Packages => &[
                ("name", ""),
                ("version_", ""),
                ("architecture", ""),
                ("type", ""),
                ("path", ""),
            ],
            Self::Processes => &[("pid", "")],
            Self::Ports => &[
                ("file_inode", "0"),
                ("network_transport", ""),
                ("source_ip", ""),
                ("source_port", "0"),
            ],
            Self::Interfaces => &[
                ("interface_name", ""),
                ("interface_alias", ""),
                ("interface_type", ""),
            ],
            Self::Protocols => &[("interface_name", ""), ("network_type", "")],
            Self::Networks => &[
                ("interface_name", ""),
                ("network_type", "0"),
                ("network_ip", ""),
            ],
            Self::Users => &[("user_name", "")],
            Self::Groups => &[("group_name", "")],
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is not a category.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no category {name:?}; known are {}", Category::ALL.map(Category::name).join(", "))]
pub struct UnknownCategory {
    name: String,
}

impl FromStr for Category {
    type Err = UnknownCategory;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|category| category.name() == name)
            .ok_or_else(|| UnknownCategory { name: name.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_unknown_ones_are_listed() {
        for category in Category::ALL {
            assert_eq!(category.name().parse(), Ok(category));
        }
        let error = "ghosts".parse::<Category>().unwrap_err().to_string();
        assert!(
            error.contains("\"ghosts\"") && error.contains("packages"),
            "{error}"
        );
    }
}
