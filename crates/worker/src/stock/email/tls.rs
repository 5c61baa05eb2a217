//! Encryption of a connection to a mail server: there is none in a build without it.

use lettre::transport::smtp::{Error, client::AsyncSmtpConnection, extension::ClientId};

#[cfg(feature = "tls")]
use lettre::transport::smtp::client::TlsParameters;

/// When a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    FromTheStart,
    Required,
    Opportunistic,
}

/// How a connection is encrypted.
#[derive(Clone)]
#[cfg(feature = "tls")]
pub(super) struct Tls {
    when: When,
    parameters: TlsParameters,
}

#[cfg(feature = "tls")]
impl Tls {
    pub(super) fn new(when: When, host: &str) -> Result<Self, String> {
        let parameters =
            TlsParameters::new(host.to_owned()).map_err(|error| format!("TLS cannot be used: {error}"))?;
        Ok(Self { when, parameters })
    }

    pub(super) async fn connect(
        &self,
        address: (&str, u16),
        hello: &ClientId,
    ) -> Result<AsyncSmtpConnection, Error> {
        let at_once = (self.when == When::FromTheStart).then(|| self.parameters.clone());
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, None, hello, at_once, None).await?;
        let later = match self.when {
            When::FromTheStart => false,
            When::Required => true,
            When::Opportunistic => connection.can_starttls(),
        };
        if later {
            connection.starttls(self.parameters.clone(), hello).await?;
        }
        Ok(connection)
    }
}

/// There is none.
#[derive(Clone)]
#[cfg(not(feature = "tls"))]
pub(super) enum Tls {}

#[cfg(not(feature = "tls"))]
impl Tls {
    pub(super) fn new(_: When, _: &str) -> Result<Self, String> {
        Err("TLS needs a worker built with the feature `tls`, and this one is not".to_owned())
    }

    pub(super) async fn connect(&self, _: (&str, u16), _: &ClientId) -> Result<AsyncSmtpConnection, Error> {
        match *self {}
    }
}
