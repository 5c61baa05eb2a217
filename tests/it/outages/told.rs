//! What a worker's log says of an outage.

use std::{
    io,
    sync::{Arc, Mutex},
};

use super::*;

/// What was logged in this process, which is this test's own.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).init();
        log
    }

    fn lines(&self) -> Vec<String> {
        String::from_utf8_lossy(&self.0.lock().unwrap()).lines().map(str::to_owned).collect()
    }

    fn count(&self, what: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(what)).count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_outage_is_told_once_when_it_begins_and_once_when_it_is_over() {
    let log = Log::begin();
    let mut story = Story::on(RedisServer::options().appendonly_always().start().await).await;
    let worker = story.worker(4);
    story.enqueue(1, Does::Succeed).await;
    story.until_finished(1).await;

    story.redis.kill();
    until("the outage is told", async || log.count("calls to redis fail") == 1).await;
    story.redis.restart().await;
    until("its end is told", async || log.count("redis answers again") == 1).await;

    worker.stop().await;
    assert_eq!(log.count(" WARN "), 1, "{:#?}", log.lines());
    story.all_adds_up().await;
}
