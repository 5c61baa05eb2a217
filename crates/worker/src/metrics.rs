//! Every metric of a worker, declared here and nowhere else: unit in the name, few labels, never an id.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ergate_client::Client;
use ergate_shared::{FunctionName, QueueName, ScheduleName, clock, function::QUEUE_PREFIX};
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::Ended;

mod functions;

use functions::FunctionMetrics;
pub(crate) use functions::{RunMetrics, StepEnd};

/// The metrics of a worker process. Clones share the same numbers.
#[derive(Debug, Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    ended: IntCounterVec,
    leased: IntCounterVec,
    stale: IntCounterVec,
    lease_lost: IntCounterVec,
    lost_replies: IntCounterVec,
    recovered: IntCounterVec,
    buried: IntCounterVec,
    repairs: IntCounterVec,
    data_replaced: IntCounter,
    schedule_times: IntCounterVec,
    schedule_lateness: HistogramVec,
    enqueued: IntCounterVec,
    duplicates: IntCounterVec,
    in_queue: HistogramVec,
    lateness: HistogramVec,
    run: HistogramVec,
    turn: HistogramVec,
    batch: HistogramVec,
    slots: IntGaugeVec,
    in_use: IntGaugeVec,
    heartbeat: GaugeVec,
    connected: IntGauge,
    functions: FunctionMetrics,
    clients: Mutex<Vec<Client>>,
}

