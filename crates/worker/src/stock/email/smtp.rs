//! Mail through a mail server.

use std::{fmt, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    transport::smtp::{
        AsyncSmtpTransportBuilder, Error, PoolConfig, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT,
        authentication::Credentials, extension::ClientId,
    },
};
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::{Failure, Result};

/// How long the server may take for one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Answers that refuse the worker and not the mail: authentication required, too weak, wrong, or in need of encryption
/// ([RFC 4954](https://www.rfc-editor.org/rfc/rfc4954), section 6). Once the worker is configured well the mail can go.
const ABOUT_CREDENTIALS: [u16; 4] = [530, 534, 535, 538];

/// A mail server.
#[derive(Clone)]
pub struct SmtpServer {
    builder: AsyncSmtpTransportBuilder,
    address: String,
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl SmtpServer {
    /// Reads `smtp://user:password@host:port`, with `?tls=required` or `?tls=opportunistic`, or `smtps://`; a path is the
    /// name the worker says it has. At most so many connections are open at once.
    ///
    /// # Errors
    /// If it cannot be read, or asks for TLS in a build without it.
    pub fn new(url: &str, connections: usize) -> Result<Self, String> {
        let form = || "write it like smtp://user:password@mail.example.com:587?tls=required".to_owned();
        let parsed = Url::parse(url).map_err(|_| form())?;
        let host = parsed.host_str().filter(|host| !host.is_empty()).ok_or_else(form)?;
        let tls = parsed.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let (port, tls) = match (parsed.scheme(), tls.as_deref()) {
            ("smtp", None) => (SMTP_PORT, None),
            ("smtp", Some("required")) => (SUBMISSION_PORT, Some(Encryption::Required)),
            ("smtp", Some("opportunistic")) => (SUBMISSION_PORT, Some(Encryption::Opportunistic)),
            ("smtps", _) => (SUBMISSIONS_PORT, Some(Encryption::FromTheStart)),
            _ => return Err(form()),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(parsed.port().unwrap_or(port))
            .timeout(Some(PATIENCE))
            .pool_config(PoolConfig::new().max_size(u32::try_from(connections).unwrap_or(u32::MAX)));
        if let Some(tls) = tls {
            builder = tls.of(builder, host)?;
        }
        match (parsed.username(), parsed.password()) {
            ("", None) => {}
            (_, None) => return Err("it has a user and no password".to_owned()),
            (user, Some(password)) => {
                builder = builder.credentials(Credentials::new(decoded(user)?, decoded(password)?));
            }
        }
        let named = Some(parsed.path().trim_matches('/')).filter(|name| !name.is_empty()).map(str::to_owned);
        if let Some(name) = named.or_else(host_name) {
            builder = builder.hello_name(ClientId::Domain(name));
        }
        Ok(Self { builder, address: without_secrets(parsed) })
    }

    /// The address for people.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    pub(super) fn transport(&self) -> Transport {
        Transport { smtp: self.builder.clone().build() }
    }
}

/// When a connection is encrypted.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "all of them are refused alike"))]
enum Encryption {
    FromTheStart,
    Required,
    Opportunistic,
}

impl Encryption {
    #[cfg(feature = "tls")]
    fn of(self, builder: AsyncSmtpTransportBuilder, host: &str) -> Result<AsyncSmtpTransportBuilder, String> {
        use lettre::transport::smtp::client::{Tls, TlsParameters};
        let parameters =
            TlsParameters::new(host.to_owned()).map_err(|error| format!("TLS cannot be used: {error}"))?;
        Ok(builder.tls(match self {
            Self::FromTheStart => Tls::Wrapper(parameters),
            Self::Required => Tls::Required(parameters),
            Self::Opportunistic => Tls::Opportunistic(parameters),
        }))
    }

    #[cfg(not(feature = "tls"))]
    fn of(self, _: AsyncSmtpTransportBuilder, _: &str) -> Result<AsyncSmtpTransportBuilder, String> {
        Err("TLS needs a worker built with the feature `tls`, and this one is not".to_owned())
    }
}

/// Connections to a mail server.
#[derive(Debug)]
pub(super) struct Transport {
    smtp: AsyncSmtpTransport<Tokio1Executor>,
}

impl Transport {
    /// Sends a message to all its recipients or to none, and returns what the server says.
    pub(super) async fn send(&self, message: Message) -> Result<String> {
        let answer = self.smtp.send(message).await.map_err(failure)?;
        Ok(answer.message().collect::<Vec<_>>().join(" "))
    }
}

fn failure(error: Error) -> Failure {
    let about_credentials = error.status().is_some_and(|status| ABOUT_CREDENTIALS.contains(&status.into()));
    if error.is_permanent() && !about_credentials {
        return Failure::fatal(error);
    }
    error.into()
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
