//! One call with its redirects: what is sent, and what the answer means.

use std::time::Duration;

use ergate_shared::{
    JobId, clock,
    stock::{HttpMethod, HttpRequest},
};
use reqwest::{
    Method, Response, Url,
    header::{
        ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderName, HeaderValue,
        LOCATION, RETRY_AFTER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{HttpClient, reach::Refused, retry_after, signature};
use crate::{Failure, Result, Verdict};

const MOST_REDIRECTS: usize = 5;
/// How much of an answer is kept with a completed job.
const MOST_KEPT: usize = 64 * 1024;
/// How much of an answer is told with a failure.
const MOST_TOLD: usize = 500;
/// How long that is waited for.
const TELLING: Duration = Duration::from_secs(1);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const ERGATE_ATTEMPT: HeaderName = HeaderName::from_static("ergate-attempt");
const ERGATE_SIGNATURE: HeaderName = HeaderName::from_static(signature::HEADER);
/// Headers of the connection rather than of the request, and those a receiver trusts.
const RESERVED: [HeaderName; 9] = [
    CONNECTION,
    CONTENT_LENGTH,
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    ERGATE_ATTEMPT,
    ERGATE_SIGNATURE,
];

/// What a completed `http.request` keeps.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The status, 200 to 299.
    status: u16,
    body: Body,
    /// Whether there was more of the body.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// As it came: reading and writing JSON would change large numbers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Body {
    Json(Box<RawValue>),
    Text(String),
}

/// A call under way.
pub(super) struct Exchange {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    /// Sent to every host, unlike the job's own headers.
    id: HeaderValue,
    attempt: u32,
}

impl Exchange {
    /// Reads a job; what is wrong with it now is wrong with it for ever.
    pub(super) fn new(job: HttpRequest, id: &JobId, attempt: u32) -> Result<Self> {
        let url =
            Url::parse(&job.url).map_err(|error| Failure::fatal(format!("url {:?}: {error}", job.url)))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &job.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| Failure::fatal(format!("header name {name:?} is not valid")))?;
            if RESERVED.contains(&name) {
                return Err(Failure::fatal(format!("header {name} is set by the worker and not by a job")));
            }
            let value = HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| Failure::fatal(format!("value of header {name} is not valid")))?;
            headers.insert(name, value);
        }
        let body = match job.body {
            None => Vec::new(),
            Some(serde_json::Value::String(text)) => text.into_bytes(),
            Some(json) => {
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
                json.to_string().into_bytes()
            }
        };
        let id = HeaderValue::from_bytes(id.as_str().as_bytes()).fatal().context("job id as a header")?;
        Ok(Self { method: method(job.method), url, headers, body, id, attempt })
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// The host for people; the rest of the URL may hold secrets.
    pub(super) fn host(&self) -> String {
        host(&self.url)
    }

    /// Calls until there is an answer that leads nowhere else.
    pub(super) async fn run(mut self, http: &HttpClient) -> Result<Answer> {
        let mut redirects = 0;
        loop {
            let response = self.send(http).await?;
            let Some(next) = self.leads_to(&response)? else { return self.judge(response).await };
            redirects += 1;
            if redirects > MOST_REDIRECTS {
                return Err(Failure::fatal(format!(
                    "redirected more than {MOST_REDIRECTS} times, last to {}",
                    host(&next)
                )));
            }
            if next.origin() != self.url.origin() {
                // What the job gave may be meant for the first host only, such as a key.
                self.headers = [ACCEPT, CONTENT_TYPE]
                    .into_iter()
                    .filter_map(|name| Some((name.clone(), self.headers.remove(name)?)))
                    .collect();
            }
            self.url = next;
        }
    }

    async fn send(&self, http: &HttpClient) -> Result<Response> {
        match self.url.scheme() {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => {
                return Err(Failure::fatal(
                    "https needs a worker built with the feature `tls`, and this one is not",
                ));
            }
            other => {
                return Err(Failure::fatal(format!(
                    "url has the scheme {other}, http and https are possible"
                )));
            }
        }
        http.inner.reach.check(&self.url).fatal()?;
        let mut headers = self.headers.clone();
        headers.entry(IDEMPOTENCY_KEY).or_insert(self.id.clone());
        headers.insert(ERGATE_ATTEMPT, self.attempt.into());
        if let Some(secret) = &http.inner.signing_secret {
            let signature = signature::sign(secret, clock::unix_ms() / 1000, &self.body);
            headers.insert(ERGATE_SIGNATURE, HeaderValue::try_from(signature).fatal()?);
        }
        if self.body.is_empty() && matches!(self.method, Method::POST | Method::PUT | Method::PATCH) {
            // Some servers insist on a length.
            headers.insert(CONTENT_LENGTH, 0.into());
        }
        let request = http
            .client()?
            .request(self.method.clone(), self.url.clone())
            .headers(headers)
            .body(self.body.clone());
        let sent = request.send().await.map_err(|error| match refused(&error) {
            Some(refused) => Failure::fatal(refused),
            None => error.without_url().into(),
        });
        sent.context(format!("{} {}", self.method, self.host()))
    }

    /// Where a redirect leads that keeps the method and the body; a `POST` that became a `GET` would lose what it carries
    /// and look like a success.
    fn leads_to(&self, response: &Response) -> Result<Option<Url>> {
        let status = response.status().as_u16();
        let reads = matches!(self.method, Method::GET | Method::HEAD);
        if !(matches!(status, 307 | 308) || (reads && matches!(status, 301..=303))) {
            return Ok(None);
        }
        let Some(location) = location(response) else { return Ok(None) };
        let next = self.url.join(&location).fatal().context(format!("redirected to {location:?}"))?;
        if self.url.scheme() == "https" && next.scheme() != "https" {
            return Err(Failure::fatal(format!(
                "redirected from https to {}, which is not followed",
                next.scheme()
            )));
        }
        Ok(Some(next))
    }

    async fn judge(&self, response: Response) -> Result<Answer> {
        let status = response.status();
        if status.is_success() {
            return keep(response).await.context(format!("reading the answer of {}", self.host()));
        }
        let delay = delay(&response);
        let mut told = format!("{} {} answered {status}", self.method, self.host());
        if let Some(location) = location(&response).filter(|_| status.is_redirection()) {
            told.push_str(&format!(" with the address {location:?}, which {} does not follow", self.method));
        }
        // The status decides, though its body may not come.
        let body = tokio::time::timeout(TELLING, read(response, MOST_TOLD)).await;
        let (body, _) = body.ok().and_then(reqwest::Result::ok).unwrap_or_default();
        let body = text(&body);
        if !body.trim().is_empty() {
            told.push_str(&format!(": {}", body.trim()));
        }
        Err(match (status.as_u16(), delay) {
            (429 | 503, Some(delay)) => Failure::retry_in(delay, told),
            (408 | 425 | 429 | 500.., _) => Failure::retry(told),
            _ => Failure::fatal(told),
        })
    }
}

