//! What a worker answers over HTTP: `/metrics`, `/healthz` and `/readyz`.
//!
//! | path | says |
//! |---|---|
//! | `/metrics` | every metric of the process, and the worker's queues as Redis has them |
//! | `/healthz` | 200 while the process serves |
//! | `/readyz` | 200 while the last answer of Redis about the leases is younger than a limit, else 503 with the reason |
//!
//! Queues are read from Redis when somebody scrapes, one script a queue and at most once in five seconds, however many
//! scrape. Replicas report the same figures of a queue; take `max by (queue)`.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{
    Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse,
    routing::get,
};
use ergate_client::{Client, Queue, QueueStats};
use ergate_shared::{JobState, QueueName, duration};
use prometheus::{GaugeVec, IntGaugeVec, Opts};
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{Health, Metrics};

/// How old the figures of queues may be.
const FRESH: Duration = Duration::from_secs(5);
/// How long Redis may take to tell them: less than the ten seconds Prometheus waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the answers are made of. Clones are the same.
#[derive(Clone)]
pub(super) struct Page {
    inner: Arc<Inner>,
}

struct Inner {
    metrics: Metrics,
    gauges: Gauges,
    ready_within: Duration,
    watched: Mutex<Option<Watched>>,
    /// When queues were last read; held while they are, so that others wait for the same answer.
    read_at: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Clone)]
struct Watched {
    queues: Vec<Queue>,
    health: Health,
}

/// Figures of the queues, as Redis has them.
struct Gauges {
    jobs: IntGaugeVec,
    oldest_ready: GaugeVec,
    paused: IntGaugeVec,
    workers: IntGaugeVec,
}

/// Answers until it is dropped.
pub(super) struct Serving {
    pub(super) address: SocketAddr,
    task: AbortHandle,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers at an address from now on, or nobody if there is none.
pub(super) async fn serve(address: Option<&str>, page: Page) -> anyhow::Result<Option<Serving>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("metrics cannot be served at {address}; choose another with --metrics, or off")
    })?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes(page)).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
    Ok(Some(Serving { address, task: task.abort_handle() }))
}

fn routes(page: Page) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(page)
}

async fn metrics(State(page): State<Page>) -> impl IntoResponse {
    page.read_queues().await;
    match page.inner.metrics.render() {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], format!("{error}\n"))
        }
    }
}

