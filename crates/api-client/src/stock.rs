//! Producer methods of the stock jobs.

use ergate_shared::stock::{HttpRequest, SendEmail};

use crate::{Client, Enqueue};

impl Client {
    /// Enqueues an HTTP call for `ergate-worker` to make.
    pub fn http_request(&self, request: HttpRequest) -> Enqueue {
        self.enqueue(request)
    }

    /// Enqueues a mail message for `ergate-worker` to send.
    pub fn send_email(&self, email: SendEmail) -> Enqueue {
        self.enqueue(email)
    }
}
