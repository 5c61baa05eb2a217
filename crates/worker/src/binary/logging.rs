//! Log lines on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::{
    options::Work,
    settings::{LogFormat, log_filter},
};

/// Has everything logged to stderr from now on, in the format and with the filter the options name.
///
/// What cannot be read falls back to the defaults here; [`run`](super::run) says what is wrong with it.
pub fn start_logging(work: &Work) {
    let filter = EnvFilter::try_new(log_filter(work)).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match work.log_format.parse().unwrap_or_default() {
        LogFormat::Text => {
            let colors = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(colors).try_init()
        }
        LogFormat::Json => lines.json().try_init(),
    };
    if let Err(error) = started {
        // The program has set up its own, which is as good.
        tracing::debug!(%error, "logging was set up before");
    }
}
