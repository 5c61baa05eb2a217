//! How the worker tells of a call that failed and is made again.

/// Logs `error` with what was cut off: a warning, unless Redis cannot be reached. The client tells that once for all calls, so
/// that each of them is for those who look closer.
macro_rules! cut_off {
    ($error:expr, $($what:tt)+) => {
        if $error.is_connection() {
            tracing::debug!(error = %$error, $($what)+);
        } else {
            tracing::warn!(error = %$error, $($what)+);
        }
    };
}

pub(crate) use cut_off;
