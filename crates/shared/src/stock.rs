//! The jobs that `ergate-worker` performs out of the box: names of their queues, and their payloads.
//!
//! A new stock job is: a payload here, a producer method in `ergate-client`, a handler and a registration line in
//! `ergate-worker`.

mod email;
mod http;

pub use email::SendEmail;
pub use http::{HttpMethod, HttpRequest};

/// The queue of `http.request` jobs.
pub const HTTP_QUEUE: &str = "http";
/// The queue of `email.send` jobs.
pub const EMAIL_QUEUE: &str = "email";
