//! One address for agents while daemons come and go, each at a port of its own.
//!
//! Without it a daemon would have to take the port of the one before it, which any process of the machine may have
//! been given meanwhile. Connections end with the daemon that they were made to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The address, which leads to the daemon that listens now. Closed when this is dropped.
pub struct Front {
    address: SocketAddr,
    daemon: Arc<Mutex<Option<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Front {
    /// Listens at a port that the system chose.
    ///
    /// # Errors
    /// There is none.
    pub async fn open() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let daemon = Arc::new(Mutex::new(None));
        let target = Arc::clone(&daemon);
        let task = tokio::spawn(async move {
            while let Ok((agent, _)) = listener.accept().await {
                let target = *target.lock().unwrap_or_else(PoisonError::into_inner);
                tokio::spawn(forward(agent, target));
            }
        });
        Ok(Self {
            address,
            daemon,
            task,
        })
    }

    /// The port that agents know.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Where the daemon listens; `None`: nowhere.
    pub fn lead_to(&self, daemon: Option<SocketAddr>) {
        *self.daemon.lock().unwrap_or_else(PoisonError::into_inner) = daemon;
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(mut agent: TcpStream, daemon: Option<SocketAddr>) {
    let Some(daemon) = daemon else { return };
    // Without a daemon the connection ends, which says it.
    let Ok(mut daemon) = TcpStream::connect(daemon).await else {
        return;
    };
    // Either end may go at any time: that is what is tested.
    let _ = agent.set_nodelay(true);
    let _ = daemon.set_nodelay(true);
    let _ = tokio::io::copy_bidirectional(&mut agent, &mut daemon).await;
}
