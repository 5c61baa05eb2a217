//! One queue of a worker: what runs, what is to be settled, and when to call Redis.
//!
//! There is one call at a time. While it is under way outcomes pile up, and the next call takes them all, together with
//! as many jobs as there are free slots: a loaded queue batches by itself, and an idle one answers in one round trip.
//!
//! Because nobody else changes what this worker holds, each reply can be checked against what is known here. A
//! difference means that a reply was lost: then Redis is asked for all it says the worker holds, what is not known here is
//! run, and what is known here but not there is a lost lease.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ergate_client::{Client, link::Pause};
use ergate_shared::JobId;
use tokio::sync::{mpsc, watch};

use crate::{
    Context, DeadLetter, Metrics,
    context::Reason,
    cut_off::cut_off,
    identity::{Seat, Signal},
    notes::Notes,
    outcome::{Action, Settlement},
    pool::Pool,
    route::Routes,
    run::Recorder,
    waiter::{self, Bed},
};

mod holdings;
mod membership;
mod settled;
mod signals;
mod start;
mod turns;

/// The most settlements of one call.
const MOST_AT_ONCE: usize = 500;
/// The most jobs leased by one call: a script hands at most some thousands of values to a command.
const MOST_LEASED: usize = 1000;
/// How often, at most, a worker without a slot sees to what falls due.
const PASS_ON_EVERY: Duration = Duration::from_millis(250);

/// Called with every new dead letter.
pub(crate) type DeadHook = Arc<dyn Fn(DeadLetter) + Send + Sync>;

/// What a queue's loop is made of.
pub(crate) struct QueueLoop {
    client: Client,
    seat: Arc<Seat>,
    bed: Arc<Bed>,
    /// Slots shared with other queues, and this queue's place there.
    pool: Option<(Arc<Pool>, usize)>,
    routes: Arc<Routes>,
    lease: Duration,
    metrics: Metrics,
    on_dead: Option<DeadHook>,
    /// Whether completed runs are told to functions; nothing for plain jobs.
    audience: Option<Arc<AtomicBool>>,
    notes: Notes,
    recorder: Recorder,
    signals: mpsc::UnboundedReceiver<Signal>,
    /// Signals that came while an answer of Redis was awaited.
    unheard: Vec<Signal>,
    outcomes: mpsc::UnboundedReceiver<Settlement>,
    outcome_sender: mpsc::UnboundedSender<Settlement>,
    running: HashMap<JobId, Context>,
    /// Ended, and not yet told.
    unsettled: Vec<Settlement>,
    calls: u64,
    /// Whether there may be something to lease.
    hint: bool,
    quiet: bool,
    interrupted: bool,
    /// When a scheduled job falls due or a limit opens.
    next_at: Option<Instant>,
    /// When what fell due was last passed on to others.
    passed_on: Option<Instant>,
    /// Whether the pool of shared slots had none when one was wanted.
    starved: bool,
    /// Whether the reply of a call may have been lost.
    uncertain: bool,
    /// How many records are read by one call, of jobs that are held and not known.
    records_at_once: usize,
    pause: Pause,
    not_before: Option<Instant>,
    phase: watch::Receiver<bool>,
}

/// What a queue's loop is given.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) seat: Arc<Seat>,
    pub(crate) bed: Arc<Bed>,
    pub(crate) pool: Option<(Arc<Pool>, usize)>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) lease: Duration,
    pub(crate) metrics: Metrics,
    pub(crate) on_dead: Option<DeadHook>,
    pub(crate) audience: Option<Arc<AtomicBool>>,
    pub(crate) signals: mpsc::UnboundedReceiver<Signal>,
    /// Turns true when the loop must end whatever is left.
    pub(crate) give_up: watch::Receiver<bool>,
}

