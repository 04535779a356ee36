//! How figures are told: a table for people, JSON for scripts, a page with pictures for both.
//! All three show the same numbers, those of the turn with the median rate.

mod chart;
mod figures;
mod html;
mod table;

use crate::args::RunArgs;
use crate::error::{BenchError, Result};
use crate::turns::Measured;

use figures::Report;

/// Returns the figures as text (a table, or JSON if asked for), and writes the page if one is asked for.
///
/// # Errors
/// If the page cannot be written.
pub fn tell(args: &RunArgs, measured: &[Measured]) -> Result<String> {
    let report = Report::of(args, measured);
    if let Some(path) = &args.html {
        std::fs::write(path, html::render(args, &report))
            .map_err(|error| BenchError::File { path: path.display().to_string(), reason: error.to_string() })?;
    }
    Ok(if args.json { report.json() } else { table::render(args, &report) })
}
