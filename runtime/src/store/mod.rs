//! The RocksDB adapter: staged frames, and the few facts that must survive.
//!
//! ```text
//!  inventory_sync/
//!    default CF   <session>_<sequence>  ─▶ one received frame      no log, no fsync, wiped at start
//!    meta CF      version bound, writer id, clean stop, …          fsync with every write, never wiped
//! ```
//!
//! Keys are 16 hexadecimal digits, `_`, 16 hexadecimal digits, so that a session's frames lie side by
//! side in order of their sequence and one range deletion drops them (`docs/protocol.md` section 9).
//! What is staged needs no fsync: the agent keeps its rows until the verdict.
//!
//! Invariants: every call is synchronous and belongs on the store's own thread; nothing here decides
//! anything; no call on staged data can touch `meta`.

#[cfg(test)]
mod tests;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rocksdb::{
    ColumnFamilyDescriptor, DB, DBCompressionType, DBPinnableSlice, IteratorMode, LogLevel,
    MemtableFactory, Options, ReadOptions, SliceTransform, WriteBatch, WriteOptions,
};

use crate::config::StoreConfig;

/// The column family of what must survive.
const META: &str = "meta";

/// Files RocksDB may hold open at once.
const OPEN_FILES_MAX: i32 = 512;

/// Longest log of `meta` before its buffer is written out.
const LOG_MAX_BYTES: u64 = 8 << 20;

/// The memory for staged data is so many buffers. Half of them are written to files together, while the others
/// are filled.
const BUFFERS: usize = 4;
const BUFFERS_WRITTEN_TOGETHER: i32 = 2;

/// So many new files are compacted together: late, when most of what is in them was dropped.
const FILES_COMPACTED_TOGETHER: i32 = 16;

/// With so many new files writes are slowed down, with twice as many they wait.
const FILES_TOO_MANY: i32 = 40;

/// Buffers grow by blocks of this size, small enough for the allocator to use them again.
const ARENA_BLOCK_BYTES: usize = 1 << 20;

/// Threads RocksDB may use for flushes and compactions together.
const BACKGROUND_JOBS_MAX: i32 = 2;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the store's lock.
    #[error(
        "the store {path} is in use by another process: only one daemon can run on it; stop the other one, or give this one its own store.path",
        path = path.display()
    )]
    InUse {
        /// The store's directory.
        path: PathBuf,
    },
    /// The store's directory cannot be made or opened.
    #[error("the store {path} cannot be opened: {cause}", path = path.display())]
    Open {
        /// The store's directory.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// A read or a write failed.
    #[error("the store {path} failed to {action}: {cause}", path = path.display())]
    Access {
        /// The store's directory.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// What RocksDB says.
        cause: rocksdb::Error,
    },
}

/// A session with more frames than this is dropped with one range deletion, any other frame by frame: a
/// range deletion is short to write, but each one makes the reads after it dearer.
const SINGLE_DELETES_MAX: usize = 4_096;

/// One frame (or run of frames) to be staged.
#[derive(Clone, Copy, Debug)]
pub struct StagedValue<'a> {
    /// The session.
    pub session: u64,
    /// The lowest sequence newly received with it.
    pub sequence: u64,
    /// The bytes, as they are to be read back.
    pub bytes: &'a [u8],
}

/// A session whose frames are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedSession {
    /// The session.
    pub session: u64,
    /// The sequences under which its frames were staged, each once.
    pub sequences: Vec<u64>,
}

/// The open store.
pub struct Store {
    db: DB,
    path: PathBuf,
    unlogged: WriteOptions,
}

