//! One run: a cluster comes up, works under faults, is left alone, and must then be whole again within a bounded time.
//! It ends with a report: what was done, what was hurt, and the hash of the trace.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use nokv_percolator::Key;
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_raftstore::Config;

use crate::faults::Faults;
use crate::placed;
use crate::random::Random;
use crate::scenario::Scenario;
use crate::trace::Sink;
use crate::workloads::{Actor, Workloads, connect};
use crate::world::{Node, World, WorldOptions};

/// Virtual time within which every region has a leader, at first and after all faults have ended.
const LEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Virtual time within which every client has its answers after all faults have ended.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// Virtual time within which replicas are level and no lock is left after that.
const HEALED_WITHIN: Duration = Duration::from_secs(60);
/// If something is left undone for so long, everything is read again.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Where regions are split, if there are several.
const SPLITS: [&str; 3] = ["g", "n", "t"];

/// What to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Decides everything.
    pub seed: u64,
    /// What it is like.
    pub scenario: Scenario,
    /// Virtual seconds of the first phase.
    pub seconds: u64,
    /// What becomes of the trace's text.
    pub sink: Sink,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// Its scenario.
    pub scenario: &'static str,
    /// Virtual seconds of the first phase.
    pub seconds: u64,
    /// The first thing seen that must never be.
    pub violation: Option<String>,
    /// Hash of the trace.
    pub trace_hash: u64,
    /// Lines of the trace.
    pub trace_lines: u64,
    /// The trace's text, if it was to be kept.
    pub trace: Vec<String>,
    /// Virtual time that passed.
    pub virtual_time: Duration,
    /// Operations of clients; of these without success, and with unknown outcome.
    pub operations: [u64; 3],
    /// Nodes killed, disks failed, other faults.
    pub faults: [u64; 3],
    /// Images taken in, regions merged, regions at the end, and orders of placement carried out.
    pub changes: [u64; 4],
}

impl Report {
    /// The command that repeats the run.
    pub fn replay(&self) -> String {
        format!(
            "cargo run -p nokv-sim -- --seed {} --scenario {} --seconds {} --trace",
            self.seed, self.scenario, self.seconds
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [operations, refused, unknown] = self.operations;
        let [kills, disks, others] = self.faults;
        let [images, merges, regions, orders] = self.changes;
        write!(
            f,
            "seed {} {}: {:.1} virtual s, {operations} operations ({refused} refused, {unknown} unknown), \
             {kills} kills, {disks} disk failures, {others} other faults, {images} images, {merges} merges, \
             {regions} regions, {orders} orders, trace {:016x} ({} lines)",
            self.seed,
            self.scenario,
            self.virtual_time.as_secs_f64(),
            self.trace_hash,
            self.trace_lines
        )?;
        match &self.violation {
            Some(violation) => write!(f, "\nVIOLATION {violation}\nreplay: {}", self.replay()),
            None => Ok(()),
        }
    }
}

/// Runs it. Takes the calling thread, and no other.
///
/// # Panics
/// If the system gives no runtime, or if something holds on to a world that is over: thousands of them would fill the
/// memory.
pub fn run(options: &RunOptions) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread without I/O needs nothing that could be missing");
    let (report, over) = runtime.block_on(async {
        let mut random = Random::new(options.seed, options.scenario.name);
        let placement = options.scenario.placement.then(|| placed::world(options));
        let world = World::new(WorldOptions { placement: placement.clone(), ..world_options(options, &mut random) });
        tokio::spawn(world.clone().deliver());
        let violation = tokio::select! {
            biased;
            violation = world.violated() => Some(violation),
            violation = placed::violated(placement.as_ref()) => Some(violation),
            outcome = phases(&world, options, &mut random) => {
                outcome.err().or_else(|| world.violation()).or_else(|| placement.as_ref()?.violation())
            }
        };
        let (trace_hash, trace_lines) = placed::digest(&world);
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &world.counts;
        let report = Report {
            seed: options.seed,
            scenario: options.scenario.name,
            seconds: options.seconds,
            violation,
            trace_hash,
            trace_lines,
            trace: world.trace.lines(),
            virtual_time: world.now(),
            operations: [count(&counts.operations), count(&counts.refused), count(&counts.unknown)],
            faults: placed::faults(&world),
            changes: [
                count(&counts.images),
                world.atlas.merges(),
                world.atlas.current().len() as u64,
                count(&counts.orders),
            ],
        };
        world.end();
        placement.iter().for_each(|placement| placement.end());
        (report, [Arc::downgrade(&world), placement.map(|it| Arc::downgrade(&it)).unwrap_or_default()])
    });
    drop(runtime);
    assert!(over.iter().all(|world| world.strong_count() == 0), "something holds on to a world that is over");
    report
}

