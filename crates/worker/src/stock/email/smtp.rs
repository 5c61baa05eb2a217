//! Mail through a mail server.

use std::fmt;

use lettre::transport::smtp::{
    SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT, authentication::Credentials, extension::ClientId,
};
use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::{
    connections::{Connections, Server},
    tls::{Tls, When},
};

/// A mail server.
#[derive(Clone)]
pub struct SmtpServer {
    server: Server,
    kept: usize,
    address: String,
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl SmtpServer {
    /// Reads `smtp://user:password@host:port`, with `?tls=required` or `?tls=opportunistic`, or `smtps://`; a path is the
    /// name the worker says it has. At most `kept` connections are kept for later mail; each mail that is on its way has one.
    ///
    /// # Errors
    /// If it cannot be read, or asks for TLS in a build without it.
    pub fn new(url: &str, kept: usize) -> Result<Self, String> {
        let form = || "write it like smtp://user:password@mail.example.com:587?tls=required".to_owned();
        let parsed = Url::parse(url).map_err(|_| form())?;
        let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(form)?;
        let tls = parsed.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let (port, tls) = match (parsed.scheme(), tls.as_deref()) {
            ("smtp", None) => (SMTP_PORT, None),
            ("smtp", Some("required")) => (SUBMISSION_PORT, Some(Tls::new(When::Required, host)?)),
            ("smtp", Some("opportunistic")) => (SUBMISSION_PORT, Some(Tls::new(When::Opportunistic, host)?)),
            ("smtps", _) => (SUBMISSIONS_PORT, Some(Tls::new(When::FromTheStart, host)?)),
            _ => return Err(form()),
        };
        let credentials = match (parsed.username(), parsed.password()) {
            ("", None) => None,
            (_, None) => return Err("it has a user and no password".to_owned()),
            (user, Some(password)) => Some(Credentials::new(decoded(user)?, decoded(password)?)),
        };
        let named = Some(parsed.path().trim_matches('/')).filter(|name| !name.is_empty()).map(str::to_owned);
        let hello = named.or_else(host_name).map_or_else(ClientId::default, ClientId::Domain);
        let (host, port) = (host.to_owned(), parsed.port().unwrap_or(port));
        let server = Server { host, port, tls, credentials, hello };
        Ok(Self { server, kept, address: without_secrets(parsed) })
    }

    /// The address for people.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    pub(super) fn connections(&self) -> Connections {
        Connections::new(self.server.clone(), self.kept)
    }
}

/// Without the escapes of a URL.
fn decoded(text: &str) -> Result<String, String> {
    let decoded =
        percent_decode_str(text).decode_utf8().map_err(|_| "user or password is no text".to_owned())?;
    Ok(decoded.into_owned())
}

fn without_secrets(mut url: Url) -> String {
    if url.password().is_some() {
        let _ = url.set_password(Some("(hidden)"));
    }
    url.into()
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