impl Store {
    /// Opens the store, and creates it where there is none (mode 0700).
    ///
    /// # Errors
    ///
    /// It is in use by another process, or cannot be made, or is damaged.
    pub fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let path = config.path.clone();
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|cause| StoreError::Open {
                path: path.clone(),
                cause: cause.to_string(),
            })?;
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        // The hashed buffer has one writer.
        options.set_allow_concurrent_memtable_write(false);
        options.set_max_background_jobs(BACKGROUND_JOBS_MAX);
        options.set_max_open_files(OPEN_FILES_MAX);
        // Only `meta` is logged. It is written seldom, and its buffer would keep a log for ever.
        options.set_max_total_wal_size(LOG_MAX_BYTES);
        options.set_keep_log_file_num(2);
        options.set_max_log_file_size(1 << 20);
        options.set_log_level(LogLevel::Warn);

        let memory = usize::try_from(config.write_buffer_bytes).unwrap_or(usize::MAX);
        let mut staged = Options::default();
        // Most of what is staged is dropped again within seconds. Buffers that are written out together lose
        // what was both staged and dropped in them, so that only what is still wanted goes to files.
        staged.set_write_buffer_size(memory / BUFFERS);
        staged.set_min_write_buffer_number_to_merge(BUFFERS_WRITTEN_TOGETHER);
        staged.set_max_write_buffer_number(i32::try_from(BUFFERS).unwrap_or(i32::MAX));
        staged.set_level_zero_file_num_compaction_trigger(FILES_COMPACTED_TOGETHER);
        staged.set_level_zero_slowdown_writes_trigger(FILES_TOO_MANY);
        staged.set_level_zero_stop_writes_trigger(2 * FILES_TOO_MANY);
        staged.set_arena_block_size(ARENA_BLOCK_BYTES);
        staged.set_compression_type(DBCompressionType::Lz4);
        // A session's frames are one bucket: its id is random, and a sorted buffer would be searched through
        // for each frame.
        staged.set_prefix_extractor(SliceTransform::create_fixed_prefix(PREFIX_BYTES));
        staged.set_memtable_factory(MemtableFactory::HashLinkList {
            bucket_count: BUCKETS,
        });
        let mut meta = Options::default();
        meta.set_write_buffer_size(1 << 20);
        meta.set_compression_type(DBCompressionType::None);

        let families = [
            ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, staged),
            ColumnFamilyDescriptor::new(META, meta),
        ];
        match DB::open_cf_descriptors(&options, &path, families) {
            Ok(db) => {
                let mut unlogged = WriteOptions::default();
                unlogged.disable_wal(true);
                Ok(Store { db, path, unlogged })
            }
            Err(cause) if is_lock(cause.as_ref()) => Err(StoreError::InUse { path }),
            Err(cause) => Err(StoreError::Open {
                path,
                cause: cause.to_string(),
            }),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes frames and drops sessions, all or nothing, without waiting for the disk.
    ///
    /// # Errors
    ///
    /// RocksDB refused the write; none of the frames is stored, and the sessions' frames are still there.
    pub fn stage(
        &self,
        values: &[StagedValue<'_>],
        dropped: &[DroppedSession],
    ) -> Result<(), StoreError> {
        let bytes: usize = values
            .iter()
            .map(|value| KEY_BYTES + value.bytes.len() + RECORD_OVERHEAD_BYTES)
            .sum();
        let mut batch = WriteBatch::with_capacity_bytes(BATCH_HEADER_BYTES + bytes);
        for value in values {
            batch.put(key(value.session, value.sequence), value.bytes);
        }
        for DroppedSession { session, sequences } in dropped {
            if sequences.len() > SINGLE_DELETES_MAX {
                batch.delete_range(key(*session, 0), session_end(*session));
            } else {
                // Each key is written once, so that one mark takes it and itself away.
                for sequence in sequences {
                    batch.single_delete(key(*session, *sequence));
                }
            }
        }
        self.db
            .write_opt(batch, &self.unlogged)
            .map_err(|cause| self.failed("stage sessions", cause))
    }

    /// The frame stored under that sequence, copied.
    ///
    /// # Errors
    ///
    /// RocksDB could not read it.
    pub fn read(&self, session: u64, sequence: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .read_pinned(session, sequence)?
            .map(|bytes| bytes.to_vec()))
    }

    /// The frame stored under that sequence, in RocksDB's own memory.
    ///
    /// # Errors
    ///
    /// RocksDB could not read it.
    pub fn read_pinned(
        &self,
        session: u64,
        sequence: u64,
    ) -> Result<Option<DBPinnableSlice<'_>>, StoreError> {
        self.db
            .get_pinned(key(session, sequence))
            .map_err(|cause| self.failed("read a staged session", cause))
    }

    /// The frames of a session in ascending order of their sequence, from `first` on.
    pub fn frames(
        &self,
        session: u64,
        first: u64,
    ) -> impl Iterator<Item = Result<(u64, Box<[u8]>), StoreError>> + '_ {
        let mut read = ReadOptions::default();
        read.set_iterate_lower_bound(key(session, first));
        read.set_iterate_upper_bound(session_end(session));
        // A session is read once; keeping its blocks would push out what others need.
        read.fill_cache(false);
        self.db
            .iterator_opt(IteratorMode::Start, read)
            .filter_map(move |entry| match entry {
                Ok((key, bytes)) => Some(Ok((sequence_of(&key)?, bytes))),
                Err(cause) => Some(Err(self.failed("read a staged session", cause))),
            })
    }

    /// Drops everything staged, whoever staged it; `meta` is not touched. For the start.
    ///
    /// # Errors
    ///
    /// RocksDB refused the write.
    pub fn wipe_staged(&self) -> Result<(), StoreError> {
        let failed = |cause| self.failed("clean the staged data", cause);
        // Whole files first, which gives their space back at once, then what is left.
        self.db
            .delete_file_in_range([0x00].as_slice(), [0xff].as_slice())
            .map_err(failed)?;
        let mut batch = WriteBatch::default();
        batch.delete_range([0x00].as_slice(), [0xff].as_slice());
        self.db.write(batch).map_err(failed)
    }

    /// Whether nothing is staged.
    ///
    /// # Errors
    ///
    /// RocksDB could not read.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        let mut whole = ReadOptions::default();
        whole.set_total_order_seek(true);
        match self.db.iterator_opt(IteratorMode::Start, whole).next() {
            None => Ok(true),
            Some(Ok(_)) => Ok(false),
            Some(Err(cause)) => Err(self.failed("read the staged data", cause)),
        }
    }

    /// What `meta` holds under that name.
    ///
    /// # Errors
    ///
    /// RocksDB could not read it.
    pub fn meta_get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let meta = self.meta()?;
        self.db
            .get_cf(meta, name)
            .map_err(|cause| self.failed("read its meta data", cause))
    }

    /// Everything in `meta` whose name begins with `prefix`, in order of names.
    ///
    /// # Errors
    ///
    /// RocksDB could not read it.
    pub fn meta_list(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let meta = self.meta()?;
        let mut found = Vec::new();
        for entry in self.db.iterator_cf(
            meta,
            IteratorMode::From(prefix.as_bytes(), rocksdb::Direction::Forward),
        ) {
            let (name, value) = entry.map_err(|cause| self.failed("read its meta data", cause))?;
            if !name.starts_with(prefix.as_bytes()) {
                break;
            }
            found.push((
                String::from_utf8_lossy(&name).into_owned(),
                value.into_vec(),
            ));
        }
        Ok(found)
    }

    /// Writes one fact and returns when it is on the disk.
    ///
    /// # Errors
    ///
    /// RocksDB refused the write: the fact must be taken as not stored.
    pub fn meta_put(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.meta_write(&[(name, Some(value))])
    }

    /// Writes (`Some`) and removes (`None`) several facts, all or none, and returns when that is on
    /// the disk.
    ///
    /// # Errors
    ///
    /// RocksDB refused the write: none of it may be relied on.
    pub fn meta_write(&self, changes: &[(&str, Option<&[u8]>)]) -> Result<(), StoreError> {
        let meta = self.meta()?;
        let mut batch = WriteBatch::default();
        for (name, value) in changes {
            match value {
                Some(value) => batch.put_cf(meta, name, value),
                None => batch.delete_cf(meta, name),
            }
        }
        let mut durable = WriteOptions::default();
        durable.set_sync(true);
        self.db
            .write_opt(batch, &durable)
            .map_err(|cause| self.failed("write its meta data", cause))
    }

    fn meta(&self) -> Result<&rocksdb::ColumnFamily, StoreError> {
        // It was opened with it; a missing one is a damaged store, not a reason to stop the process.
        self.db.cf_handle(META).ok_or_else(|| StoreError::Open {
            path: self.path.clone(),
            cause: "its column family `meta` is missing".to_owned(),
        })
    }

    fn failed(&self, action: &'static str, cause: rocksdb::Error) -> StoreError {
        StoreError::Access {
            path: self.path.clone(),
            action,
            cause,
        }
    }
}

