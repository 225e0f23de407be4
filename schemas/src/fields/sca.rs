//! Security configuration assessment. Rows in ascending order of path.

use super::FieldType::Keyword;
use super::{Field, column};

/// Checks of security policies. Nothing in this workspace fills them yet; the column names are reserved.
pub(super) const SCA: &[Field] = &[
    column("check.compliance.cmmc", Keyword, "check_compliance_cmmc").list(),
    column(
        "check.compliance.fedramp",
        Keyword,
        "check_compliance_fedramp",
    )
    .list(),
    column("check.compliance.gdpr", Keyword, "check_compliance_gdpr").list(),
    column("check.compliance.hipaa", Keyword, "check_compliance_hipaa").list(),
    column(
        "check.compliance.iso_27001",
        Keyword,
        "check_compliance_iso_27001",
    )
    .list(),
    column("check.compliance.nis2", Keyword, "check_compliance_nis2").list(),
    column(
        "check.compliance.nist_800_171",
        Keyword,
        "check_compliance_nist_800_171",
    )
    .list(),
    column(
        "check.compliance.nist_800_53",
        Keyword,
        "check_compliance_nist_800_53",
    )
    .list(),
    column(
        "check.compliance.pci_dss",
        Keyword,
        "check_compliance_pci_dss",
    )
    .list(),
    column("check.compliance.tsc", Keyword, "check_compliance_tsc").list(),
    column("check.condition", Keyword, "check_condition"),
    column("check.description", Keyword, "check_description"),
    column("check.id", Keyword, "check_id"),
    column(
        "check.mitre.subtechnique.id",
        Keyword,
        "check_mitre_subtechnique_id",
    )
    .list(),
    column(
        "check.mitre.subtechnique.name",
        Keyword,
        "check_mitre_subtechnique_name",
    )
    .list(),
    column("check.mitre.tactic.id", Keyword, "check_mitre_tactic_id").list(),
    column(
        "check.mitre.tactic.name",
        Keyword,
        "check_mitre_tactic_name",
    )
    .list(),
    column(
        "check.mitre.technique.id",
        Keyword,
        "check_mitre_technique_id",
    )
    .list(),
    column(
        "check.mitre.technique.name",
        Keyword,
        "check_mitre_technique_name",
    )
    .list(),
    column("check.name", Keyword, "check_name"),
    column("check.rationale", Keyword, "check_rationale"),
    column("check.reason", Keyword, "check_reason"),
    column("check.references", Keyword, "check_references").list(),
    column("check.remediation", Keyword, "check_remediation"),
    column("check.result", Keyword, "check_result"),
    column("check.rules", Keyword, "check_rules").list(),
    column("policy.description", Keyword, "policy_description"),
    column("policy.file", Keyword, "policy_file"),
    column("policy.id", Keyword, "policy_id"),
    column("policy.name", Keyword, "policy_name"),
    column("policy.references", Keyword, "policy_references").list(),
];
