//! The daemon's side of the admin socket.

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{LINE_MAX_BYTES, LINE_TIMEOUT, Request, Response, Status};

/// Clients served at once; further ones wait.
const CLIENTS_MAX: usize = 8;

/// What the daemon does when it is asked.
pub trait Handler: Send + Sync + 'static {
    /// The state, as it is now.
    fn status(&self) -> impl Future<Output = Status> + Send;

    /// Goes on with an index whose sessions wait; a sentence says what was done, or why nothing was.
    fn resume_index(&self, index: &str) -> impl Future<Output = Result<String, String>> + Send;
}

/// Why there is no admin socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers on it.
    #[error("{path}: another daemon answers on this admin socket; stop it, or give this one its own admin.socket", path = path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is something there that is not a socket.
    #[error("{path} exists and is not a socket; it is left as it is: choose another admin.socket", path = path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// It cannot be made.
    #[error("{path}: the admin socket cannot be made: {cause}", path = path.display())]
    Failed {
        /// The socket.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// The bound socket; dropping it removes its file.
#[derive(Debug)]
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Nothing can be done about a failure, and the next start clears a stale socket.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl AdminSocket {
    /// Makes the socket with mode 0600, in place of a stale one nobody answers on.
    ///
    /// # Errors
    ///
    /// It is in use, or cannot be made.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |cause| BindError::Failed {
            path: path.to_owned(),
            cause,
        };
        if let Some(parent) = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
        {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        clear_stale(path)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        // Between the two calls others may connect; their credentials are looked at below.
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        Ok(AdminSocket {
            listener,
            path: path.to_owned(),
        })
    }

    /// Serves clients for ever. Run it as a task; drop it to stop.
    pub async fn serve(self, handler: Arc<impl Handler>) {
        let slots = Arc::new(Semaphore::new(CLIENTS_MAX));
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let handler = Arc::clone(&handler);
                    tokio::spawn(async move {
                        let _slot = slot;
                        if is_allowed(&stream) {
                            answer(stream, handler.as_ref()).await;
                        } else {
                            tracing::warn!(
                                "a connection of another user to the admin socket was refused"
                            );
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin socket cannot accept a connection");
                    tokio::time::sleep(LINE_TIMEOUT / 10).await;
                }
            }
        }
    }
}

/// Removes a socket nobody answers on.
fn clear_stale(path: &Path) -> Result<(), BindError> {
    use std::os::unix::fs::FileTypeExt;
    let Ok(found) = path.symlink_metadata() else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket {
            path: path.to_owned(),
        });
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|cause| BindError::Failed {
                path: path.to_owned(),
                cause,
            })
        }
        Ok(_) => Err(BindError::InUse {
            path: path.to_owned(),
        }),
        Err(cause) => Err(BindError::Failed {
            path: path.to_owned(),
            cause,
        }),
    }
}

/// Root and the daemon's own user.
fn is_allowed(stream: &UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

async fn answer(mut stream: UnixStream, handler: &impl Handler) {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(LINE_MAX_BYTES));
    // A client that is gone, says nothing or says too much is hung up on.
    if !matches!(
        timeout(LINE_TIMEOUT, reader.read_line(&mut line)).await,
        Ok(Ok(1..))
    ) || !line.ends_with('\n')
    {
        return;
    }
    let response = match serde_json::from_str(&line) {
        Ok(Request::Status) => Response::Status(Box::new(handler.status().await)),
        Ok(Request::IndexResume { index }) => match handler.resume_index(&index).await {
            Ok(message) => Response::Done { message },
            Err(message) => Response::Refused { message },
        },
        Err(error) => Response::Refused {
            message: format!("this daemon does not understand the request: {error}"),
        },
    };
    if let Ok(mut text) = serde_json::to_string(&response) {
        text.push('\n');
        // If the client is gone there is nobody to tell.
        let _ = timeout(LINE_TIMEOUT, writer.write_all(text.as_bytes())).await;
    }
}
