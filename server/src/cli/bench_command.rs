//! `nokv bench`: hands over to the crate that measures, on a runtime of its own.
//! What a benchmark is and what it needs is said in `nokv-bench`.

use nokv_bench::{BenchArgs, BenchError};

use super::exit::{Answer, Failure};
use super::runtime::runtime;

pub(super) fn run(args: BenchArgs) -> Result<Answer, Failure> {
    Ok(Answer::ok(runtime(args.threads())?.block_on(nokv_bench::bench(args))?))
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Setting(text) => Failure::usage(text),
            error => Failure::error(error.to_string()),
        }
    }
}