/// Length of a key: two numbers of 16 digits and what parts them.
const KEY_BYTES: usize = 33;

/// The part of a key that its session's frames share.
const PREFIX_BYTES: usize = 17;

/// Buckets of the buffer: about as many as it holds sessions when they are small.
const BUCKETS: usize = 1 << 17;

/// What a write batch has before its records.
const BATCH_HEADER_BYTES: usize = 12;

/// What a record of a write batch has at most besides key and value: its kind and two lengths.
const RECORD_OVERHEAD_BYTES: usize = 11;

/// `<session>_<sequence>`, in fixed-width hexadecimal.
fn key(session: u64, sequence: u64) -> [u8; KEY_BYTES] {
    let mut key = [b'_'; KEY_BYTES];
    key[..16].copy_from_slice(&digits(session));
    key[17..].copy_from_slice(&digits(sequence));
    key
}

/// A key behind all of a session, and before those of the next: `` ` `` is the character after `_`.
fn session_end(session: u64) -> [u8; KEY_BYTES] {
    let mut key = key(session, 0);
    key[16] = b'`';
    key
}

/// 16 hexadecimal digits, the highest first.
fn digits(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    digits
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn sequence_of(key: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(key.get(17..KEY_BYTES)?).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

/// RocksDB has no kind of error for a lock that is taken; its sentence is all there is.
fn is_lock(message: &str) -> bool {
    message.contains("lock hold by current process") || message.contains("While lock file")
}
