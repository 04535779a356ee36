//! How those who wait for proposals hear of their fate. What an entry carries is decided all at once, and whoever wakes
//! sleepers on another thread one by one has them answer one by one: each with a system call of its own.

use std::fmt::Debug;

use crate::RegionError;
use crate::message::Waiter;

/// Who is to be told what, in order.
#[derive(Debug, Default)]
pub struct Fates(Vec<(Waiter, Result<(), RegionError>)>);

impl Fates {
    /// Adds one.
    pub fn push(&mut self, waiter: Waiter, fate: Result<(), RegionError>) {
        self.0.push((waiter, fate));
    }

    /// Adds all of `other`, behind those that are here.
    pub fn append(&mut self, mut other: Fates) {
        self.0.append(&mut other.0);
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells everybody, on this thread.
    pub fn tell(self) {
        self.0.into_iter().for_each(|(waiter, fate)| waiter.tell(fate));
    }
}

/// Tells the fates of a round. It may hand them to another thread, but must not wait.
pub trait Teller: Debug + Send + Sync {
    /// Has them told, soon.
    fn tell(&self, fates: Fates);
}

/// Tells everybody at once, on the thread that decides.
#[derive(Clone, Copy, Debug, Default)]
pub struct TellHere;

impl Teller for TellHere {
    fn tell(&self, fates: Fates) {
        fates.tell();
    }
}
