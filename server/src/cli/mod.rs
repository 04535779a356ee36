//! The command line: flags to calls, results to text or JSON, errors to exit codes.
//!
//! ```text
//!   args ──▶ command ──▶ Answer (text, exit) or Failure (text, exit) ──▶ stdout / stderr, exit code
//! ```
//!
//! * `args.rs`: the commands and their shared flags; `exit.rs`: answers, failures and exit codes.
//! * `config_command.rs`, `serve_command.rs`, `tso_command.rs`: the topology file; one store; the timestamp server.
//! * `connect.rs`, `client_failure.rs`: a client from flags; its errors as failures with advice.
//! * `read_command.rs`, `write_command.rs`: get, scan, put, delete. `txn_script.rs`, `txn_command.rs`: transactions.
//! * `region_survey.rs`, `regions_command.rs`: who leads what, asked from the stores.
//! * `region_args.rs`, `region_command.rs`, `region_members.rs`, `region_merge.rs`, `region_refill.rs`,
//!   `region_show.rs`: one region, looked at and changed;
//!   `cluster_admin.rs`: all stores, asked and ordered.
//! * `find_args.rs`, `placement_calls.rs`: a cluster by one address; what its placement is asked.
//!   `cluster_command.rs`, `store_command.rs`, `operator_command.rs`, `snapshot_command.rs`: the commands that do.
//! * `gc_command.rs`: the safe point of garbage collection.
//! * `bench_command.rs`: the benchmark, which is a crate of its own.
//! * `table.rs`: tables for people. `signals.rs`: SIGINT and SIGTERM. `runtime.rs`: for one thread, or for many.

mod args;
mod bench_command;
mod client_failure;
mod cluster_admin;
mod cluster_command;
mod config_command;
mod connect;
mod exit;
mod find_args;
mod gc_command;
mod operator_command;
mod placement_calls;
mod read_command;
mod region_args;
mod region_command;
mod region_members;
mod region_merge;
mod region_refill;
mod region_show;
mod region_survey;
mod regions_command;
mod runtime;
mod serve_command;
mod signals;
mod snapshot_command;
mod store_command;
mod table;
mod tso_command;
mod txn_command;
mod txn_script;
mod write_command;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use self::args::{Cli, Command};
pub use self::exit::{Answer, Exit, Failure};
pub use self::signals::stop_signal;

/// Reads the command line, does what it says, prints the outcome, and returns the process's exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output with code 0, mistakes to standard error with 2.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    let json = cli.command.json();
    let outcome = match cli.command {
        Command::Config(args) => config_command::run(&args),
        Command::Serve(args) => serve_command::run(&args),
        Command::Tso(args) => tso_command::run(args),
        Command::Get(args) => read_command::get(&args),
        Command::Scan(args) => read_command::scan(&args),
        Command::Put(args) => write_command::put(&args),
        Command::Delete(args) => write_command::delete(&args),
        Command::Txn(args) => txn_command::run(&args),
        Command::Regions(args) => regions_command::run(&args),
        Command::Region(args) => region_command::run(&args),
        Command::Cluster(args) => cluster_command::run(&args),
        Command::Store(args) => store_command::run(&args),
        Command::Operator(args) => operator_command::run(&args),
        Command::Snapshot(args) => snapshot_command::run(&args),
        Command::Gc(args) => gc_command::run(&args),
        Command::Bench(args) => bench_command::run(args),
    };
    print(outcome, json)
}

fn print(outcome: Result<Answer, Failure>, json: bool) -> ExitCode {
    // A reader that has gone away (as in `nokv scan | head`) is no error of ours.
    match outcome {
        Ok(answer) => {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(&answer.text).and_then(|()| out.flush());
            if let Some(note) = answer.note {
                let _ = writeln!(std::io::stderr(), "note: {note}");
            }
            answer.exit.into()
        }
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{}", failure.render(json));
            failure.exit.into()
        }
    }
}
