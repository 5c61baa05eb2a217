//! What `coalesce.rs` needs of tokio, on shuttle's tasks and locks.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

thread_local! {
    /// All tasks of shuttle run on one thread.
    static DIES: Cell<bool> = const { Cell::new(false) };
}

/// Begins a task, which goes on until it is done, or dies.
pub fn spawn<F: Future<Output = ()> + Send + 'static>(future: F) {
    shuttle::future::spawn(Mortal(Some(Box::pin(future))));
}

/// Lets the task that calls it, and awaits what it returns, end there and then, as with its runtime.
pub fn die<T>() -> impl Future<Output = T> {
    std::future::poll_fn(|_| {
        DIES.set(true);
        Poll::Pending
    })
}

struct Mortal<F>(Option<Pin<Box<F>>>);

impl<F: Future<Output = ()>> Future for Mortal<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.0 else { return Poll::Ready(()) };
        let polled = future.as_mut().poll(cx);
        if DIES.take() {
            self.0 = None;
            return Poll::Ready(());
        }
        polled
    }
}

pub mod sync {
    //! Channels.

    pub mod oneshot {
        //! For one value.

        use std::{
            future::Future,
            pin::Pin,
            task::{Context, Poll, Waker},
        };

        use shuttle::sync::{Arc, Mutex};

        #[derive(Debug)]
        struct State<T> {
            value: Option<T>,
            is_gone: bool,
            waker: Option<Waker>,
        }

        /// Sends the value.
        #[derive(Debug)]
        pub struct Sender<T>(Arc<Mutex<State<T>>>);

        /// Waits for it.
        #[derive(Debug)]
        pub struct Receiver<T>(Arc<Mutex<State<T>>>);

        /// The sender went away.
        #[derive(Debug)]
        pub struct RecvError;

        /// Makes both ends.
        pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
            let state = Arc::new(Mutex::new(State { value: None, is_gone: false, waker: None }));
            (Sender(Arc::clone(&state)), Receiver(state))
        }

        impl<T> Sender<T> {
            /// Hands the value back if nobody can receive it any more.
            pub fn send(self, value: T) -> Result<(), T> {
                self.0.lock().unwrap().value = Some(value);
                Ok(())
            }
        }

        impl<T> Drop for Sender<T> {
            fn drop(&mut self) {
                let mut state = self.0.lock().unwrap();
                state.is_gone = true;
                if let Some(waker) = state.waker.take() {
                    drop(state);
                    waker.wake();
                }
            }
        }

        impl<T> Future for Receiver<T> {
            type Output = Result<T, RecvError>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let mut state = self.0.lock().unwrap();
                if let Some(value) = state.value.take() {
                    return Poll::Ready(Ok(value));
                }
                if state.is_gone {
                    return Poll::Ready(Err(RecvError));
                }
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
