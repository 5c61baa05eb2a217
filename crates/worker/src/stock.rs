//! The handlers `ergate-worker` has out of the box.
//!
//! A new stock job is: a payload in `ergate_shared::stock`, a producer method in `ergate-client`, a handler module here,
//! and its line in [`register`].

pub mod email;
pub mod http;

pub use email::{MailRules, Mailbox, Mailer, SmtpServer};
pub use http::{HostRule, HttpClient, HttpRules};

use crate::{FromRef, Worker};

/// Registers every stock handler.
pub fn register(worker: Worker<Stock>) -> Worker<Stock> {
    worker
        .job(http::http_request) //
        .job(email::send_email)
}

/// What the stock handlers share.
#[derive(Debug, Clone)]
pub struct Stock {
    http: HttpClient,
    mailer: Mailer,
}

impl Stock {
    /// From what the worker was told.
    pub fn new(http: &HttpRules, mail: &MailRules) -> Self {
        Self { http: HttpClient::new(http), mailer: Mailer::new(mail) }
    }
}

impl FromRef<Stock> for HttpClient {
    fn from_ref(stock: &Stock) -> Self {
        stock.http.clone()
    }
}

impl FromRef<Stock> for Mailer {
    fn from_ref(stock: &Stock) -> Self {
        stock.mailer.clone()
    }
}
