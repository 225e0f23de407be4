//! The host itself: system, hardware, hotfixes, packages, processes, services and browser
//! extensions. Rows in ascending order of path.

use super::FieldType::{Boolean, Date, Integer, Keyword, Long, ScaledFloat, Short};
use super::{Field, column, unused};

/// The operating system: one row.
pub(super) const SYSTEM: &[Field] = &[
    column("host.architecture", Keyword, "architecture"),
    column("host.hostname", Keyword, "hostname"),
    column("host.os.build", Keyword, "os_build"),
    column("host.os.codename", Keyword, "os_codename"),
    column(
        "host.os.distribution.release",
        Keyword,
        "os_distribution_release",
    ),
    column("host.os.full", Keyword, "os_full"),
    column("host.os.kernel.name", Keyword, "os_kernel_name"),
    column("host.os.kernel.release", Keyword, "os_kernel_release"),
    column("host.os.kernel.version", Keyword, "os_kernel_version"),
    column("host.os.major", Keyword, "os_major"),
    column("host.os.minor", Keyword, "os_minor"),
    column("host.os.name", Keyword, "os_name"),
    column("host.os.patch", Keyword, "os_patch"),
    column("host.os.platform", Keyword, "os_platform"),
    column("host.os.type", Keyword, "os_type"),
    column("host.os.version", Keyword, "os_version"),
];

/// Processor, memory and serial number: one row. Free and used memory are volatile.
pub(super) const HARDWARE: &[Field] = &[
    column("host.cpu.cores", Short, "cpu_cores"),
    column("host.cpu.name", Keyword, "cpu_name"),
    column("host.cpu.speed", Long, "cpu_speed"),
    column("host.memory.free", Long, "memory_free").volatile(),
    column("host.memory.total", Long, "memory_total"),
    unused("host.memory.usage", ScaledFloat),
    column("host.memory.used", Long, "memory_used").volatile(),
    column("host.serial_number", Keyword, "serial_number"),
];

/// Installed hotfixes (Windows).
pub(super) const HOTFIXES: &[Field] = &[column("package.hotfix.name", Keyword, "hotfix_name")];

/// Installed packages.
pub(super) const PACKAGES: &[Field] = &[
    column("package.architecture", Keyword, "architecture"),
    column("package.category", Keyword, "category"),
    column("package.description", Keyword, "description"),
    column("package.installed", Date, "installed"),
    column("package.multiarch", Keyword, "multiarch"),
    column("package.name", Keyword, "name"),
    column("package.path", Keyword, "path"),
    column("package.priority", Keyword, "priority"),
    column("package.size", Long, "size"),
    column("package.source", Keyword, "source"),
    column("package.type", Keyword, "type"),
    column("package.vendor", Keyword, "vendor"),
    column("package.version", Keyword, "version_"),
];

/// Running processes. Processor ticks are volatile, and so is the state: whether a process runs or sleeps at
/// the moment of the scan is no change of the machine.
pub(super) const PROCESSES: &[Field] = &[
    column("process.args", Keyword, "args").list(),
    column("process.args_count", Long, "args_count"),
    column("process.command_line", Keyword, "command_line"),
    column("process.name", Keyword, "name"),
    column("process.parent.pid", Long, "parent_pid"),
    column("process.pid", Long, "pid"),
    column("process.start", Date, "start"),
    column("process.state", Keyword, "state").volatile(),
    column("process.stime", Long, "stime").volatile(),
    column("process.utime", Long, "utime").volatile(),
];

/// Services.
pub(super) const SERVICES: &[Field] = &[
    column("error.log.file.path", Keyword, "error_log_file_path"),
    column("file.path", Keyword, "file_path"),
    column("log.file.path", Keyword, "log_file_path"),
    column("process.args", Keyword, "process_args").list(),
    column("process.executable", Keyword, "process_executable"),
    column("process.group.name", Keyword, "process_group_name"),
    column("process.pid", Long, "process_pid"),
    column("process.root_directory", Keyword, "process_root_dir"),
    column("process.user.name", Keyword, "process_user_name"),
    column("process.working_directory", Keyword, "process_working_dir"),
    column("service.address", Keyword, "service_address"),
    column("service.description", Keyword, "service_description"),
    column("service.enabled", Keyword, "service_enabled"),
    column("service.exit_code", Integer, "service_exit_code"),
    column("service.following", Keyword, "service_following"),
    column("service.frequency", Long, "service_frequency"),
    column("service.id", Keyword, "service_id"),
    column(
        "service.inetd_compatibility",
        Boolean,
        "service_inetd_compatibility",
    ),
    column("service.name", Keyword, "service_name"),
    column("service.object_path", Keyword, "service_object_path"),
    column("service.restart", Keyword, "service_restart"),
    column("service.start_type", Keyword, "service_start_type"),
    column(
        "service.starts.on_mount",
        Boolean,
        "service_starts_on_mount",
    ),
    column(
        "service.starts.on_not_empty_directory",
        Keyword,
        "service_starts_on_not_empty_directory",
    )
    .list(),
    column(
        "service.starts.on_path_modified",
        Keyword,
        "service_starts_on_path_modified",
    )
    .list(),
    column("service.state", Keyword, "service_state"),
    column("service.sub_state", Keyword, "service_sub_state"),
    column("service.target.address", Keyword, "service_target_address"),
    column(
        "service.target.ephemeral_id",
        Keyword,
        "service_target_ephemeral_id",
    ),
    column("service.target.type", Keyword, "service_target_type"),
    column("service.type", Keyword, "service_type"),
    column(
        "service.win32_exit_code",
        Integer,
        "service_win32_exit_code",
    ),
];

/// Browser extensions.
pub(super) const BROWSER_EXTENSIONS: &[Field] = &[
    column("browser.name", Keyword, "browser_name"),
    column("browser.profile.name", Keyword, "browser_profile_name"),
    column("browser.profile.path", Keyword, "browser_profile_path"),
    column(
        "browser.profile.referenced",
        Boolean,
        "browser_profile_referenced",
    ),
    column("file.hash.sha256", Keyword, "file_hash_sha256"),
    column("package.autoupdate", Boolean, "package_autoupdate"),
    column("package.build_version", Keyword, "package_build_version"),
    column("package.description", Keyword, "package_description"),
    column("package.enabled", Boolean, "package_enabled"),
    column("package.from_webstore", Boolean, "package_from_webstore"),
    column("package.id", Keyword, "package_id"),
    column("package.installed", Date, "package_installed"),
    column("package.name", Keyword, "package_name"),
    column("package.path", Keyword, "package_path"),
    column("package.permissions", Keyword, "package_permissions").list(),
    column("package.persistent", Boolean, "package_persistent"),
    column("package.reference", Keyword, "package_reference"),
    column("package.type", Keyword, "package_type"),
    column("package.vendor", Keyword, "package_vendor"),
    column("package.version", Keyword, "package_version_"),
    column("package.visible", Boolean, "package_visible"),
    column("user.id", Keyword, "user_id"),
];
