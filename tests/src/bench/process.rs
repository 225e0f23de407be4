//! What a process costs, out of `/proc`.

use std::collections::BTreeMap;

use procfs::process::Process as Entry;

use super::{BenchError, Ran};

/// CPU time in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    /// In the program.
    pub user: f64,
    /// In the kernel for the program.
    pub system: f64,
}

impl Cpu {
    /// Both together.
    #[must_use]
    pub fn total(self) -> f64 {
        self.user + self.system
    }

    /// What was used since.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user - earlier.user,
            system: self.system - earlier.system,
        }
    }

    fn of_ticks(user: u64, system: u64) -> Self {
        let per_second = procfs::ticks_per_second() as f64;
        Self {
            user: user as f64 / per_second,
            system: system as f64 / per_second,
        }
    }
}

impl std::ops::AddAssign for Cpu {
    fn add_assign(&mut self, other: Self) {
        self.user += other.user;
        self.system += other.system;
    }
}

/// A process that runs.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pid: i32,
}

impl Process {
    /// The process of this number.
    ///
    /// # Errors
    /// The number is none.
    pub fn of(pid: u32) -> Ran<Self> {
        let pid = i32::try_from(pid).map_err(|error| BenchError::new("watch a process", error))?;
        Ok(Self { pid })
    }

    fn entry(self) -> Ran<Entry> {
        Entry::new(self.pid)
            .map_err(|error| BenchError::new(format!("watch process {}", self.pid), error))
    }

    /// The CPU time it has used, its ended threads included.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu(self) -> Ran<Cpu> {
        let stat = self.entry()?.stat();
        let stat = stat.map_err(|error| BenchError::new("read CPU time", error))?;
        Ok(Cpu::of_ticks(stat.utime, stat.stime))
    }

    /// The same of its living threads, by their names without a number at the end.
    ///
    /// # Errors
    /// It has ended.
    pub fn threads(self) -> Ran<BTreeMap<String, Cpu>> {
        let tasks = self.entry()?.tasks();
        let tasks = tasks.map_err(|error| BenchError::new("list threads", error))?;
        let mut threads: BTreeMap<String, Cpu> = BTreeMap::new();
        // A thread may end while it is looked at.
        for stat in tasks.flatten().filter_map(|task| task.stat().ok()) {
            let name = kind_of_thread(&stat.comm).to_owned();
            *threads.entry(name).or_default() += Cpu::of_ticks(stat.utime, stat.stime);
        }
        Ok(threads)
    }

    /// Resident memory now and at its greatest, in bytes.
    ///
    /// # Errors
    /// It has ended.
    pub fn memory(self) -> Ran<(u64, u64)> {
        let status = self.entry()?.status();
        let status = status.map_err(|error| BenchError::new("read memory", error))?;
        let kib = |value: Option<u64>| value.unwrap_or_default() * 1024;
        Ok((kib(status.vmrss), kib(status.vmhwm)))
    }
}

/// `inventory-io` of `inventory-io`, `rocksdb:low` of `rocksdb:low1`; the kernel cuts names after 15 bytes.
fn kind_of_thread(name: &str) -> &str {
    name.trim_end_matches(|each: char| each.is_ascii_digit() || each == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_watched() {
        let own = Process::of(std::process::id()).unwrap();
        let (resident, peak) = own.memory().unwrap();
        assert!(resident > 100_000 && peak >= resident);
        assert!(own.cpu().unwrap().total() < 1e6);
        assert!(!own.threads().unwrap().is_empty());
    }

    #[test]
    fn threads_are_known_by_what_they_do() {
        assert_eq!(kind_of_thread("inventory-shard-12"), "inventory-shard");
        assert_eq!(kind_of_thread("rocksdb:low0"), "rocksdb:low");
    }
}
