//! What servers cost: CPU time and bytes written to disk of given processes, from Linux' `/proc`.
//! Elsewhere, and for processes of other users, the figures are absent.

use std::time::Duration;

/// CPU and disk of some processes, up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Bytes handed to the disk.
    pub written_bytes: u64,
}

/// Clock ticks a second in `/proc/PID/stat`: fixed at 100 in Linux' user interface.
const TICKS_PER_SECOND: u64 = 100;

impl Usage {
    /// Of this process.
    pub fn of_self() -> Usage {
        Usage::of(&[std::process::id()])
    }

    /// Of the processes together; what cannot be read counts as nothing.
    pub fn of(pids: &[u32]) -> Usage {
        pids.iter().fold(Usage::default(), |sum, pid| Usage {
            cpu: sum.cpu + cpu(*pid).unwrap_or_default(),
            written_bytes: sum.written_bytes + written(*pid).unwrap_or_default(),
        })
    }

    /// What was used since `earlier`.
    pub fn since(self, earlier: Usage) -> Usage {
        Usage {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            written_bytes: self.written_bytes.saturating_sub(earlier.written_bytes),
        }
    }
}

/// Fields 14 and 15 of `stat`, counted behind the command's name, which may hold anything but `)` last.
fn cpu(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

fn written(pid: u32) -> Option<u64> {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}

/// The machine's one-minute load, or 0 where it cannot be read.
pub fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}
