//! The no-op handler: it counts, and measures jobs that carry a timestamp.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

use tokio::sync::{Notify, Semaphore, mpsc};

use crate::{
    payload::{Payload, now_us},
    protocol::{Reply, Request, requests},
};

/// What a worker's handlers share with the conversation on standard input.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Permits for handlers of a gated worker; nobody asks for them otherwise.
    gate: Semaphore,
    gated: bool,
    keeps: Option<u64>,
    started: AtomicBool,
    start: Notify,
    done: AtomicU64,
    /// The number of jobs somebody waits for.
    target: AtomicU64,
    reached: Notify,
    first_us: AtomicU64,
    last_us: AtomicU64,
    samples: Mutex<Samples>,
}

#[derive(Debug, Default)]
struct Samples {
    pickup_ms: Vec<f64>,
    late_ms: Vec<f64>,
}

impl Meter {
    /// Starts answering the driver.
    pub(crate) fn start(gated: bool, keeps: Option<u64>) -> Self {
        let meter = Self(Arc::new(Inner {
            gate: Semaphore::new(0),
            gated,
            keeps,
            started: AtomicBool::new(false),
            start: Notify::new(),
            done: AtomicU64::new(0),
            target: AtomicU64::new(u64::MAX),
            reached: Notify::new(),
            first_us: AtomicU64::new(u64::MAX),
            last_us: AtomicU64::new(0),
            samples: Mutex::default(),
        }));
        tokio::spawn(meter.clone().converse(requests()));
        meter
    }

    /// Tells the driver that the worker is prepared and returns when it may begin.
    pub async fn ready(&self) {
        Reply::Ready { keeps: self.0.keeps }.send();
        while !self.0.started.load(Relaxed) {
            self.0.start.notified().await;
        }
    }

    /// Performs one job.
    pub async fn handle(&self, payload: &Payload) {
        let inner = &*self.0;
        let now = now_us();
        inner.first_us.fetch_min(now, Relaxed);
        if payload.sent_us > 0 {
            inner.samples().pickup_ms.push(milliseconds(payload.sent_us, now));
        }
        if payload.due_us > 0 {
            inner.samples().late_ms.push(milliseconds(payload.due_us, now));
        }
        if inner.gated
            && let Ok(permit) = inner.gate.acquire().await
        {
            permit.forget();
        }
        inner.last_us.fetch_max(now, Relaxed);
        // Sequentially consistent, as in `until`: one of the two sees what the other wrote, so no wake-up is lost.
        if inner.done.fetch_add(1, SeqCst) + 1 >= inner.target.load(SeqCst) {
            inner.reached.notify_one();
        }
    }

    async fn converse(self, mut requests: mpsc::UnboundedReceiver<Request>) {
        let inner = &*self.0;
        while let Some(request) = requests.recv().await {
            match request {
                Request::Start => {
                    inner.started.store(true, Relaxed);
                    inner.start.notify_one();
                }
                Request::Pass(jobs) => inner.gate.add_permits(jobs),
                Request::Wait(jobs) => tokio::select! {
                    () = inner.until(jobs) => inner.waited().send(),
                    // A driver that gave up asks for a report, which shows how far the worker came.
                    Some(_) = requests.recv() => inner.report().send(),
                },
                Request::Report => inner.report().send(),
            }
        }
    }
}

impl Inner {
    fn samples(&self) -> std::sync::MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until(&self, jobs: u64) {
        self.target.store(jobs, SeqCst);
        while self.done.load(SeqCst) < jobs {
            self.reached.notified().await;
        }
        self.target.store(u64::MAX, SeqCst);
    }

    fn waited(&self) -> Reply {
        Reply::Waited {
            done: self.done.load(Relaxed),
            first_us: self.first_us.load(Relaxed),
            last_us: self.last_us.load(Relaxed),
        }
    }

    /// The report clears what it tells, except the number of jobs done.
    fn report(&self) -> Reply {
        let Samples { pickup_ms, late_ms } = std::mem::take(&mut *self.samples());
        self.first_us.store(u64::MAX, Relaxed);
        Reply::Report { done: self.done.load(Relaxed), pickup_ms, late_ms }
    }
}

/// Signed: a job may start before it is due where the system keeps whole seconds.
fn milliseconds(from_us: u64, to_us: u64) -> f64 {
    (to_us as f64 - from_us as f64) / 1000.0
}
