//! How often a second one small append can be made durable, one after the other: the bound of everything that syncs
//! without grouping.

use std::fs::OpenOptions;
use std::io::{self, Write as _};

use super::Clock;
use crate::args::LimitsArgs;
use crate::error::{BenchError, Result};

/// Measures fdatasync after an append of one value.
pub fn run(args: &LimitsArgs, clock: &mut Clock<'_>) -> Result<()> {
    let path = || args.dir.display().to_string();
    let failed = |error: io::Error| BenchError::File { path: path(), reason: error.to_string() };
    let folder = tempfile::tempdir_in(&args.dir).map_err(failed)?;
    let mut file = OpenOptions::new().create(true).append(true).open(folder.path().join("log")).map_err(failed)?;
    let record = vec![0x5a; args.value_bytes.max(1)];
    let append = || {
        file.write_all(&record)?;
        file.sync_data()?;
        Ok(1)
    };
    clock.steps("fdatasync after an append", append).map_err(failed)
}
