//! How many files the process may have open: a connection is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files beside the connections: standard streams, the state, the Indexer, the runtime's own.
const OTHERS: u64 = 64;

/// Too few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{connections} connections need {needed} open files, and this process may have {allowed}: raise the hard \
     limit (`ulimit -Hn {needed}` as root, or LimitNOFILE), or use fewer agents"
)]
pub struct TooFewFiles {
    connections: u64,
    needed: u64,
    allowed: u64,
}

/// Raises the limit to the hard one and compares it with what is needed.
pub(super) fn raise(connections: u64) -> Result<(), TooFewFiles> {
    let needed = connections.saturating_add(OTHERS);
    let allowed = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard => {
            // What cannot be raised is as it was.
            match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
                Ok(()) => hard,
                Err(_) => soft,
            }
        }
        Ok((soft, _)) => soft,
        // Nothing is known: whatever is too much will tell by itself.
        Err(_) => u64::MAX,
    };
    if needed > allowed {
        return Err(TooFewFiles {
            connections,
            needed,
            allowed,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_fit_and_more_than_any_system_has_do_not() {
        raise(1).unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(soft, hard);
        let error = raise(u64::MAX - OTHERS).unwrap_err().to_string();
        assert!(error.contains("open files"), "{error}");
    }
}
