//! Connections to a mail server, each for one mail at a time.
//!
//! The pool of `lettre` takes a connection back that is dropped in the middle of a mail. The next mail would read the answers
//! to that one as its own, and be told "accepted" before the server has seen it. Here a connection is kept after a whole mail
//! only, and closed on any other way.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use ergate_shared::duration;
use lettre::{
    Message,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::AsyncSmtpConnection,
        extension::ClientId,
    },
};

use super::tls::Tls;
use crate::{Failure, Result};

/// How long until the server is ready for mail. With [`SENDING`] it is less than the two minutes that a try has.
const CONNECTING: Duration = Duration::from_secs(30);
/// How long one mail may take, to the answer that the server has it.
const SENDING: Duration = Duration::from_secs(80);
/// How long a kept connection may take to say that it is alive.
const ALIVE: Duration = Duration::from_secs(5);
/// How long a connection is kept without mail. Servers may end it after five minutes, and many do far sooner.
const IDLE: Duration = Duration::from_secs(60);
/// Answers that refuse the worker and not the mail: authentication required, too weak, wrong, or in need of encryption
/// ([RFC 4954](https://www.rfc-editor.org/rfc/rfc4954), section 6). Once the worker is configured well the mail can go.
const ABOUT_CREDENTIALS: [u16; 4] = [530, 534, 535, 538];

/// How to come to a connection.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: Option<Tls>,
    pub(super) credentials: Option<Credentials>,
    /// Who the worker says it is.
    pub(super) hello: ClientId,
}

impl Server {
    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let address = (self.host.as_str(), self.port);
        let mut connection = match &self.tls {
            None => AsyncSmtpConnection::connect_tokio1(address, None, &self.hello, None, None).await?,
            Some(tls) => tls.connect(address, &self.hello).await?,
        };
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

/// Connections to one server.
pub(super) struct Connections {
    server: Server,
    /// The most that are kept.
    most: usize,
    /// Those between two mails, with the time of the last; the one used last is at the end.
    kept: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("host", &self.server.host).finish_non_exhaustive()
    }
}

impl Connections {
    pub(super) fn new(server: Server, most: usize) -> Self {
        Self { server, most, kept: Mutex::default() }
    }

    /// Sends a message to all its recipients or to none, and returns what the server says.
    pub(super) async fn send(&self, message: Message) -> Result<String> {
        let mut connection = match self.alive().await {
            Some(connection) => connection,
            None => self.in_time(CONNECTING, self.server.connect()).await?,
        };
        let mail = message.formatted();
        let answer = self.in_time(SENDING, connection.send(message.envelope(), &mail)).await?;
        self.keep(connection);
        Ok(answer.message().collect::<Vec<_>>().join(" "))
    }

    /// A kept connection that answers.
    async fn alive(&self) -> Option<AsyncSmtpConnection> {
        while let Some(mut connection) = self.take() {
            if tokio::time::timeout(ALIVE, connection.test_connected()).await.unwrap_or(false) {
                return Some(connection);
            }
        }
        None
    }

    fn take(&self) -> Option<AsyncSmtpConnection> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(_, last)| last.elapsed() < IDLE);
        kept.pop().map(|(connection, _)| connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !connection.has_broken() && kept.len() < self.most {
            kept.push((connection, Instant::now()));
        }
    }

    async fn in_time<T>(&self, most: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T> {
        match tokio::time::timeout(most, work).await {
            Ok(done) => done.map_err(failure),
            Err(_) => {
                let Server { host, port, .. } = &self.server;
                let most = duration::show(most);
                Err(Failure::retry(format!("the mail server {host}:{port} did not answer within {most}")))
            }
        }
    }
}

fn failure(error: Error) -> Failure {
    let about_credentials = error.status().is_some_and(|status| ABOUT_CREDENTIALS.contains(&status.into()));
    if error.is_permanent() && !about_credentials {
        return Failure::fatal(error);
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Course;

    #[tokio::test]
    async fn a_server_that_says_nothing_is_named_and_tried_again() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let (host, hello) = ("127.0.0.1".to_owned(), ClientId::default());
        let server = Server { host, port, tls: None, credentials: None, hello };
        let connections = Connections::new(server.clone(), 1);

        let connected = connections.in_time(Duration::from_millis(50), server.connect()).await;

        let failure = connected.err().unwrap();
        assert_eq!(failure.course, Course::Retry);
        assert_eq!(
            failure.to_string(),
            format!("the mail server 127.0.0.1:{port} did not answer within 50ms")
        );
    }
}
