//! One connection through the proxy, request by request and reply by reply.

use std::{collections::VecDeque, io::Result, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Direction, Faults, Lose, Mode, Trap, Weather, pace::Pace};
use crate::resp;

/// What has arrived and what waits to go out. A trap that sprang stops requests behind the one it caught.
#[derive(Default)]
struct Passage {
    requests: Vec<u8>,
    /// Whole requests, each with the time it may go on.
    late: VecDeque<(Instant, Vec<u8>)>,
    to_server: Vec<u8>,
    replies: Vec<u8>,
    to_client: Vec<u8>,
    asked: u64,
    answered: u64,
    /// The trap and the number of the request it caught.
    caught: Option<(u64, Trap)>,
    /// The client sends no more; what it sent before still reaches Redis.
    left: bool,
    /// Nothing more comes from Redis; what came before still reaches the client.
    over: bool,
    /// The client is told nothing more.
    deaf: bool,
}

const BUFFER: usize = 16 * 1024;

/// Carries bytes until either side closes or the weather ends it. Returns the trap, if it was a trap that ended it; by then
/// both sides are closed. What happened to connections after `since` happens to this one.
pub(super) async fn carry(
    client: TcpStream,
    faults: &Faults,
    since: Weather,
    upstream: SocketAddr,
) -> Result<Option<Trap>> {
    let mut weather = faults.weather.subscribe();
    let (era, mut closed) = (since.era, since.half_closed.0);
    if !fair(&mut weather, faults, era).await {
        return Ok(None);
    }
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut client) = client.into_split();
    let (mut from_server, mut server) = server.into_split();
    let mut passage = Passage {
        requests: Vec::with_capacity(BUFFER),
        replies: Vec::with_capacity(BUFFER),
        ..Passage::default()
    };
    let (mut up, mut down) = (Pace::default(), Pace::default());

    while fair(&mut weather, faults, era).await {
        let Weather { delay, silent, pace, half_closed, .. } = *weather.borrow();
        if closed != half_closed.0 {
            closed = half_closed.0;
            match half_closed.1 {
                Direction::ToServer => server.shutdown().await?,
                Direction::ToClient => {
                    passage.deaf = true;
                    client.shutdown().await?;
                }
            }
        }
        passage.take_replies(faults);
        passage.take_requests(faults, delay);
        if passage.deaf {
            passage.to_client.clear();
        }
        if passage.over && passage.to_client.is_empty() {
            return Ok(passage.caught.map(|(_, trap)| trap));
        }
        if passage.left && passage.late.is_empty() && passage.to_server.is_empty() {
            return Ok(None);
        }

        let (upwards, downwards) = (up.take(&passage.to_server, pace), down.take(&passage.to_client, pace));
        let (to_server, to_client) = (upwards.len(), downwards.len());
        // A way that is busy with what it carried before goes on by itself.
        let is_busy = |taken: usize, waiting: &[u8]| taken == 0 && !waiting.is_empty();
        let up_goes_on = is_busy(to_server, &passage.to_server).then(|| up.goes_on());
        let down_goes_on = is_busy(to_client, &passage.to_client).then(|| down.goes_on());
        let goes_on = up_goes_on.into_iter().chain(down_goes_on).min();
        let due = passage.late.front().map_or_else(Instant::now, |(due, _)| *due);
        tokio::select! {
            _ = weather.changed() => {}
            () = sleep_until(due), if !passage.late.is_empty() => {
                passage.to_server.extend(passage.late.pop_front().into_iter().flat_map(|(_, request)| request));
            }
            () = sleep_until(goes_on.unwrap_or(due)), if goes_on.is_some() => {}
            count = server.write(upwards), if to_server > 0 && silent != Some(Direction::ToServer) => {
                let count = count?;
                up.spend(count, pace);
                passage.to_server.drain(..count);
            }
            count = client.write(downwards), if to_client > 0 && silent != Some(Direction::ToClient) => {
                let count = count?;
                down.spend(count, pace);
                passage.to_client.drain(..count);
            }
            count = from_server.read_buf(&mut passage.replies), if !passage.over => {
                if count? == 0 {
                    passage.caught = None;
                    passage.over = true;
                }
            }
            count = from_client.read_buf(&mut passage.requests), if passage.caught.is_none() && !passage.left => {
                passage.left = count? == 0;
            }
        }
    }
    Ok(None)
}

/// Waits out a stall. False when the connection has to end.
async fn fair(weather: &mut watch::Receiver<Weather>, faults: &Faults, era: u64) -> bool {
    let mut held = false;
    let mut hold = |now: bool| {
        if now != held {
            held = now;
            faults.census.send_modify(|census| if now { census.held += 1 } else { census.held -= 1 });
        }
    };
    loop {
        let now = *weather.borrow_and_update();
        let ends = now.mode == Mode::Cut || now.era != era;
        hold(now.mode == Mode::Stall && !ends);
        if ends || now.mode == Mode::Pass {
            return !ends;
        }
        if weather.changed().await.is_err() {
            return false;
        }
    }
}

impl Lose {
    /// How many bytes of a reply arrive, if it is a reply that is lost.
    fn of_reply(self) -> Option<usize> {
        match self {
            Self::Request => None,
            Self::Reply => Some(0),
            Self::RestOfReply(arrives) => Some(arrives),
        }
    }
}

impl Passage {
    fn take_requests(&mut self, faults: &Faults, delay: std::time::Duration) {
        while self.caught.is_none()
            && let Some(length) = resp::frame(&self.requests)
        {
            let request: Vec<u8> = self.requests.drain(..length).collect();
            let arguments = resp::arguments(&request);
            let mut traps = faults.traps();
            let sprung = traps.iter_mut().position(|trap| (trap.matches)(&arguments));
            self.caught = sprung.map(|at| (self.asked, traps.remove(at)));
            drop(traps);

            if matches!(&self.caught, Some((_, trap)) if trap.lose == Lose::Request) {
                break;
            }
            self.asked += 1;
            if delay.is_zero() && self.late.is_empty() {
                self.to_server.extend(request);
            } else {
                let earliest = self.late.back().map_or_else(Instant::now, |(due, _)| *due);
                self.late.push_back((earliest.max(Instant::now() + delay), request));
            }
        }
        // A lost request ends the connection when all before it are answered.
        let lost = |(at, trap): &(u64, Trap)| trap.lose == Lose::Request && *at == self.answered;
        self.over |= self.caught.as_ref().is_some_and(lost);
    }

    fn take_replies(&mut self, faults: &Faults) {
        while !self.over
            && let Some(length) = resp::frame(&self.replies)
        {
            let reply: Vec<u8> = self.replies.drain(..length).collect();
            if !resp::is_push(&reply) {
                let caught = self.caught.as_ref().filter(|(at, _)| *at == self.answered);
                if let Some(arrives) = caught.and_then(|(_, trap)| trap.lose.of_reply()) {
                    if !resp::is_noscript(&reply) {
                        self.to_client.extend(&reply[..arrives.min(reply.len())]);
                        self.over = true;
                        return;
                    }
                    // Nothing was carried out: the trap is set again for the request that the client repeats.
                    faults.traps().extend(self.caught.take().map(|(_, trap)| trap));
                }
                self.answered += 1;
            }
            self.to_client.extend(reply);
        }
    }
}
