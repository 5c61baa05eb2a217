//! Middleware: code around every attempt.
//!
//! Not tower: an attempt has no back-pressure to signal and no response to map, so `poll_ready` and a response type would
//! be ceremony. One async method around the rest is enough for tracing, metrics, time-outs and anything of the user's.

use std::{fmt, pin::Pin, sync::Arc};

use crate::{Context, Result};

/// Code around every attempt of a worker.
///
/// ```
/// # use ergate_worker::{Context, Middleware, Next, Result};
/// struct Timed;
///
/// impl Middleware for Timed {
///     async fn around(&self, context: Context, next: Next) -> Result<String> {
///         let started = std::time::Instant::now();
///         let result = next.run(context).await;
///         println!("took {:?}", started.elapsed());
///         result
///     }
/// }
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Performs the attempt by calling [`Next::run`], once; what it returns is the attempt's result, as JSON.
    fn around(&self, context: Context, next: Next) -> impl Future<Output = Result<String>> + Send;
}

pub(crate) type Performed = Pin<Box<dyn Future<Output = Result<String>> + Send>>;
/// The handler, decoding included.
pub(crate) type Perform = Arc<dyn Fn(Context) -> Performed + Send + Sync>;

/// The rest of the way to the handler.
pub struct Next {
    rest: Vec<Arc<dyn Layer>>,
    perform: Perform,
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("layers", &self.rest.len()).finish_non_exhaustive()
    }
}

impl Next {
    /// `layers` from the innermost to the outermost.
    pub(crate) fn new(layers: &[Arc<dyn Layer>], perform: Perform) -> Self {
        Self { rest: layers.to_vec(), perform }
    }

    /// Goes on.
    ///
    /// # Errors
    /// What the handler returns, or a layer further in.
    pub async fn run(mut self, context: Context) -> Result<String> {
        match self.rest.pop() {
            Some(layer) => layer.around(context, self).await,
            None => (self.perform)(context).await,
        }
    }
}

/// [`Middleware`] with its future boxed, so that layers of different types fit in one list.
pub(crate) trait Layer: Send + Sync {
    fn around(self: Arc<Self>, context: Context, next: Next) -> Performed;
}

impl<M: Middleware> Layer for M {
    fn around(self: Arc<Self>, context: Context, next: Next) -> Performed {
        Box::pin(async move { Middleware::around(&*self, context, next).await })
    }
}
