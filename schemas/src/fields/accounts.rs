//! Accounts: users and groups. Rows in ascending order of path.

use super::FieldType::{Boolean, Date, Integer, Ip, Keyword, Long, MatchOnlyText, UnsignedLong};
use super::{Field, column, unused};

/// User accounts.
pub(super) const USERS: &[Field] = &[
    column("host.ip", Ip, "host_ip").list(),
    column("login.status", Boolean, "login_status"),
    column("login.tty", Keyword, "login_tty"),
    column("login.type", Keyword, "login_type"),
    column("process.pid", Long, "process_pid"),
    column(
        "user.auth_failures.count",
        Integer,
        "user_auth_failed_count",
    ),
    column(
        "user.auth_failures.timestamp",
        Date,
        "user_auth_failed_timestamp",
    ),
    column("user.created", Date, "user_created"),
    column("user.full_name", Keyword, "user_full_name"),
    column("user.group.id", UnsignedLong, "user_group_id"),
    column("user.group.id_signed", Long, "user_group_id_signed"),
    column("user.groups", Keyword, "user_groups").list(),
    column("user.home", Keyword, "user_home"),
    column("user.id", Keyword, "user_id"),
    column("user.is_hidden", Boolean, "user_is_hidden"),
    column("user.is_remote", Boolean, "user_is_remote"),
    column("user.last_login", Date, "user_last_login"),
    column("user.name", Keyword, "user_name"),
    column(
        "user.password.expiration_date",
        Date,
        "user_password_expiration_date",
    ),
    column(
        "user.password.hash_algorithm",
        Keyword,
        "user_password_hash_algorithm",
    ),
    column(
        "user.password.inactive_days",
        Integer,
        "user_password_inactive_days",
    ),
    column(
        "user.password.last_change",
        Integer,
        "user_password_last_change",
    ),
    unused("user.password.last_set_time", Date),
    column(
        "user.password.max_days_between_changes",
        Integer,
        "user_password_max_days_between_changes",
    ),
    column(
        "user.password.min_days_between_changes",
        Integer,
        "user_password_min_days_between_changes",
    ),
    column("user.password.status", Keyword, "user_password_status"),
    column(
        "user.password.warning_days_before_expiration",
        Integer,
        "user_password_warning_days_before_expiration",
    ),
    column("user.roles", Keyword, "user_roles").list(),
    column("user.shell", Keyword, "user_shell"),
    column("user.type", Keyword, "user_type"),
    column("user.uid_signed", Long, "user_uid_signed"),
    column("user.uuid", Keyword, "user_uuid"),
];

/// Groups.
pub(super) const GROUPS: &[Field] = &[
    column("group.description", MatchOnlyText, "group_description"),
    column("group.id", UnsignedLong, "group_id"),
    column("group.id_signed", Long, "group_id_signed"),
    column("group.is_hidden", Boolean, "group_is_hidden"),
    column("group.name", Keyword, "group_name"),
    column("group.users", Keyword, "group_users").list(),
    column("group.uuid", Keyword, "group_uuid"),
];
