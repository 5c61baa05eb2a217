//! Blocks until there is work: one blocked connection for all queues of a process, one per queue in a cluster.
//!
//! A worker with free slots and nothing to lease is *idle* and waits for the wake marker; one that is not waits only to be
//! called (a job of its is to be cancelled), and leaves the marker to others.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ergate_client::Client;
use ergate_shared::{WorkerId, key::QueueKey, script};
use tokio::sync::Notify;

use crate::identity::{Seat, Signal};

use crate::cut_off::cut_off;

/// How soon a dead connection is noticed, and that the queues to wait for are others by now.
const BLOCK: Duration = Duration::from_secs(5);
/// More than the 100 ms at whose tick Redis ends blocked commands.
const MARGIN: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);
/// What a worker calls itself with, to have the waiter look at its queues again.
const LOOK_AGAIN: &str = "0";
/// A call that nobody has heard goes by itself after so many seconds.
const CALLED_FOR_S: u32 = 60;
/// What it is called with when schedules were changed.
const LOOK_AT_SCHEDULES: &str = "2";

/// A queue as its waiter sees it.
#[derive(Debug)]
pub(crate) struct Bed {
    seat: Arc<Seat>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    idle: bool,
    /// Whether the blocked command under way waits for the marker.
    listening: bool,
}

impl Bed {
    pub(crate) fn new(seat: Arc<Seat>) -> Arc<Self> {
        Arc::new(Self { seat, state: Mutex::default() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether the queue's loop has free slots and nothing to lease; true if the waiter must be called for that.
    pub(crate) fn set_idle(&self, idle: bool) -> bool {
        let mut state = self.state();
        let was = std::mem::replace(&mut state.idle, idle);
        idle && !was && !state.listening
    }
}

/// Has the waiter look at its queues again.
pub(crate) async fn call(client: &Client, seat: &Seat, worker: &WorkerId) {
    let ring = script::WAITER_CALL.on_bell(&seat.keys.call(worker)).arg(LOOK_AGAIN).number(CALLED_FOR_S);
    if let Err(error) = client.redis().run::<u64>(&ring).await {
        tracing::debug!(%error, "the waiter was not called; it looks by itself within five seconds");
    }
}

/// Waits for ever, and passes calls on to the heartbeat and the ticker; dropped when the worker stops.
pub(crate) async fn run(client: Client, beds: Vec<Arc<Bed>>, heartbeat: Arc<Notify>, ticker: Arc<Notify>) {
    let mut connection = None;
    loop {
        let mut block = redis::cmd("BLPOP");
        let mut keys = Vec::new();
        for bed in &beds {
            let Some(worker) = bed.seat.worker() else { continue };
            let call = bed.seat.keys.call(&worker);
            block.arg(&call);
            keys.push((call, bed));
            let mut state = bed.state();
            state.listening = state.idle;
            if state.idle {
                let wake = bed.seat.keys.get(QueueKey::wake);
                block.arg(wake);
                keys.push((wake.to_owned(), bed));
            }
        }
        if keys.is_empty() {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        block.arg(BLOCK.as_secs());
        let waited = async {
            if connection.is_none() {
                connection = Some(client.redis().dedicated().await?);
            }
            let connection = connection.as_mut().expect("it was just made");
            connection.command::<Option<(String, String)>>("BLPOP", &block, BLOCK + MARGIN).await
        };
        match waited.await {
            Ok(None) => {}
            Ok(Some((key, marker))) => {
                let Some((_, bed)) = keys.iter().find(|(known, _)| *known == key) else { continue };
                if key == bed.seat.keys.get(QueueKey::wake) {
                    woken(&client, bed).await;
                } else {
                    match marker.as_str() {
                        LOOK_AGAIN => {}
                        LOOK_AT_SCHEDULES => ticker.notify_one(),
                        _ => heartbeat.notify_one(),
                    }
                }
            }
            Err(error) => {
                cut_off!(error, "waiting for work was cut off");
                connection = None;
                // Whatever came meanwhile is there: have every queue look.
                tokio::time::sleep(PAUSE).await;
                for bed in &beds {
                    bed.seat.tell(Signal::Wake);
                }
            }
        }
    }
}

async fn woken(client: &Client, bed: &Bed) {
    if bed.state().idle {
        bed.seat.tell(Signal::Wake);
        return;
    }
    // It was for a worker with free slots; this one has none by now.
    let mut push = redis::cmd("RPUSH");
    push.arg(bed.seat.keys.get(QueueKey::wake)).arg(1);
    if let Err(error) = client.redis().command::<()>("RPUSH", &push).await {
        tracing::debug!(%error, "a wake marker was not put back; heartbeats make up for it");
    }
}