async fn ready(State(page): State<Page>) -> impl IntoResponse {
    match page.readiness() {
        Ok(age) => (StatusCode::OK, format!("ready: redis answered {} ago\n", duration::show(age))),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

impl Page {
    /// Of a process whose worker has yet to start.
    pub(super) fn new(metrics: &Metrics, ready_within: Duration) -> prometheus::Result<Self> {
        // It reads `/proc`.
        #[cfg(target_os = "linux")]
        metrics.registry().register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let gauges = Gauges::new(metrics)?;
        let metrics = metrics.clone();
        let (watched, read_at) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self { inner: Arc::new(Inner { metrics, gauges, ready_within, watched, read_at }) })
    }

    /// Reports these queues and this worker from now on.
    pub(super) fn watch<'a>(
        &self,
        client: &Client,
        queues: impl Iterator<Item = &'a QueueName>,
        health: Health,
    ) {
        let queues = queues.filter_map(|name| client.queue(name.as_str()).ok()).collect();
        *self.watched() = Some(Watched { queues, health });
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Option<Watched>> {
        self.inner.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The age of Redis' last answer, or why the worker is not ready.
    fn readiness(&self) -> Result<Duration, String> {
        let watched = self.watched();
        let Some(Watched { health, .. }) = &*watched else {
            return Err("the worker has yet to reach redis".to_owned());
        };
        let limit = self.inner.ready_within;
        match health.last_answer() {
            Some(age) if age <= limit => Ok(age),
            Some(age) => Err(format!(
                "redis last answered {} ago, the limit is {}",
                duration::show(age),
                duration::show(limit)
            )),
            None => Err("the worker is starting or stopping".to_owned()),
        }
    }

    /// Reads the queues from Redis, unless that was done lately.
    async fn read_queues(&self) {
        let Some(Watched { queues, .. }) = self.watched().clone() else { return };
        let mut read_at = self.inner.read_at.lock().await;
        if read_at.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let all = futures_util::future::try_join_all(queues.iter().map(Queue::stats));
        let read = tokio::time::timeout(PATIENCE, all).await;
        // Also after a failure: a Redis in trouble is not asked more often.
        *read_at = Some(Instant::now());
        // No figures are better than old ones.
        self.inner.gauges.reset();
        match read {
            Ok(Ok(stats)) => {
                for (queue, stats) in queues.iter().zip(&stats) {
                    self.inner.gauges.set(queue.name(), stats);
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "queues cannot be read for /metrics"),
            Err(_) => tracing::warn!(within = ?PATIENCE, "queues were not read in time for /metrics"),
        }
    }
}

impl Gauges {
    fn new(metrics: &Metrics) -> prometheus::Result<Self> {
        let gauges = Self {
            jobs: IntGaugeVec::new(
                Opts::new("ergate_queue_jobs", "Jobs in Redis, by state."),
                &["queue", "state"],
            )?,
            oldest_ready: GaugeVec::new(
                Opts::new(
                    "ergate_queue_oldest_ready_seconds",
                    "How long the first ready job has been waiting, 0 if there is none.",
                ),
                &["queue"],
            )?,
            paused: IntGaugeVec::new(
                Opts::new("ergate_queue_paused", "1 while the queue is paused, else 0."),
                &["queue"],
            )?,
            workers: IntGaugeVec::new(
                Opts::new(
                    "ergate_queue_workers",
                    "Workers that hold a lease on the queue, in all processes.",
                ),
                &["queue"],
            )?,
        };
        let registry = metrics.registry();
        registry.register(Box::new(gauges.jobs.clone()))?;
        registry.register(Box::new(gauges.oldest_ready.clone()))?;
        registry.register(Box::new(gauges.paused.clone()))?;
        registry.register(Box::new(gauges.workers.clone()))?;
        Ok(gauges)
    }

    fn reset(&self) {
        self.jobs.reset();
        self.oldest_ready.reset();
        self.paused.reset();
        self.workers.reset();
    }

    fn set(&self, queue: &QueueName, stats: &QueueStats) {
        let queue = queue.as_str();
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for state in JobState::ALL {
            self.jobs.with_label_values(&[queue, state.as_str()]).set(whole(stats.count(state)));
        }
        let oldest = stats.oldest_ready_ms.map_or(0.0, |ms| ms as f64 / 1000.0);
        self.oldest_ready.with_label_values(&[queue]).set(oldest);
        self.paused.with_label_values(&[queue]).set(i64::from(stats.paused));
        self.workers.with_label_values(&[queue]).set(whole(stats.workers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ended, binary::health_check};

    async fn get(address: SocketAddr, path: &str) -> (u16, String) {
        health_check::get(&address.to_string(), path).await.unwrap()
    }

    #[tokio::test]
    async fn a_worker_that_has_not_reached_redis_is_alive_and_not_ready() {
        let page = Page::new(&Metrics::new(), Duration::from_secs(15)).unwrap();
        let serving = serve(Some("127.0.0.1:0"), page).await.unwrap().unwrap();

        assert_eq!(get(serving.address, "/healthz").await, (200, "ok\n".to_owned()));
        let (status, reason) = get(serving.address, "/readyz").await;
        assert_eq!((status, reason.as_str()), (503, "not ready: the worker has yet to reach redis\n"));
        let (status, text) = get(serving.address, "/metrics").await;
        assert_eq!(status, 200);
        assert!(
            text.contains("ergate_build_info") && text.contains("process_resident_memory_bytes"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named_with_the_way_out() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let page = Page::new(&Metrics::new(), Duration::from_secs(15)).unwrap();

        let error = serve(Some(&address), page).await.err().unwrap();

        let told = format!("metrics cannot be served at {address}; choose another with --metrics, or off");
        assert_eq!(error.to_string(), told);
    }

    #[test]
    fn names_and_help_of_all_metrics_are_as_reviewed() {
        let metrics = Metrics::new();
        let page = Page::new(&metrics, Duration::from_secs(15)).unwrap();
        let queue = QueueName::new("mail").unwrap();
        metrics.started(&queue, "welcome", Some(0), true);
        metrics.ended(&queue, "welcome", Ended::Completed, Duration::ZERO);
        metrics.turn(&queue, Duration::ZERO, 1, 1);
        metrics.stale(&queue);
        metrics.lease_lost(&queue);
        metrics.lost_reply(&queue);
        metrics.recovered(&queue, 1, 1);
        metrics.repaired(&queue, 1);
        metrics.slots(&queue, 1);
        metrics.slots_in_use(&queue, 1);
        metrics.heartbeat_at(&queue);
        metrics.ended(&QueueName::new("fn/onboard").unwrap(), "onboard", Ended::Completed, Duration::ZERO);
        metrics.of_runs(&QueueName::new("fn/onboard").unwrap()).unwrap();
        metrics.routed(Duration::ZERO);
        page.inner.gauges.set(&queue, &QueueStats::default());

        let text = metrics.render().unwrap();

        let heads: Vec<&str> = text.lines().filter(|line| line.starts_with('#')).collect();
        insta::assert_snapshot!(heads.join("\n"));
    }
}
