//! `/metrics` for Prometheus and `/healthz`, on loopback only.
//!
//! The recorder is process-wide; whatever counts calls the `metrics` macros. No label names an agent:
//! their number would be the number of time series.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

/// How often histograms are folded, so that they do not grow between two visits.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Upper bounds of the histograms of times, in seconds.
const TIME_BUCKETS_S: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// There is a recorder already, or its settings are wrong.
    #[error("metrics cannot be recorded: {0}")]
    Recorder(#[from] metrics_exporter_prometheus::BuildError),
    /// The address cannot be listened on.
    #[error(
        "metrics.listen: {address} cannot be listened on: {cause}; choose another address, or \"\" for none"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The address can be reached from other machines.
    #[error("metrics.listen: {0} is not a loopback address")]
    NotLoopback(SocketAddr),
}

/// What `/healthz` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// 200 or 503.
    pub is_ok: bool,
    /// One line for people.
    pub text: String,
}

/// Installs the process's recorder. Once.
///
/// # Errors
///
/// There is one already.
pub fn install() -> Result<PrometheusHandle, MetricsError> {
    Ok(builder()?.install_recorder()?)
}

fn builder() -> Result<PrometheusBuilder, MetricsError> {
    Ok(PrometheusBuilder::new().set_buckets(&TIME_BUCKETS_S)?)
}

/// The bound listener.
#[derive(Debug)]
pub struct MetricsListener {
    listener: TcpListener,
    handle: PrometheusHandle,
}

struct Shared {
    handle: PrometheusHandle,
    health: Box<dyn Fn() -> Health + Send + Sync>,
}

impl MetricsListener {
    /// Listens on a loopback address.
    ///
    /// # Errors
    ///
    /// The address is taken, or is not on loopback.
    pub async fn bind(address: SocketAddr, handle: PrometheusHandle) -> Result<Self, MetricsError> {
        if !address.ip().is_loopback() {
            return Err(MetricsError::NotLoopback(address));
        }
        let listener = TcpListener::bind(address)
            .await
            .map_err(|cause| MetricsError::Listen { address, cause })?;
        Ok(MetricsListener { listener, handle })
    }

    /// Where it listens; tells the port when 0 was asked for.
    ///
    /// # Errors
    ///
    /// The socket is gone.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` ends. `health` is called for every `/healthz` and must be quick.
    ///
    /// # Errors
    ///
    /// The listener failed.
    pub async fn serve(
        self,
        health: impl Fn() -> Health + Send + Sync + 'static,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let handle = self.handle.clone();
        let upkeep = tokio::spawn(async move {
            let mut interval = tokio::time::interval(UPKEEP_INTERVAL);
            loop {
                interval.tick().await;
                handle.run_upkeep();
            }
        });
        let shared = Arc::new(Shared {
            handle: self.handle,
            health: Box::new(health),
        });
        let routes = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(healthz))
            .with_state(shared);
        let served = axum::serve(self.listener, routes)
            .with_graceful_shutdown(stop)
            .await;
        upkeep.abort();
        served
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], shared.handle.render()).into_response()
}

async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    let health = (shared.health)();
    let status = if health.is_ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, format!("{}\n", health.text)).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::{Health, MetricsError, MetricsListener, builder};

    async fn get(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_and_health_are_served() {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!("inventory_sync_sessions_total", "verdict" => "ok").increment(3);
            metrics::histogram!("inventory_sync_bulk_seconds").record(0.02);
        });
        let listener = MetricsListener::bind("127.0.0.1:0".parse().unwrap(), recorder.handle())
            .await
            .unwrap();
        let address = listener.address().unwrap();
        let ill = || Health {
            is_ok: false,
            text: "no lease".into(),
        };
        let server = tokio::spawn(listener.serve(ill, std::future::pending()));
        let text = get(address, "/metrics").await;
        assert!(
            text.contains("inventory_sync_sessions_total{verdict=\"ok\"} 3"),
            "{text}"
        );
        assert!(
            text.contains("inventory_sync_bulk_seconds_bucket{le=\"0.025\"} 1"),
            "{text}"
        );
        let text = get(address, "/healthz").await;
        assert!(
            text.starts_with("HTTP/1.1 503") && text.ends_with("no lease\n"),
            "{text}"
        );
        assert!(get(address, "/other").await.starts_with("HTTP/1.1 404"));
        server.abort();
    }

    #[tokio::test]
    async fn only_loopback_is_listened_on() {
        let handle = builder().unwrap().build_recorder().handle();
        let error = MetricsListener::bind("0.0.0.0:0".parse().unwrap(), handle)
            .await
            .unwrap_err();
        assert!(matches!(error, MetricsError::NotLoopback(_)));
    }
}
