//! Waiting for an answer: blocking (commands, tests) or as a future (async code).

use crate::{StoreError, Then};
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

/// Asks, and blocks until the answer is there. Not from an async task, not from a [`Then`].
///
/// ```no_run
/// # use herald_storage::{wait, Store, StoreError};
/// # fn count(store: &dyn Store) -> Result<u64, StoreError> {
/// wait(|then| store.account_count(then))
/// # }
/// ```
pub fn wait<T: Send + 'static>(ask: impl FnOnce(Then<T>)) -> Result<T, StoreError> {
    let (tell, hear) = mpsc::sync_channel(1);
    ask(Box::new(move |answer| {
        let _ = tell.send(answer); // nobody hears only when `ask` itself panicked
    }));
    hear.recv().unwrap_or(Err(StoreError::Closed))
}

/// Asks at once; the answer is a future. Dropping the future does not take the call back.
pub fn ask<T: Send + 'static>(ask: impl FnOnce(Then<T>)) -> Answer<T> {
    let slot = Arc::new(Mutex::new(Slot { answer: None, waker: None }));
    let mut teller = Teller(Some(slot.clone()));
    ask(Box::new(move |answer| teller.tell(answer)));
    Answer(slot)
}

/// The answer to come. Needs no particular runtime.
#[must_use = "an answer nobody reads is a write nobody knows the outcome of"]
pub struct Answer<T>(Arc<Mutex<Slot<T>>>);

struct Slot<T> {
    answer: Option<Result<T, StoreError>>,
    waker: Option<Waker>,
}

/// The other end; empty once it has told. Dropped before that, it answers `Closed`: nobody waits for
/// a store that is gone.
struct Teller<T>(Option<Arc<Mutex<Slot<T>>>>);

impl<T> Teller<T> {
    fn tell(&mut self, answer: Result<T, StoreError>) {
        let Some(slot) = self.0.take() else { return };
        let waker = {
            let mut slot = slot.lock();
            slot.answer = Some(answer);
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Teller<T> {
    fn drop(&mut self) {
        self.tell(Err(StoreError::Closed));
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, StoreError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.0.lock();
        match slot.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => {
                slot.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
