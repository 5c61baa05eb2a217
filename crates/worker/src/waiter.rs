//! Blocks until there is work: one blocked connection for all queues of a process, one per queue in a cluster.
//!
//! A worker with free slots and nothing to lease is *idle* and waits for the wake marker; one that is not waits only to be
//! called (a job of its is to be cancelled), and leaves the marker to others.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use ergate_client::{Client, Error, link::Dedicated};
use ergate_shared::{WorkerId, key::QueueKey, script};
use tokio::sync::Notify;

use crate::identity::{Seat, Signal};

use crate::cut_off::cut_off;

/// How soon a dead connection is noticed, and that the queues to wait for are others by now.
const BLOCK: Duration = Duration::from_secs(5);
/// More than the 100 ms at whose tick Redis ends blocked commands.
const MARGIN: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(200);
/// How soon it looks for queues that were joined while it waited for others: nobody can call it for them.
const UNTIL_ALL_JOINED: Duration = Duration::from_millis(200);
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
    ear: Option<Ear>,
}

/// What the blocked command under way waits for in one queue.
#[derive(Debug)]
struct Ear {
    /// Whose calls it hears: the worker may have another id by now.
    worker: WorkerId,
    /// Whether it hears the marker.
    marker: bool,
}

impl Bed {
    pub(crate) fn new(seat: Arc<Seat>) -> Arc<Self> {
        Arc::new(Self { seat, state: Mutex::default() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether the queue's loop has free slots and nothing to lease; tells whom the waiter must be called by for that, if it
    /// must. One that waits for nothing of this queue looks again by itself, see [`UNTIL_ALL_JOINED`].
    pub(crate) fn set_idle(&self, idle: bool) -> Option<WorkerId> {
        let mut state = self.state();
        let was = std::mem::replace(&mut state.idle, idle);
        let ear = state.ear.as_ref().filter(|_| idle && !was)?;
        let hears_all = ear.marker && self.seat.worker().as_ref() == Some(&ear.worker);
        (!hears_all).then(|| ear.worker.clone())
    }

    /// The lists to wait for from now on: none as long as the queue was not joined.
    fn listen(&self) -> Vec<String> {
        let mut state = self.state();
        let marker = state.idle;
        state.ear = self.seat.worker().map(|worker| Ear { worker, marker });
        let Some(ear) = &state.ear else { return Vec::new() };
        let mut lists = vec![self.seat.keys.call(&ear.worker)];
        if marker {
            lists.push(self.seat.keys.get(QueueKey::wake).to_owned());
        }
        lists
    }

    /// Whether it is going to be joined, or joined again.
    fn is_to_join(&self) -> bool {
        self.state().ear.is_none() && !self.seat.left.load(Ordering::Relaxed)
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
        match wait(&client, &beds, &mut connection).await {
            Ok(None) => {}
            Ok(Some((bed, list, marker))) => {
                if list == bed.seat.keys.get(QueueKey::wake) {
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

/// What came first: for which queue, in which list, and what it was; nothing if nothing came for a while.
async fn wait<'a>(
    client: &Client,
    beds: &'a [Arc<Bed>],
    connection: &mut Option<Dedicated>,
) -> Result<Option<(&'a Bed, String, String)>, Error> {
    // Connected first: what is joined until then is waited for too.
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(client.redis().dedicated().await?),
    };
    let lists: Vec<(&Bed, String)> =
        beds.iter().flat_map(|bed| bed.listen().into_iter().map(move |list| (bed.as_ref(), list))).collect();
    if lists.is_empty() {
        tokio::time::sleep(UNTIL_ALL_JOINED).await;
        return Ok(None);
    }
    let within = if beds.iter().any(|bed| bed.is_to_join()) { UNTIL_ALL_JOINED } else { BLOCK };
    let mut block = redis::cmd("BLPOP");
    for (_, list) in &lists {
        block.arg(list);
    }
    block.arg(within.as_secs_f64());
    let came: Option<(String, String)> = connection.command("BLPOP", &block, within + MARGIN).await?;
    Ok(came.and_then(|(from, marker)| {
        let (bed, list) = lists.into_iter().find(|(_, list)| *list == from)?;
        Some((bed, list, marker))
    }))
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
