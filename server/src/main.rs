//! The binary `nokv`: everything is in the library, this only hands over.
//! The exit code is returned, not called for, so that every guard on the way (the log's above all) is dropped.

use std::process::ExitCode;

fn main() -> ExitCode {
    nokv_server::cli::run()
}
