//! What `coalesce.rs` needs of tokio, on shuttle's tasks and locks.

pub use shuttle::future::spawn;

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
