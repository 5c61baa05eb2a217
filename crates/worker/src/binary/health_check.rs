//! `--health-check`: asks the worker on this machine, as Docker's HEALTHCHECK does.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::exit::Usage;

/// Shorter than the time Docker gives a check.
const WITHIN: Duration = Duration::from_secs(2);
/// Answers are short; what else may listen there need not be.
const MOST: u64 = 64 * 1024;

/// Whether the worker that answers at `metrics` is ready; an error if not.
pub(super) async fn ask(metrics: Option<&str>) -> anyhow::Result<()> {
    let Some(address) = metrics else {
        return Err(
            Usage(vec!["--health-check needs the address of --metrics, and that is off".to_owned()]).into()
        );
    };
    let address = here(address);
    let answer = tokio::time::timeout(WITHIN, get(&address, "/readyz"))
        .await
        .with_context(|| format!("worker at {address} did not answer within 2s"))?
        .with_context(|| format!("worker at {address} cannot be asked"))?;
    match answer {
        (200, _) => Ok(()),
        (_, body) => bail!("worker at {address} answered: {}", body.trim()),
    }
}

/// Where a server that listens there is reached from this machine.
fn here(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    format!("{host}:{port}")
}

/// The status and the body of an answer; 0 if it is no HTTP.
pub(super) async fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    Ok((status.unwrap_or_default(), body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_listens_everywhere_is_asked_on_this_machine() {
        assert_eq!(here("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(here("[::]:9464"), "[::1]:9464");
        assert_eq!(here("10.0.0.7:80"), "10.0.0.7:80");
    }
}