impl QueueLoop {
    pub(crate) fn new(parts: Parts) -> Self {
        let (outcome_sender, outcomes) = mpsc::unbounded_channel();
        let notes = Notes::new(parts.client.redis().clone(), parts.seat.keys.clone());
        let runs = parts.metrics.of_runs(&parts.seat.queue);
        let recorder = Recorder::new(parts.client.redis().clone(), parts.seat.keys.clone(), runs);
        Self {
            client: parts.client,
            seat: parts.seat,
            bed: parts.bed,
            pool: parts.pool,
            routes: parts.routes,
            lease: parts.lease,
            metrics: parts.metrics,
            on_dead: parts.on_dead,
            audience: parts.audience,
            notes,
            recorder,
            signals: parts.signals,
            unheard: Vec::new(),
            outcomes,
            outcome_sender,
            running: HashMap::new(),
            unsettled: Vec::new(),
            calls: 0,
            hint: true,
            quiet: false,
            interrupted: false,
            next_at: None,
            passed_on: None,
            starved: false,
            uncertain: false,
            records_at_once: holdings::RECORDS_AT_ONCE,
            pause: Pause::first(),
            not_before: None,
            phase: parts.give_up,
        }
    }

    /// Works until it is quiet and nothing is left to run or settle, or until it is given up.
    pub(crate) async fn run(mut self) {
        while !self.is_done() {
            if *self.phase.borrow() {
                tracing::warn!(
                    queue = %self.seat.queue, running = self.running.len(), unsettled = self.unsettled.len(),
                    "given up before all was handed back; the lease will run out and others take over"
                );
                self.stop_all(Reason::Lost);
                return;
            }
            self.act().await;
            if self.is_done() {
                break;
            }
            self.wait().await;
        }
        self.leave().await;
    }

    fn is_done(&self) -> bool {
        self.quiet && self.running.is_empty() && self.unsettled.is_empty()
    }

    fn free_slots(&self) -> usize {
        if self.quiet { 0 } else { self.seat.slots.saturating_sub(self.running.len()).min(MOST_LEASED) }
    }

    /// Calls Redis if there is a reason to, and it is not too soon after a failure.
    async fn act(&mut self) {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.not_before = None;
        if self.seat.worker().is_none() {
            if self.quiet && self.unsettled.is_empty() {
                (self.next_at, self.uncertain) = (None, false);
                return;
            }
            // Under another id it is another that is idle.
            self.bed.set_idle(false);
            if !self.join().await {
                return;
            }
        }
        if self.uncertain && !self.check_holdings().await {
            return;
        }
        let due = self.next_at.is_some_and(|at| Instant::now() >= at);
        if due {
            self.next_at = None;
            self.hint = true;
        }
        let free = self.free_slots();
        if due || !self.unsettled.is_empty() || (self.hint && free > 0) {
            let ask = match &self.pool {
                Some((pool, place)) => pool.take(*place, free),
                None => free,
            };
            // Without a slot from the pool it is woken when one is given back; whatever comes until then is for others.
            self.starved = ask == 0 && free > 0;
            self.hint &= !self.starved;
            if ask > 0 || !self.unsettled.is_empty() {
                let leased = self.turn(ask).await;
                if let Some((pool, place)) = &self.pool {
                    pool.not_needed(*place, ask.saturating_sub(leased));
                }
            } else if due {
                self.pass_on().await;
            }
        }
        let idle = !self.quiet && !self.hint && !self.starved && self.free_slots() > 0;
        if let Some(worker) = self.bed.set_idle(idle) {
            let (client, seat) = (self.client.clone(), Arc::clone(&self.seat));
            self.answer(async move { waiter::call(&client, &seat, &worker).await }).await;
        }
    }

    /// What falls due while there is no slot for it here is for others, who may not know of it: a turn that asks for nothing makes it
    /// ready and wakes one of them.
    async fn pass_on(&mut self) {
        match self.passed_on.map(|at| at + PASS_ON_EVERY).filter(|soonest| Instant::now() < *soonest) {
            Some(soonest) => self.next_at = Some(soonest),
            None => {
                self.passed_on = Some(Instant::now());
                self.turn(0).await;
                // What is due still is a key that opens: who was woken looks at it.
                self.next_at = self.next_at.filter(|at| Instant::now() < *at);
            }
        }
    }