fn world_options(options: &RunOptions, random: &mut Random) -> WorldOptions {
    let scenario = &options.scenario;
    let config = Config {
        log_entries_slack: random.between(4, 200),
        cache_bytes_max: if random.chance(500) { 4 << 20 } else { random.index(20_000) },
        entry_bytes_target: if random.chance(500) { 256 << 10 } else { random.index(4_000) + 1 },
        message_bytes_max: if random.chance(500) { 1 << 20 } else { random.between(0, 8_000) },
        entries_under_way_max: if random.chance(500) { 256 } else { random.between(1, 4) },
        inflight_messages_max: if random.chance(500) { 256 } else { random.index(8) + 1 },
        hibernate_after_ticks: if random.chance(500) { 0 } else { random.index(30) + 1 },
        ..Config::default()
    };
    // What came later has streams of its own, so that older runs stay as they were.
    let mut later = Random::new(options.seed, "images");
    let apart = later.chance(500);
    let config = if scenario.images { with_early_cuts(config, &mut later) } else { config };
    WorldOptions {
        seed: options.seed,
        stores: scenario.stores,
        spares: scenario.spares,
        apart,
        regions: regions(scenario),
        config,
        drift_ppm_max: if scenario.drift { 45_000 } else { 100 },
        sink: options.sink.clone(),
        placement: None,
        hosts: None,
    }
}

/// Logs so short that followers fall behind them, and images in many chunks.
pub(crate) fn with_early_cuts(config: Config, random: &mut Random) -> Config {
    Config {
        log_entries_slack: random.between(2, 40),
        log_entries_max: random.between(3, 60),
        log_bytes_max: if random.chance(700) { config.log_bytes_max } else { random.between(500, 20_000) },
        images_ready_max: random.index(4) + 1,
        images_receiving_max: random.index(4) + 1,
        image_age_max: random.millis(50, 20_000),
        image_chunk_bytes: random.index(3_000) + 20,
        ..config
    }
}

pub(crate) fn regions(scenario: &Scenario) -> Vec<Region> {
    let mut bounds = vec![Bytes::new()];
    let splits = SPLITS.iter().take(scenario.regions.saturating_sub(1));
    bounds.extend(splits.map(|split| Key::encode(split.as_bytes()).into_encoded()));
    bounds.push(Bytes::new());
    (1..)
        .zip(bounds.iter().zip(bounds.iter().skip(1)))
        .map(|(id, (start, end))| Region {
            id,
            start_key: start.clone(),
            end_key: end.clone(),
            region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
            peers: (0..scenario.replicas)
                .map(
                    |number| {
                        if scenario.replicas == scenario.stores { number } else { (id + number) % scenario.stores }
                    },
                )
                .map(|number| Peer { id: id * 10 + number + 1, store_id: number + 1, ..Default::default() })
                .collect(),
            ..Default::default()
        })
        .collect()
}

