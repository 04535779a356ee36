//! One target, or two in turns: each is loaded once, then measured alone, again and again, so that whatever else the
//! machine does falls on both.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::args::RunArgs;
use crate::drive::{self, Stretch};
use crate::error::{BenchError, Result};
use crate::process::{Usage, load_average};
use crate::recorder::Record;
use crate::report;
use crate::target::{self, Target};
use crate::workload::Workload;

/// One measured turn of one target.
#[derive(Debug)]
pub struct Turn {
    /// Clients at once.
    pub clients: u64,
    /// What happened.
    pub record: Record,
    /// How long it was measured, the last operation's end included.
    pub length: Duration,
    /// What this process used meanwhile.
    pub client: Usage,
    /// What the target's servers used meanwhile.
    pub servers: Usage,
    /// The machine's one-minute load before the warm-up.
    pub load_average: f64,
}

impl Turn {
    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.record.operations() as f64 / self.length.as_secs_f64()
    }
}

/// A target with its turns.
pub struct Measured {
    /// As on the command line.
    pub name: String,
    /// What was done.
    pub workload: Workload,
    /// Turn by turn, for one number of clients after the other.
    pub turns: Vec<Turn>,
    pids: Vec<u32>,
    target: Arc<dyn Target>,
}

impl Measured {
    async fn connect(name: &str, workload: Workload, pids: &[u32], args: &RunArgs) -> Result<Self> {
        let mut target = target::connect(name, args.connections)?;
        if let Some(reason) = target.refuses(workload) {
            return Err(BenchError::Setting(reason));
        }
        if !args.no_load {
            drive::load(target.as_ref(), name, args, workload.is_raw()).await?;
        }
        let failed = |reason: String| BenchError::Target { target: name.to_owned(), reason };
        target.loaded(workload).await.map_err(failed)?;
        let (name, pids) = (name.to_owned(), pids.to_vec());
        Ok(Self { name, workload, pids, turns: Vec::new(), target: Arc::from(target) })
    }

    async fn turn(&mut self, args: &Arc<RunArgs>, clients: u64, number: u64) {
        let load_average = load_average();
        let length = Duration::from_secs(args.warmup_seconds);
        let warmup = Stretch { workload: self.workload, clients, length, number: 2 * number };
        drive::run(&self.target, args, warmup).await;
        let (client, servers) = (Usage::of_self(), Usage::of(&self.pids));
        let started = Instant::now();
        let length = Duration::from_secs(args.seconds);
        let record = drive::run(&self.target, args, Stretch { length, number: 2 * number + 1, ..warmup }).await;
        self.turns.push(Turn {
            clients,
            record,
            length: started.elapsed(),
            client: Usage::of_self().since(client),
            servers: Usage::of(&self.pids).since(servers),
            load_average,
        });
    }

    /// The turns with so many clients.
    pub fn turns_with(&self, clients: u64) -> impl Iterator<Item = &Turn> {
        self.turns.iter().filter(move |turn| turn.clients == clients)
    }

    /// Of the turns with so many clients, the one with the median rate.
    pub fn median(&self, clients: u64) -> Option<&Turn> {
        let mut turns: Vec<&Turn> = self.turns_with(clients).collect();
        turns.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
        turns.get(turns.len() / 2).copied()
    }
}

/// Runs the turns and returns the text that tells the figures.
///
/// # Errors
/// If a setting does not fit, a target cannot be reached or loaded, or the page cannot be written.
pub async fn run(args: RunArgs) -> Result<String> {
    let counts = [args.turns as u64, args.seconds, args.keys];
    if args.clients.iter().chain(&counts).any(|count| *count == 0) {
        return Err(BenchError::Setting("clients, turns, seconds and keys must be at least 1".to_owned()));
    }
    let args = Arc::new(args);
    let mut measured = vec![Measured::connect(&args.target, args.workload, &args.pids, &args).await?];
    if let Some(other) = &args.vs {
        let workload = args.vs_workload.unwrap_or(args.workload);
        measured.push(Measured::connect(other, workload, &args.vs_pids, &args).await?);
    }
    let mut number = 0;
    for clients in &args.clients {
        for _ in 0..args.turns {
            for target in &mut measured {
                target.turn(&args, *clients, number).await;
            }
            number += 1;
        }
    }
    report::tell(&args, &measured)
}
