//! File integrity: files, registry keys and registry values. Rows in ascending order of path.

use super::FieldType::{Date, Keyword, Long};
use super::{Field, column};

/// Watched files.
pub(super) const FILES: &[Field] = &[
    column("file.attributes", Keyword, "attributes"),
    column("file.device", Keyword, "device"),
    column("file.gid", Keyword, "gid"),
    column("file.group", Keyword, "group_"),
    column("file.hash.md5", Keyword, "hash_md5"),
    column("file.hash.sha1", Keyword, "hash_sha1"),
    column("file.hash.sha256", Keyword, "hash_sha256"),
    column("file.inode", Keyword, "inode"),
    column("file.mtime", Date, "mtime"),
    column("file.owner", Keyword, "owner"),
    column("file.path", Keyword, "path"),
    column("file.permissions", Keyword, "permissions").list(),
    column("file.size", Long, "size"),
    column("file.uid", Keyword, "uid"),
];

/// Watched registry keys. Hive and key are the two halves of the path.
pub(super) const REGISTRY_KEYS: &[Field] = &[
    column("registry.architecture", Keyword, "architecture"),
    column("registry.gid", Keyword, "gid"),
    column("registry.group", Keyword, "group_"),
    column("registry.hive", Keyword, "path"),
    column("registry.key", Keyword, "path"),
    column("registry.mtime", Date, "mtime"),
    column("registry.owner", Keyword, "owner"),
    column("registry.path", Keyword, "path"),
    column("registry.permissions", Keyword, "permissions").list(),
    column("registry.uid", Keyword, "uid"),
];

/// Watched registry values. Hive and key are the two halves of the path.
pub(super) const REGISTRY_VALUES: &[Field] = &[
    column("registry.architecture", Keyword, "architecture"),
    column("registry.data.hash.md5", Keyword, "hash_md5"),
    column("registry.data.hash.sha1", Keyword, "hash_sha1"),
    column("registry.data.hash.sha256", Keyword, "hash_sha256"),
    column("registry.data.type", Keyword, "type"),
    column("registry.hive", Keyword, "path"),
    column("registry.key", Keyword, "path"),
    column("registry.path", Keyword, "path"),
    column("registry.size", Long, "size"),
    column("registry.value", Keyword, "value"),
];
