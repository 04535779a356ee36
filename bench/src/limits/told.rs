//! The limits as a table or as JSON.
//! What is said beside them is what a reader must know to compare: the machine, and what a figure includes.

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};

use super::Limit;
use crate::args::LimitsArgs;

/// The text.
pub fn tell(args: &LimitsArgs, limits: &[Limit]) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    if args.json {
        let document = serde_json::json!({
            "cores": cores,
            "clients": args.clients,
            "value_bytes": args.value_bytes,
            "seconds": args.seconds,
            "limits": limits,
        });
        return format!("{document:#}\n");
    }
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["what", "a second", "CPU µs each", "load before"]);
    for limit in limits {
        table.add_row([
            limit.name.clone(),
            format!("{:.0}", limit.per_second),
            format!("{:.2}", limit.cpu_us),
            format!("{:.1}", limit.load_average),
        ]);
    }
    format!(
        "{cores} cores, {} clients, values of {} bytes, {} s each. Echoes are served by another runtime of this same \
         process, so their CPU is both sides'.\n{table}\n",
        args.clients, args.value_bytes, args.seconds
    )
}
