//! Runs seeds: one with its trace, or a range on several threads until one fails. See `--help`.

use std::process::ExitCode;

use nokv_sim::cli;

fn main() -> ExitCode {
    cli::main()
}
