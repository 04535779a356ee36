//! The end of a node whose machine has failed: loud, at once, without answering anybody. Whatever was acknowledged is
//! on a quorum's disks; whatever was not must not be answered from a state that may be wrong.

use std::fmt::Display;
use std::io::Write as _;
use std::sync::Arc;

use nokv_transport::StoreId;

/// Called when a node must not go on. It does not return to the node's normal course: it ends the process, or, in a
/// test, remembers.
pub type OnFatal = Arc<dyn Fn(&dyn Display) + Send + Sync>;

/// Ends the process with exit code 1. The text goes straight to standard error, past the log's queue, which nobody
/// would empty any more.
pub fn exit_at_once(store: StoreId) -> OnFatal {
    Arc::new(move |error| {
        let _ = writeln!(std::io::stderr(), "fatal: store {store} cannot go on and stops at once: {error}");
        end_process(1);
    })
}

/// Ends the process without running exit handlers: these would tear down the engine under threads that still use it.
pub fn end_process(exit_code: i32) -> ! {
    // SAFETY: `_exit` takes a plain integer, touches no memory of ours and does not return.
    #[allow(unsafe_code)]
    unsafe {
        nix::libc::_exit(exit_code)
    }
}
