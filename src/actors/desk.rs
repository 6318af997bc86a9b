//! Where the coordinator is reached. Its address changes when it is started again; who holds a desk need not know.

use super::coordinator::Coordinator;
use actix::{Addr, Handler, MailboxError, Message};
use std::sync::{Arc, PoisonError, RwLock};

/// The coordinator's address, whichever coordinator that is.
#[derive(Clone)]
pub struct Desk(Arc<RwLock<Addr<Coordinator>>>);

impl Desk {
    /// A desk with its first coordinator.
    pub fn new(first: Addr<Coordinator>) -> Self {
        Self(Arc::new(RwLock::new(first)))
    }

    /// Another one sits there from now on.
    pub fn seat(&self, next: Addr<Coordinator>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    fn now(&self) -> Addr<Coordinator> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// It is gone, or crashed over this very message.
    pub async fn ask<M>(&self, message: M) -> Result<M::Result, MailboxError>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Coordinator: Handler<M>,
    {
        self.now().send(message).await
    }

    /// Tells. What is told to a coordinator that is gone is lost; the next one performs the outbox again.
    pub fn tell<M>(&self, message: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Coordinator: Handler<M>,
    {
        self.now().do_send(message);
    }
}
