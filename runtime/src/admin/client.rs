//! The command line's side of the admin socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::{LINE_TIMEOUT, Request, Response};

/// Why a daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error("no daemon answers on {path}: is `inventory-sync serve` running, with the same admin.socket?", path = path.display())]
    NoDaemon {
        /// The socket.
        path: PathBuf,
    },
    /// We are not the user it lets in.
    #[error("{path} belongs to the daemon's user: run this as that user or as root", path = path.display())]
    NotAllowed {
        /// The socket.
        path: PathBuf,
    },
    /// The conversation broke off.
    #[error("the daemon on {path} did not answer: {cause}", path = path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The answer is not one of ours.
    #[error("the daemon on {path} answered something this program does not understand; are both of the same version?", path = path.display())]
    NotUnderstood {
        /// The socket.
        path: PathBuf,
    },
}

/// Asks the daemon on that socket and waits for its answer.
///
/// # Errors
///
/// Nobody answers, or not to us, or not in time.
pub fn ask(path: &Path, request: &Request) -> Result<Response, ClientError> {
    let broken = |cause: io::Error| ClientError::Broken {
        path: path.to_owned(),
        cause,
    };
    let mut stream = UnixStream::connect(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NoDaemon {
            path: path.to_owned(),
        },
        io::ErrorKind::PermissionDenied => ClientError::NotAllowed {
            path: path.to_owned(),
        },
        _ => broken(cause),
    })?;
    stream
        .set_read_timeout(Some(LINE_TIMEOUT * 2))
        .map_err(broken)?;
    stream
        .set_write_timeout(Some(LINE_TIMEOUT))
        .map_err(broken)?;
    let mut line = serde_json::to_string(request).map_err(|error| broken(error.into()))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(broken)?;
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .map_err(broken)?;
    if answer.is_empty() {
        return Err(ClientError::NotAllowed {
            path: path.to_owned(),
        });
    }
    serde_json::from_str(&answer).map_err(|_| ClientError::NotUnderstood {
        path: path.to_owned(),
    })
}
