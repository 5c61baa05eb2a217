//! Producer methods of the stock jobs.

use std::time::Duration;

use ergate_shared::{
    Job,
    stock::{HttpRequest, SendEmail},
};

use crate::{Client, Enqueue};

/// What an attempt takes beside the call itself, at most.
const AROUND: Duration = Duration::from_secs(10);

impl Client {
    /// Enqueues an HTTP call for `ergate-worker` to make. An attempt has five minutes, or more if `timeout_ms` asks for more.
    pub fn http_request(&self, request: HttpRequest) -> Enqueue {
        let answered = request.timeout_ms.map(|ms| Duration::from_millis(ms).saturating_add(AROUND));
        let enqueue = self.enqueue(request);
        match answered {
            Some(answered) if answered > HttpRequest::TIMEOUT => enqueue.timeout(answered),
            _ => enqueue,
        }
    }

    /// Enqueues a mail message for `ergate-worker` to send.
    pub fn send_email(&self, email: SendEmail) -> Enqueue {
        self.enqueue(email)
    }
}
