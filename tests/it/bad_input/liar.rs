//! A Redis that answers some scripts with what it was told to say.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use ergate_shared::script::Script;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{RedisServer, resp};

/// Stands before a server, and passes on all it has no lie for.
#[derive(Debug)]
pub(super) struct Liar {
    port: u16,
    lies: Arc<Mutex<Lies>>,
}

#[derive(Debug, Default)]
struct Lies {
    /// Instead of running the script of this hash.
    replies: HashMap<String, String>,
    told: usize,
}

impl Liar {
    pub(super) async fn before(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (upstream, lies) = (server.port(), Arc::<Mutex<Lies>>::default());
        let shared = Arc::clone(&lies);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", upstream)).await.expect("the server answers");
                tokio::spawn(serve(client, server, Arc::clone(&shared)));
            }
        });
        Self { port, lies }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn lies(&self) -> std::sync::MutexGuard<'_, Lies> {
        self.lies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this script is not run, and this is the reply.
    pub(super) fn answer(&self, script: &Script, reply: &str) {
        self.lies().replies.insert(script.sha.clone(), reply.to_owned());
    }

    pub(super) fn tell_the_truth(&self) {
        self.lies().replies.clear();
    }

    /// How many lies were told.
    pub(super) fn told(&self) -> usize {
        self.lies().told
    }
}

/// Ends with the connection.
async fn serve(mut client: TcpStream, mut server: TcpStream, lies: Arc<Mutex<Lies>>) {
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    while let Some(request) = next(&mut client, &mut requests).await {
        let lie = {
            let words = resp::arguments(&request);
            let mut lies = lies.lock().unwrap_or_else(PoisonError::into_inner);
            let sha = words.get(1).map(|word| String::from_utf8_lossy(word).into_owned());
            let lie = sha.and_then(|sha| lies.replies.get(&sha).cloned());
            lies.told += usize::from(lie.is_some());
            lie
        };
        let reply = match lie {
            Some(lie) => lie.into_bytes(),
            None => {
                if server.write_all(&request).await.is_err() {
                    return;
                }
                let Some(reply) = next(&mut server, &mut replies).await else { return };
                reply
            }
        };
        if client.write_all(&reply).await.is_err() {
            return;
        }
    }
}

/// The next whole request or reply.
async fn next(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(length) = resp::frame(buffer) {
            return Some(buffer.drain(..length).collect());
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
