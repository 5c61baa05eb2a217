//! Hearing of the end of jobs: one subscription per client, made when first needed, only for haste.
//!
//! Whoever waits looks again every second all the same, so that a lost message costs a second and nothing else.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ergate_shared::{JobId, QueueName, key::QueueKey};
use tokio::sync::broadcast;

use crate::Client;

/// How long a lost message may go unnoticed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Ends that may pile up before a slow listener misses some, and looks again by itself.
const BACKLOG: usize = 1024;

pub(crate) struct Endings {
    url: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bells: std::collections::HashMap<QueueName, broadcast::Sender<Arc<str>>>,
    listening: HashSet<QueueName>,
}

pub(crate) struct Bell {
    ids: broadcast::Receiver<Arc<str>>,
}

impl Endings {
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), state: Mutex::default() }
    }

    /// A bell that rings for ends in this queue from now on.
    pub(crate) async fn subscribe(&self, client: &Client, queue: &QueueName) -> Bell {
        let (sender, ids, start) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let sender =
                state.bells.entry(queue.clone()).or_insert_with(|| broadcast::channel(BACKLOG).0).clone();
            let start = state.listening.insert(queue.clone());
            let ids = sender.subscribe();
            (sender, ids, start)
        };
        if start {
            let channel = client.keys(queue).get(QueueKey::ended).to_owned();
            let weak = client.downgrade();
            let (url, queue) = (self.url.clone(), queue.clone());
            let (ready, is_ready) = tokio::sync::oneshot::channel();
            tokio::spawn(async move {
                if let Err(error) = listen(&url, &channel, &sender, ready).await {
                    tracing::debug!(%error, "no messages about ends of jobs; looking every second instead");
                }
                if let Some(client) = weak.upgrade() {
                    client.endings().stopped(&queue);
                }
            });
            // Without a subscription one looks every second.
            let _ = tokio::time::timeout(LOOK_AGAIN, is_ready).await;
        }
        Bell { ids }
    }

    fn stopped(&self, queue: &QueueName) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).listening.remove(queue);
    }
}

/// Passes messages on until the connection breaks or nobody waits any more.
async fn listen(
    url: &str,
    channel: &str,
    bell: &broadcast::Sender<Arc<str>>,
    ready: tokio::sync::oneshot::Sender<()>,
) -> redis::RedisResult<()> {
    use futures_util::StreamExt;
    let mut pubsub = redis::Client::open(url)?.get_async_pubsub().await?;
    pubsub.subscribe(channel).await?;
    let _ = ready.send(());
    let mut messages = pubsub.on_message();
    loop {
        match tokio::time::timeout(Duration::from_secs(30), messages.next()).await {
            Ok(Some(message)) => {
                let id: String = message.get_payload()?;
                let _ = bell.send(id.into());
            }
            Ok(None) => return Ok(()),
            Err(_) if bell.receiver_count() == 0 => return Ok(()),
            Err(_) => {}
        }
    }
}

impl Bell {
    /// Returns when the job may have ended: a message said so, messages were missed, or it is time to look again.
    pub(crate) async fn rings_for(&mut self, id: &JobId) {
        let heard = async {
            loop {
                match self.ids.recv().await {
                    Ok(ended) if &*ended == id.as_str() => return,
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => return,
                    Err(broadcast::error::RecvError::Closed) => std::future::pending::<()>().await,
                }
            }
        };
        let _ = tokio::time::timeout(LOOK_AGAIN, heard).await;
    }
}
