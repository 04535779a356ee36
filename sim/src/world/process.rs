//! A node's process, as an operating system sees it: everything that a node runs, runs inside of one. It can be stopped
//! and continued (SIGSTOP, SIGCONT), and killed at any moment: whatever waits then never goes on.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// Finished tasks are forgotten when so many are remembered.
const TASKS_REMEMBERED: usize = 512;

/// One life of a node.
#[derive(Debug, Default)]
pub struct Process {
    state: Mutex<State>,
    /// Told whenever something in the process may have left a message for the raft loop.
    pub stirred: Notify,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// To be woken when the process goes on.
    asleep: Vec<Waker>,
    tasks: Vec<AbortHandle>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Running,
    Paused,
    Dead,
}

impl Process {
    /// Runs `work` as a part of this process. If it may leave messages for the raft loop, it `stirs`. `on_panic` is
    /// told what a panic in it says.
    pub fn spawn(
        self: &Arc<Self>,
        stirs: bool,
        work: impl Future<Output = ()> + Send + 'static,
        on_panic: impl Fn(String) + Send + Sync + 'static,
    ) {
        let inside = Inside { process: self.clone(), stirs, work: Box::pin(work), on_panic: Box::new(on_panic) };
        let task = tokio::spawn(inside).abort_handle();
        let mut state = self.state.lock();
        if state.tasks.len() >= TASKS_REMEMBERED {
            state.tasks.retain(|task| !task.is_finished());
        }
        state.tasks.push(task);
    }

    /// Stops everything where it stands.
    pub fn pause(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Running {
            state.phase = Phase::Paused;
        }
    }

    /// Goes on after a pause.
    pub fn go_on(&self) {
        let asleep = {
            let mut state = self.state.lock();
            if state.phase == Phase::Paused {
                state.phase = Phase::Running;
            }
            std::mem::take(&mut state.asleep)
        };
        asleep.into_iter().for_each(Waker::wake);
    }

    /// Ends it: nothing of it runs any more, from this moment on.
    pub fn kill(&self) {
        let (asleep, tasks) = {
            let mut state = self.state.lock();
            state.phase = Phase::Dead;
            (std::mem::take(&mut state.asleep), std::mem::take(&mut state.tasks))
        };
        drop(asleep);
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// Whether it was killed.
    pub fn is_dead(&self) -> bool {
        self.state.lock().phase == Phase::Dead
    }

    /// Whether it is stopped.
    pub fn is_paused(&self) -> bool {
        self.state.lock().phase == Phase::Paused
    }
}

/// A part of a process: polled only while the process runs.
struct Inside {
    process: Arc<Process>,
    stirs: bool,
    work: Pin<Box<dyn Future<Output = ()> + Send>>,
    on_panic: Box<dyn Fn(String) + Send + Sync>,
}

impl Future for Inside {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        {
            let mut state = self.process.state.lock();
            match state.phase {
                Phase::Running => {}
                Phase::Paused => {
                    state.asleep.push(context.waker().clone());
                    return Poll::Pending;
                }
                Phase::Dead => return Poll::Pending,
            }
        }
        let this = &mut *self;
        let polled = catch_unwind(AssertUnwindSafe(|| this.work.as_mut().poll(context)));
        if this.stirs {
            this.process.stirred.notify_one();
        }
        polled.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            (this.on_panic)(text.unwrap_or_else(|| "a panic without words".to_owned()));
            Poll::Ready(())
        })
    }
}
