//! `http.request`: an HTTP call that is tried until it is answered.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::HTTP_QUEUE;
use crate::Job;

/// The method of an [`HttpRequest`]; default `POST`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "they are the methods of RFC 9110")]
pub enum HttpMethod {
    Get,
    #[default]
    Post,
    Put,
    Patch,
    Delete,
    Head,
}

/// An HTTP call that is tried until it is answered.
///
/// | answer | the job |
/// |---|---|
/// | 2xx | completes with `{"status", "body"}` |
/// | 429 or 503 with `Retry-After` | is tried again after that time, at most a day |
/// | 408, 425, 429, 5xx, no answer, no connection | is tried again after the back-off |
/// | 307, 308, and 301, 302, 303 of `GET` and `HEAD` | goes on at the new address, five times at most |
/// | any other | is a dead letter |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRequest {
    /// The method; default `POST`.
    #[serde(default)]
    pub method: HttpMethod,
    /// An absolute `http:` or `https:` address.
    pub url: String,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What to send: a JSON string is sent as it is, any other JSON as JSON with that content type; default nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<serde_json::Value>,
    /// How long to wait for the whole answer, redirects included, in milliseconds, from 1; default 30,000. The job's own
    /// time-out of 5 minutes ends it in any case: `Client::http_request` raises that where this asks for more, other producers must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

impl HttpRequest {
    /// A `POST` of JSON.
    pub fn post(url: impl Into<String>, body: impl Into<serde_json::Value>) -> Self {
        Self {
            method: HttpMethod::Post,
            url: url.into(),
            headers: BTreeMap::new(),
            body: Some(body.into()),
            timeout_ms: None,
        }
    }
}

impl Job for HttpRequest {
    const NAME: &str = "http.request";
    const QUEUE: &str = HTTP_QUEUE;
    const TIMEOUT: Duration = Duration::from_mins(5);
}
