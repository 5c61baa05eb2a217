//! `http.request`: makes an HTTP call, and says from the answer what becomes of the job.
//!
//! | answer | the job |
//! |---|---|
//! | 2xx | completes with `{"status", "body"}`: JSON if the body is, else text, cut at 64 KiB |
//! | 429 or 503 with `Retry-After` | is tried again after that time, at most a day |
//! | 408, 425, 429, 5xx, no answer, no connection | is tried again after the back-off |
//! | 307, 308, and 301, 302, 303 of `GET` and `HEAD` | goes on at the new address, five times at most |
//! | any other | is a dead letter |
//!
//! Every request has the headers `User-Agent: ergate/VERSION`, `Idempotency-Key` with the job's id, `Ergate-Attempt`, and
//! with a signing secret [`Ergate-Signature`](signature). Hosts that are no public ones are [refused](HttpRules).

mod exchange;
mod reach;
mod retry_after;
pub mod signature;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ergate_shared::{JobId, duration, stock::HttpRequest};

pub use exchange::Answer;
use exchange::Exchange;
pub use reach::HostRule;
use reach::Reach;

use crate::{Attempt, Cancelled, Failure, Result, State, Verdict};

/// How long an answer may take unless the job says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What `http.request` may do.
#[derive(Clone, Default)]
pub struct HttpRules {
    /// Whether it may reach addresses that are not public; default no.
    pub allow_private: bool,
    /// The hosts it may reach; none means every public one. Addresses are checked for listed hosts too.
    pub hosts: Vec<HostRule>,
    /// Signs every request; default none.
    pub signing_secret: Option<String>,
}

impl fmt::Debug for HttpRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRules")
            .field("allow_private", &self.allow_private)
            .field("hosts", &self.hosts)
            .field("signs", &self.signing_secret.is_some())
            .finish()
    }
}

/// Makes HTTP calls, with connections that are used again. Clones share them.
#[derive(Clone)]
pub struct HttpClient {
    inner: Arc<Inner>,
}

struct Inner {
    /// Made for the first job: the root certificates are not read, and not kept, by a worker without such jobs.
    client: OnceLock<reqwest::Client>,
    reach: Reach,
    signing_secret: Option<String>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("reach", &self.inner.reach).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// A client with these rules.
    pub fn new(rules: &HttpRules) -> Self {
        let reach = Reach { allow_private: rules.allow_private, hosts: rules.hosts.clone() };
        let signing_secret = rules.signing_secret.clone();
        Self { inner: Arc::new(Inner { client: OnceLock::new(), reach, signing_secret }) }
    }

    fn client(&self) -> Result<&reqwest::Client> {
        if let Some(client) = self.inner.client.get() {
            return Ok(client);
        }
        #[cfg(feature = "tls")]
        {
            // The first to choose has chosen for all, and everybody here chooses the same.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = reqwest::Client::builder()
            .user_agent(concat!("ergate/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(self.inner.reach.clone()))
            // A proxy would look names up where nothing checks them.
            .no_proxy()
            // Every address is checked, so they are followed here.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("the client for http.request cannot be made")?;
        Ok(self.inner.client.get_or_init(|| client))
    }

    async fn perform(&self, job: HttpRequest, id: &JobId, attempt: u32) -> Result<Answer> {
        if job.timeout_ms == Some(0) {
            return Err(Failure::fatal("timeout_ms is 0, which leaves no time for an answer"));
        }
        let timeout = job.timeout_ms.map_or(TIMEOUT, Duration::from_millis);
        let exchange = Exchange::new(job, id, attempt)?;
        let method = exchange.method().clone();
        let host = exchange.host();
        tokio::time::timeout(timeout, exchange.run(self)).await.unwrap_or_else(|_| {
            let within = duration::show(timeout);
            Err(Failure::retry(format!("{method} {host} was not answered within {within}")))
        })
    }
}

/// Performs `http.request`.
///
/// # Errors
/// With a verdict that follows from the answer.
pub async fn http_request(
    job: HttpRequest,
    State(http): State<HttpClient>,
    id: JobId,
    attempt: Attempt,
    cancelled: Cancelled,
) -> Result<Answer> {
    tokio::select! {
        answer = http.perform(job, &id, attempt.number) => answer,
        () = cancelled.wait() => Err(Failure::retry("told to end before the answer came")),
    }
}

#[cfg(test)]
mod tests;
