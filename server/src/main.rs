//! The binary `nokv`: everything is in the library, this only hands over.
//! The exit code is returned, not called for, so that every guard on the way (the log's above all) is dropped.

use std::process::ExitCode;

/// What a request needs is allocated on one thread and freed on another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nokv_server::cli::run()
}