/// Up, under faults, left alone, judged.
async fn phases(world: &Arc<World>, options: &RunOptions, random: &mut Random) -> Result<(), String> {
    world.oracle.start();
    if let Some(placement) = &world.options.placement {
        placement.start_all();
        within(LEADERS_WITHIN, "placement has a leader", || leaders(placement)).await?;
    }
    world.start_all();
    within(LEADERS_WITHIN, "every region has a leader", || leaders(world)).await?;
    let workloads = Workloads::new(world.clone());
    if options.scenario.clients == 0 {
        tokio::time::sleep(Duration::from_secs(options.seconds)).await;
        return Ok(());
    }
    let (client, _) = connect(world, 0, random);
    workloads.prepare(&client).await.map_err(|error| format!("in all quiet: {error}"))?;
    let actors = (1..=options.scenario.clients).map(|number| Actor::begin(&workloads, number, random.fork()));
    let faults = Faults::begin(&workloads, &options.scenario, actors.collect(), random);
    for _ in 0..options.seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.check_from_time_to_time();
        world.options.placement.iter().for_each(|placement| placement.check_from_time_to_time());
    }
    let actors = faults.end(world);
    if world.options.placement.is_none() {
        tokio::spawn(mend(world.clone()));
    }
    within(LEADERS_WITHIN, "every region has a leader again", || leaders(world)).await?;
    workloads.stopping.store(true, Ordering::Relaxed);
    let answers = async {
        for actor in actors {
            actor.ended().await?;
        }
        Ok::<(), String>(())
    };
    match tokio::time::timeout(ANSWERS_WITHIN, answers).await {
        Ok(ended) => ended?,
        Err(_) => return Err(format!("every request is answered: not within {ANSWERS_WITHIN:?}")),
    }
    heal(world, &workloads, &client).await?;
    world.check_replicas();
    if let Some(placement) = &world.options.placement {
        within(READ_AGAIN_AFTER, "placement's replicas are level", || placement.is_healed()).await?;
        placement.check_replicas();
    }
    workloads.judge();
    Ok(())
}

/// What an operator does who has lost machines: their peers are removed, until none is left.
async fn mend(world: Arc<World>) {
    loop {
        world.remove_lost_peers().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Reads everything until that succeeds, then waits until nothing is left undone. What clients sent before they died
/// may come seconds late and leave locks behind the reading: then everything is read again.
async fn heal(world: &Arc<World>, workloads: &Workloads, client: &nokv_client::Client) -> Result<(), String> {
    let begin = tokio::time::Instant::now();
    loop {
        read_everything(world, workloads, client).await?;
        match within(READ_AGAIN_AFTER, "replicas are level and no lock is left", || world.is_healed()).await {
            Err(missing) if begin.elapsed() > HEALED_WITHIN => return Err(missing),
            Err(_) => {}
            Ok(()) => return Ok(()),
        }
    }
}

async fn read_everything(
    world: &Arc<World>,
    workloads: &Workloads,
    client: &nokv_client::Client,
) -> Result<(), String> {
    let reading = async {
        while let Err(error) = workloads.read_all(client).await {
            world.note(format_args!("reading everything: {error}"));
            if !error.is_retryable() {
                return Err(format!("reading everything: {error}"));
            }
        }
        client.drain().await;
        Ok(())
    };
    let read = tokio::time::timeout(HEALED_WITHIN, reading).await;
    read.unwrap_or_else(|_| Err(format!("everything can be read: not within {HEALED_WITHIN:?}")))
}

/// Waits until `held` holds.
async fn within(limit: Duration, what: &str, held: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let begin = tokio::time::Instant::now();
    loop {
        match held() {
            Ok(()) => return Ok(()),
            Err(missing) if begin.elapsed() > limit => {
                return Err(format!("{what}: not within {limit:?}: {missing}"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn leaders(world: &World) -> Result<(), String> {
    for region in world.atlas.current() {
        let leads = |node: &Arc<Node>| node.handle.led_regions().iter().any(|led| led.0 == region.id);
        let count = world.nodes().iter().filter(|node| leads(node)).count();
        if count != 1 {
            return Err(format!("region {} has {count} leaders", region.id));
        }
    }
    Ok(())
}