/// From a tenth of a millisecond to ten minutes.
const SECONDS: &[f64] = &[
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 600.0,
];
const SIZES: &[f64] = &[0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics in a registry of their own.
    ///
    /// # Panics
    /// Never: the names are checked by the tests.
    pub fn new() -> Self {
        Self::in_registry(Registry::new()).expect("an empty registry takes every metric")
    }

    /// Metrics in a registry that has others too.
    ///
    /// # Errors
    /// If the registry has a metric of one of these names.
    pub fn in_registry(registry: Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| counter(&registry, name, help, labels);
        let histogram = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            histogram(&registry, name, help, labels, buckets)
        };
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGaugeVec> {
            let metric = IntGaugeVec::new(Opts::new(name, help), &["queue"])?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let heartbeat = GaugeVec::new(
            Opts::new("ergate_heartbeat_timestamp_seconds", "When the last heartbeat was answered."),
            &["queue"],
        )?;
        registry.register(Box::new(heartbeat.clone()))?;
        let connected = IntGauge::new("ergate_redis_connected", "1 while redis answers, else 0.")?;
        registry.register(Box::new(connected.clone()))?;
        let data_replaced = IntCounter::new(
            "ergate_data_replaced_total",
            "Heartbeats that found another data set than at start.",
        )?;
        registry.register(Box::new(data_replaced.clone()))?;
        let build = IntGaugeVec::new(
            Opts::new("ergate_build_info", "Always 1; the labels say which build."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        let job = &["queue", "job"][..];
        let queue = &["queue"][..];
        let inner = Inner {
            ended: counter(
                "ergate_jobs_ended_total",
                "Attempts that ended, by outcome.",
                &["queue", "job", "outcome"],
            )?,
            leased: counter("ergate_jobs_leased_total", "Attempts started.", job)?,
            stale: counter(
                "ergate_stale_settles_total",
                "Outcomes dropped because the lease was lost before.",
                queue,
            )?,
            lease_lost: counter(
                "ergate_leases_lost_total",
                "Attempts stopped because the lease was lost.",
                queue,
            )?,
            lost_replies: counter(
                "ergate_lost_replies_total",
                "Jobs found leased by a call whose reply was lost.",
                queue,
            )?,
            recovered: counter(
                "ergate_crashed_jobs_recovered_total",
                "Jobs taken back from workers that died.",
                queue,
            )?,
            buried: counter(
                "ergate_crashed_jobs_dead_total",
                "Jobs dead-lettered because too many workers died under them.",
                queue,
            )?,
            repairs: counter(
                "ergate_reconciler_repairs_total",
                "States that must not exist, repaired.",
                queue,
            )?,
            enqueued: counter("ergate_jobs_enqueued_total", "Jobs enqueued by this process.", queue)?,
            duplicates: counter(
                "ergate_duplicates_refused_total",
                "Jobs not enqueued because of their id or unique key.",
                queue,
            )?,
            schedule_times: counter(
                "ergate_schedule_times_total",
                "Times of schedules that came, by what became of them: started, missed or skipped.",
                &["schedule", "outcome"],
            )?,
            schedule_lateness: histogram(
                "ergate_schedule_lateness_seconds",
                "From the time of a schedule, jitter included, to the start of its job.",
                &[],
                SECONDS,
            )?,
            in_queue: histogram(
                "ergate_job_time_in_queue_seconds",
                "From enqueued or due to started.",
                job,
                SECONDS,
            )?,
            lateness: histogram(
                "ergate_job_lateness_seconds",
                "From due to started, of delayed jobs.",
                job,
                SECONDS,
            )?,
            run: histogram("ergate_job_run_seconds", "How long attempts ran.", job, SECONDS)?,
            turn: histogram(
                "ergate_lease_round_trip_seconds",
                "Round trips of settling and leasing.",
                queue,
                SECONDS,
            )?,
            batch: histogram(
                "ergate_batch_size_jobs",
                "Jobs settled or leased by one call.",
                &["queue", "what"],
                SIZES,
            )?,
            slots: gauge("ergate_slots", "Jobs that may run at once in this process.")?,
            in_use: gauge("ergate_slots_in_use", "Jobs that run in this process.")?,
            heartbeat,
            connected,
            data_replaced,
            functions: FunctionMetrics::in_registry(&registry)?,
            clients: Mutex::default(),
            registry,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The registry they are in.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Counts what this client enqueues, too.
    pub fn watch(&self, client: &Client) {
        let mut clients = self.inner.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if !clients.iter().any(|known| known.is_same(client)) {
            clients.push(client.clone());
        }
    }

    /// Everything in the text format Prometheus scrapes.
    ///
    /// # Errors
    /// If the numbers cannot be written as text.
    pub fn render(&self) -> prometheus::Result<String> {
        self.take_counts();
        prometheus::TextEncoder::new().encode_to_string(&self.inner.registry.gather())
    }

    /// Brings the counters to what all clients together have enqueued and sent so far.
    fn take_counts(&self) {
        let (mut sent, mut refused, mut queues) = (0, 0, BTreeMap::<_, (u64, u64)>::new());
        // Held to the end: two that count up at once would count twice.
        let clients = self.inner.clients.lock().unwrap_or_else(PoisonError::into_inner);
        for client in clients.iter() {
            let (kept, duplicates) = client.sent();
            (sent, refused) = (sent + kept, refused + duplicates);
            for (queue, enqueued, duplicates) in client.produced() {
                let sums = queues.entry(queue).or_default();
                *sums = (sums.0 + enqueued, sums.1 + duplicates);
            }
        }
        for (queue, (enqueued, duplicates)) in queues {
            let labels = [queue.as_str()];
            for (metric, total) in [(&self.inner.enqueued, enqueued), (&self.inner.duplicates, duplicates)] {
                let counter = metric.with_label_values(&labels);
                counter.inc_by(total.saturating_sub(counter.get()));
            }
        }
        self.inner.functions.sent(sent, refused);
    }

    pub(crate) fn started(&self, queue: &QueueName, job: &str, waited_ms: Option<u64>, was_delayed: bool) {
        let labels = [queue.as_str(), job];
        self.inner.leased.with_label_values(&labels).inc();
        let Some(waited_ms) = waited_ms else { return };
        let waited = Duration::from_millis(waited_ms).as_secs_f64();
        self.inner.in_queue.with_label_values(&labels).observe(waited);
        if was_delayed {
            self.inner.lateness.with_label_values(&labels).observe(waited);
        }
    }

    pub(crate) fn ended(&self, queue: &QueueName, job: &str, ended: Ended, ran: Duration) {
        self.inner.run.with_label_values(&[queue.as_str(), job]).observe(ran.as_secs_f64());
        self.count_end(queue, job, ended);
    }

    /// A job that was leased and not started.
    pub(crate) fn turned_away(&self, queue: &QueueName, ended: Ended) {
        self.count_end(queue, "", ended);
    }

    fn count_end(&self, queue: &QueueName, job: &str, ended: Ended) {
        self.inner.ended.with_label_values(&[queue.as_str(), job, ended.as_str()]).inc();
        if let Some(function) = queue.as_str().strip_prefix(QUEUE_PREFIX) {
            self.inner.functions.ended(function, ended);
        }
    }

    /// Those of the runs of a queue; `None` for a queue of plain jobs.
    pub(crate) fn of_runs(&self, queue: &QueueName) -> Option<RunMetrics> {
        Some(self.inner.functions.of(&FunctionName::of_queue(queue)?))
    }

    pub(crate) fn routed(&self, after: Duration) {
        self.inner.functions.routed(after);
    }

    pub(crate) fn turn(&self, queue: &QueueName, took: Duration, settled: usize, leased: usize) {
        self.inner.turn.with_label_values(&[queue.as_str()]).observe(took.as_secs_f64());
        self.inner.batch.with_label_values(&[queue.as_str(), "settled"]).observe(settled as f64);
        self.inner.batch.with_label_values(&[queue.as_str(), "leased"]).observe(leased as f64);
    }

    pub(crate) fn stale(&self, queue: &QueueName) {
        self.inner.stale.with_label_values(&[queue.as_str()]).inc();
    }

    pub(crate) fn lease_lost(&self, queue: &QueueName) {
        self.inner.lease_lost.with_label_values(&[queue.as_str()]).inc();
    }

    pub(crate) fn lost_reply(&self, queue: &QueueName) {
        self.inner.lost_replies.with_label_values(&[queue.as_str()]).inc();
    }

    pub(crate) fn recovered(&self, queue: &QueueName, recovered: u64, buried: u64) {
        self.inner.recovered.with_label_values(&[queue.as_str()]).inc_by(recovered);
        self.inner.buried.with_label_values(&[queue.as_str()]).inc_by(buried);
    }

    pub(crate) fn repaired(&self, queue: &QueueName, repairs: u64) {
        self.inner.repairs.with_label_values(&[queue.as_str()]).inc_by(repairs);
    }

    pub(crate) fn schedule_times(&self, schedule: &ScheduleName, outcome: &str, times: u64) {
        if times > 0 {
            self.inner.schedule_times.with_label_values(&[schedule.as_str(), outcome]).inc_by(times);
        }
    }

    /// Of all schedules together: there may be one for each customer, and a histogram is two dozen series.
    pub(crate) fn schedule_late(&self, late: Duration) {
        self.inner.schedule_lateness.with_label_values::<&str>(&[]).observe(late.as_secs_f64());
    }

    pub(crate) fn data_replaced(&self) {
        self.inner.data_replaced.inc();
    }

    pub(crate) fn slots(&self, queue: &QueueName, slots: usize) {
        self.inner.slots.with_label_values(&[queue.as_str()]).set(slots as i64);
    }

    pub(crate) fn slots_in_use(&self, queue: &QueueName, slots: usize) {
        self.inner.in_use.with_label_values(&[queue.as_str()]).set(slots as i64);
    }

    pub(crate) fn heartbeat_at(&self, queue: &QueueName) {
        self.inner.heartbeat.with_label_values(&[queue.as_str()]).set(clock::unix_ms() as f64 / 1000.0);
    }

    /// Of a queue that was left there are no heartbeats to be missed.
    pub(crate) fn left(&self, queue: &QueueName) {
        // It has none if it was never joined.
        let _ = self.inner.heartbeat.remove_label_values(&[queue.as_str()]);
    }

    pub(crate) fn connected(&self, connected: bool) {
        self.inner.connected.set(i64::from(connected));
    }
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> prometheus::Result<IntCounterVec> {
    let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> prometheus::Result<HistogramVec> {
    let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