async fn keep(response: Response) -> Result<Answer> {
    let status = response.status().as_u16();
    let (bytes, truncated) = read(response, MOST_KEPT).await.map_err(reqwest::Error::without_url)?;
    // Kept as it came if it can be read again: raw JSON may hold half a character, or a number out of all bounds.
    let readable = !truncated && serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();
    let json = readable.then(|| serde_json::from_slice(&bytes).ok()).flatten();
    Ok(Answer { status, body: json.map_or_else(|| Body::Text(text(&bytes)), Body::Json), truncated })
}

/// Reads so much of the body, and says whether there was more.
async fn read(mut response: Response, most: usize) -> reqwest::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = most - bytes.len();
        if chunk.len() > room {
            bytes.extend_from_slice(&chunk[..room]);
            return Ok((bytes, true));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes, false))
}

/// As text; a character that was cut off at the end is left out.
fn text(bytes: &[u8]) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    String::from_utf8_lossy(whole).into_owned()
}

fn location(response: &Response) -> Option<String> {
    header(response, &LOCATION).map(str::to_owned)
}

fn delay(response: &Response) -> Option<Duration> {
    retry_after::parse(header(response, &RETRY_AFTER)?, header(response, &DATE), clock::unix_ms())
}

fn header<'a>(response: &'a Response, name: &HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("a URL without host");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The refusal of the resolver, if that is what went wrong.
fn refused(error: &reqwest::Error) -> Option<Refused> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(refused.clone());
        }
        cause = error.source();
    }
    None
}

fn method(method: HttpMethod) -> Method {
    match method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Patch => Method::PATCH,
        HttpMethod::Delete => Method::DELETE,
        HttpMethod::Head => Method::HEAD,
    }
}
