//! What the agent says of itself and its host in each Start.

use inventory_sync_core::wire::AgentInfo;

use crate::provider::{Outcome, Roots, Row, Source as _, System};

/// The group of an agent that nobody has put into another.
const DEFAULT_GROUP: &str = "default";

/// Of the system's facts whatever is known; unknown parts stay empty, and no document shows them.
pub(super) fn describe(roots: &Roots) -> AgentInfo {
    let row = match System.scan(roots) {
        Outcome::Scanned(scan) => scan.rows.into_iter().next(),
        Outcome::Unavailable { .. } => None,
    };
    of_row(&row.unwrap_or_default())
}

fn of_row(row: &Row) -> AgentInfo {
    let text = |column| {
        row.get(column)
            .map_or_else(String::new, |value| value.stored_text().trim().to_owned())
    };
    AgentInfo {
        name: text("hostname"),
        version: concat!("v", env!("CARGO_PKG_VERSION")).to_owned(),
        architecture: text("architecture"),
        hostname: text("hostname"),
        os_name: text("os_name"),
        os_platform: text("os_platform"),
        os_type: text("os_type"),
        os_version: text("os_version"),
        groups: vec![DEFAULT_GROUP.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::UNKNOWN;

    #[test]
    fn unknown_parts_are_empty() {
        let row = Row::new()
            .text("hostname", "web-1")
            .text("os_name", "Debian GNU/Linux")
            .text("os_version", UNKNOWN);
        let info = of_row(&row);
        assert_eq!(
            (info.name.as_str(), info.hostname.as_str()),
            ("web-1", "web-1")
        );
        assert_eq!(info.os_name, "Debian GNU/Linux");
        assert_eq!(
            (info.os_version.as_str(), info.architecture.as_str()),
            ("", "")
        );
        assert_eq!(info.groups, ["default"]);
    }

    #[test]
    fn this_machine_has_a_name_and_a_system() {
        let info = describe(&Roots::host());
        assert!(
            !info.hostname.is_empty() && !info.os_name.is_empty(),
            "{info:?}"
        );
    }
}
