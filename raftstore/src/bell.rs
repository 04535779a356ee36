//! How a raft loop sleeps and is woken. A wake-up costs more than most of what it is about, so that whoever leaves
//! something that can wait leaves it quietly: the loop finds it when it is up for another reason.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread::Thread;
use std::time::Duration;

/// Between many who leave things and one thread that sleeps.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    is_asleep: AtomicBool,
    sleeper: OnceLock<Thread>,
}

impl Bell {
    /// Wakes the sleeper. What it is to find must have been left before.
    pub(crate) fn ring(&self) {
        // Either this sees that it sleeps, or its last look sees what was left.
        fence(Ordering::SeqCst);
        if self.is_asleep.load(Ordering::Relaxed)
            && self.is_asleep.swap(false, Ordering::AcqRel)
            && let Some(sleeper) = self.sleeper.get()
        {
            sleeper.unpark();
        }
    }

    /// Whether whoever rings now wakes somebody.
    #[cfg(test)]
    pub(crate) fn is_asleep(&self) -> bool {
        self.is_asleep.load(Ordering::SeqCst)
    }

    /// Looks once more, and sleeps until the bell rings, for `timeout` at most, if nothing was found. It may wake
    /// early. Always called by the same thread.
    pub(crate) fn sleep<T>(&self, timeout: Duration, look: impl Fn() -> Option<T>) -> Option<T> {
        let sleeper = self.sleeper.get_or_init(std::thread::current);
        debug_assert_eq!(sleeper.id(), std::thread::current().id(), "one thread sleeps here");
        self.is_asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut found = look();
        if found.is_none() {
            std::thread::park_timeout(timeout);
            found = look();
        }
        self.is_asleep.store(false, Ordering::Relaxed);
        found
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::message::{StoreMessage, mailbox};

    #[test]
    fn whoever_rings_wakes_the_sleeper_once() {
        let bell = Bell::default();
        let (looks, none) = (AtomicU32::new(0), || None::<()>);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                while looks.load(Ordering::SeqCst) == 0 {
                    bell.sleep(Duration::from_secs(600), none);
                }
            });
            while !bell.is_asleep.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            looks.store(1, Ordering::SeqCst);
            bell.ring();
            sleeper.join().unwrap();
        });
        assert!(!bell.is_asleep.load(Ordering::SeqCst));
    }

    #[test]
    fn what_can_wait_is_found_by_the_next_look() {
        let (sender, receiver) = mailbox(10);
        sender.offer_unless(StoreMessage::Stop, || true).unwrap();
        assert_eq!(receiver.waiting(), 1);
        assert!(matches!(receiver.next_within(Duration::from_secs(600)), Some(StoreMessage::Stop)));
    }
}