    /// Waits for the answer to a call. Attempts whose lease is lost meanwhile are told so at once: what cost the lease may keep the
    /// answer away for longer than the lease had left. All else that is heard is for after the answer, which may say the same.
    async fn answer<T>(&mut self, call: impl Future<Output = T>) -> T {
        let mut call = std::pin::pin!(call);
        loop {
            tokio::select! {
                biased;
                answer = &mut call => return answer,
                Some(signal) = self.signals.recv() => match signal {
                    Signal::Lapsed(worker) => self.lose(&worker),
                    other => self.unheard.push(other),
                },
            }
        }
    }

    /// Waits for something that may be a reason to act.
    async fn wait(&mut self) {
        if !self.unheard.is_empty() {
            for signal in std::mem::take(&mut self.unheard) {
                self.hear(signal);
            }
            self.take_outcomes();
            return;
        }
        let now = Instant::now();
        if self.not_before.is_none()
            && (self.uncertain || !self.unsettled.is_empty() || (self.hint && self.free_slots() > 0))
        {
            // A turn's reply left more to do at once; take in what has ended meanwhile first.
            self.take_outcomes();
            while let Ok(signal) = self.signals.try_recv() {
                self.hear(signal);
            }
            return;
        }
        let far = now + Duration::from_secs(3600);
        // Before `not_before` nothing is done, whatever falls due.
        let at = self.not_before.or(self.next_at);
        let mut ended = Vec::new();
        tokio::select! {
            biased;
            count = self.outcomes.recv_many(&mut ended, MOST_AT_ONCE) => {
                if count > 0 {
                    // Others that are about to end go with the same call: let them.
                    tokio::task::yield_now().await;
                }
            }
            Some(signal) = self.signals.recv() => self.hear(signal),
            _ = self.phase.changed() => {}
            () = tokio::time::sleep_until(at.unwrap_or(far).into()) => {}
        }
        for settlement in ended {
            self.ended(settlement);
        }
        self.take_outcomes();
    }

    fn take_outcomes(&mut self) {
        while let Ok(settlement) = self.outcomes.try_recv() {
            self.ended(settlement);
        }
    }

    fn ended(&mut self, settlement: Settlement) {
        // After a lost lease the same job may run here again under another token.
        if self.running.get(&settlement.id).is_some_and(|context| context.inner.token == settlement.token) {
            self.running.remove(&settlement.id);
            if let Some((pool, place)) = &self.pool {
                pool.give_back(*place, 1);
            }
            self.seat.running.store(self.running.len(), Ordering::Relaxed);
            self.metrics.slots_in_use(&self.seat.queue, self.running.len());
        }
        if matches!(settlement.action, Action::Nothing) {
            self.metrics.lease_lost(&self.seat.queue);
        } else {
            self.unsettled.push(settlement);
        }
    }

    fn due_in(&mut self, next: Duration) {
        let at = Instant::now() + next;
        self.next_at = Some(self.next_at.map_or(at, |known| known.min(at)));
    }

    fn answered(&mut self) {
        *self.seat.last_turn.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.seat.turn_fails.store(false, Ordering::Relaxed);
        self.metrics.connected(true);
    }

    fn failed(&mut self, error: &ergate_client::Error) {
        self.metrics.connected(!error.is_connection());
        self.seat.turn_fails.store(true, Ordering::Relaxed);
        cut_off!(error, queue = %self.seat.queue, source = std::error::Error::source(error).map(ToString::to_string), "redis call failed; it is tried again");
        self.not_before = Some(Instant::now() + self.pause.advance());
        for settled in &mut self.unsettled {
            settled.resent = true;
        }
    }
}
