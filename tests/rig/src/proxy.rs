//! A network between a client and Redis that fails when told to.
//!
//! The proxy runs on a thread of its own, so a test that blocks its runtime does not stop the network. It understands where
//! requests and replies end, which lets it lose exactly one of them. Connections that subscribe under RESP2 are beyond it:
//! there one request has many replies. After `cut`, `stall` and `heal` have returned they are true of every connection.

use std::{
    net::{SocketAddr, TcpListener},
    num::NonZeroU32,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use super::{
    redis::{RedisServer, free_port},
    until::DEADLINE,
};

mod pace;
mod passage;

/// A proxy in front of one server. Dropped, it closes every connection.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    address: SocketAddr,
    upstream: SocketAddr,
    faults: Arc<Faults>,
    accepting: Mutex<Option<JoinHandle<()>>>,
    /// Taken only by `Drop`.
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Faults {
    weather: watch::Sender<Weather>,
    census: watch::Sender<Census>,
    traps: Mutex<Vec<Trap>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Weather {
    mode: Mode,
    /// How much later than sent a request reaches Redis.
    delay: Duration,
    /// Where nothing goes, while the other way is open.
    silent: Option<Direction>,
    /// Bytes that each connection carries in a second each way.
    pace: Option<NonZeroU32>,
    /// How often one way of every connection was closed, and which it was the last time.
    half_closed: (u64, Direction),
    /// Connections of an earlier era are closed.
    era: u64,
}

impl Weather {
    const FAIR: Self = Self {
        mode: Mode::Pass,
        delay: Duration::ZERO,
        silent: None,
        pace: None,
        half_closed: (0, Direction::ToClient),
        era: 0,
    };
}

/// One of the two ways of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// That of requests.
    ToServer,
    /// That of replies.
    ToClient,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Pass,
    Stall,
    Cut,
}

/// How many connections there are, and how many of them have noticed a stall.
#[derive(Debug, Clone, Copy, Default)]
struct Census {
    open: usize,
    held: usize,
}

/// Resolves when the thing that was to be lost is lost and the connection closed. Panics if that never comes.
pub type Lost = Pin<Box<dyn Future<Output = ()> + Send>>;

type Matches = Box<dyn FnMut(&[&[u8]]) -> bool + Send>;

struct Trap {
    matches: Matches,
    lose: Lose,
    happened: oneshot::Sender<()>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Lose {
    Request,
    Reply,
    /// All of it but so many bytes at its beginning.
    RestOfReply(usize),
}

impl Proxy {
    /// A proxy that passes everything on.
    pub fn to(server: &RedisServer) -> Self {
        let port = free_port();
        let url = server.url().replace(&format!(":{}", server.port()), &format!(":{port}"));
        assert!(url.starts_with("redis://"), "the proxy cannot look into TLS");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();

        let proxy = Self {
            url,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            upstream: SocketAddr::from(([127, 0, 0, 1], server.port())),
            faults: Arc::new(Faults {
                weather: watch::Sender::new(Weather::FAIR),
                census: watch::Sender::default(),
                traps: Mutex::default(),
            }),
            accepting: Mutex::default(),
            runtime: Some(runtime.expect("a thread can be started")),
        };
        proxy.listen();
        proxy
    }

    /// The server's address with the proxy's port.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.faults.census.borrow().open
    }

    /// Closes every connection and refuses new ones.
    pub async fn cut(&self) {
        let accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(accepting) = accepting {
            accepting.abort();
            let _ = accepting.await;
        }
        self.set(Mode::Cut);
        self.census(|now| now.open == 0).await;
    }

    /// Accepts connections and keeps the old ones, but passes nothing: what is sent waits for `heal`.
    pub async fn stall(&self) {
        self.set(Mode::Stall);
        self.listen();
        self.census(|now| now.held == now.open).await;
    }

    /// Passes everything again, both ways, without delay and at once. Traps stay set.
    pub async fn heal(&self) {
        self.faults.weather.send_modify(|now| {
            (now.delay, now.silent, now.pace) = (Duration::ZERO, None, None);
        });
        self.set(Mode::Pass);
        self.listen();
        self.census(|now| now.held == 0).await;
    }

    /// Closes every connection of this moment, and welcomes new ones.
    pub fn reset(&self) {
        self.faults.weather.send_modify(|now| now.era += 1);
    }

    /// Lets nothing through one way, and everything the other: what is sent that way waits for `heal`, and nobody is told.
    pub fn silence(&self, direction: Direction) {
        self.faults.weather.send_modify(|now| now.silent = Some(direction));
    }

    /// Closes one way of every connection of this moment: whoever reads there finds the end, and what it sends still arrives.
    pub fn half_close(&self, direction: Direction) {
        self.faults.weather.send_modify(|now| now.half_closed = (now.half_closed.0 + 1, direction));
    }

    /// Carries no more than this many bytes a second each way, on each connection.
    pub fn slow(&self, bytes_per_second: NonZeroU32) {
        self.faults.weather.send_modify(|now| now.pace = Some(bytes_per_second));
    }

    /// Makes requests reach Redis this much later; their order stays.
    pub fn delay(&self, delay: Duration) {
        self.faults.weather.send_modify(|now| now.delay = delay);
    }

    /// Loses the reply to the next request that has `word` (a script's SHA, a command, a key) among its arguments: Redis has
    /// carried it out and answered, then the connection closes. Earlier replies arrive, later requests do not reach Redis, and
    /// an answer that the script is not loaded does not count. The trap is set at once; the future waits for it to happen.
    pub fn lose_reply_of(&self, word: &str) -> Lost {
        self.lose_reply_when(among(word))
    }

    /// Loses the next request that has `word` among its arguments: earlier ones are answered, then the connection closes
    /// without Redis having seen this one.
    pub fn lose_request_of(&self, word: &str) -> Lost {
        self.lose_request_when(among(word))
    }

    /// Like `lose_reply_of`, of the first request that `matches`; a closure that counts makes it the nth.
    pub fn lose_reply_when(&self, matches: impl FnMut(&[&[u8]]) -> bool + Send + 'static) -> Lost {
        self.trap(Lose::Reply, Box::new(matches))
    }

    /// Like `lose_request_of`, of the first request that `matches`.
    pub fn lose_request_when(&self, matches: impl FnMut(&[&[u8]]) -> bool + Send + 'static) -> Lost {
        self.trap(Lose::Request, Box::new(matches))
    }

    /// Loses the rest of the reply to the next request that has `word` among its arguments, after its first bytes: these arrive,
    /// then the connection closes. A reply that is no longer arrives whole.
    pub fn cut_reply_of(&self, word: &str, after: usize) -> Lost {
        self.trap(Lose::RestOfReply(after), Box::new(among(word)))
    }

    fn trap(&self, lose: Lose, matches: Matches) -> Lost {
        let (happened, told) = oneshot::channel();
        self.faults.traps().push(Trap { matches, lose, happened });
        Box::pin(async move {
            let told = timeout(DEADLINE, told).await;
            let told = told.unwrap_or_else(|_| panic!("after {DEADLINE:?} no {lose:?} was lost"));
            told.unwrap_or_else(|_| panic!("the connection ended by itself before its {lose:?} was lost"));
        })
    }

    fn set(&self, mode: Mode) {
        self.faults.weather.send_modify(|now| now.mode = mode);
    }

    async fn census(&self, reached: impl FnMut(&Census) -> bool) {
        let mut census = self.faults.census.subscribe();
        let settled = timeout(DEADLINE, census.wait_for(reached)).await;
        settled.expect("connections notice").expect("the census outlives the wait");
    }

    /// Starts to accept, unless it does already.
    fn listen(&self) {
        let mut accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        if accepting.is_some() {
            return;
        }
        let listener = TcpListener::bind(self.address).expect("the proxy's port is free");
        listener.set_nonblocking(true).expect("a listener can be asynchronous");
        let (faults, upstream) = (Arc::clone(&self.faults), self.upstream);
        *accepting = self.runtime.as_ref().map(|runtime| runtime.spawn(accept(listener, faults, upstream)));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Faults {
    fn traps(&self) -> std::sync::MutexGuard<'_, Vec<Trap>> {
        self.traps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Trap {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Trap").field("lose", &self.lose).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, faults: Arc<Faults>, upstream: SocketAddr) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime does input and output");
    while let Ok((client, _)) = listener.accept().await {
        // Before it counts: whoever has seen the connection counted can close it.
        let since = *faults.weather.borrow();
        faults.census.send_modify(|now| now.open += 1);
        tokio::spawn(serve(client, Arc::clone(&faults), since, upstream));
    }
}

async fn serve(client: TcpStream, faults: Arc<Faults>, since: Weather, upstream: SocketAddr) {
    let sprung = passage::carry(client, &faults, since, upstream).await;
    faults.census.send_modify(|now| now.open -= 1);
    if let Ok(Some(trap)) = sprung {
        let _ = trap.happened.send(());
    }
}

fn among(word: &str) -> impl FnMut(&[&[u8]]) -> bool + Send + use<> {
    let word = word.to_owned();
    move |arguments| arguments.iter().any(|argument| argument.eq_ignore_ascii_case(word.as_bytes()))
}
