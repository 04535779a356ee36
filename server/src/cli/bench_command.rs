//! `nokv bench`: hands over to the crate that measures, on a runtime of its own.
//! What a benchmark is and what it needs is said in `nokv-bench`.

use nokv_bench::{BenchArgs, BenchError};

use super::exit::{Answer, Failure};

pub(super) fn run(args: BenchArgs) -> Result<Answer, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::error(format!("cannot start threads: {error}")))?;
    Ok(Answer::ok(runtime.block_on(nokv_bench::bench(args))?))
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Setting(text) => Failure::usage(text),
            error => Failure::error(error.to_string()),
        }
    }
}
