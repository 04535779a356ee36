//! Runs seeds: one with its trace, or a range on several threads until one fails. See `--help`.
//! All the work is in the library; this hands it the command line.

use std::process::ExitCode;

use nokv_sim::cli;

fn main() -> ExitCode {
    cli::main()
}
