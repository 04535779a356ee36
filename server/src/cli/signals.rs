//! SIGINT and SIGTERM: the two ways in which people and service managers ask a server to stop.
//!
//! Only the first signal is waited for: a server that takes too long to stop can still be ended by a second Ctrl+C.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use crate::node::end_process;

/// Starts listening for the signals and returns what resolves to the name of the first to come. From the call on, the
/// signals no longer end the process by themselves, until the returned future has resolved.
///
/// # Errors
/// Whatever the operating system says; the process cannot be stopped in order then and should not start.
pub fn stop_signal() -> io::Result<impl Future<Output = &'static str> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        let name = tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        };
        // tokio keeps its handlers for the life of the process; a second signal would go unheard without this.
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            end_process(SECOND_SIGNAL_EXIT_CODE);
        });
        name
    })
}

/// As a shell reports a process that SIGINT ended.
const SECOND_SIGNAL_EXIT_CODE: i32 = 130;
