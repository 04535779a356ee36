//! Random lives of regions, from a seed: they are written, split, merged, moved and led by others, while stores crash
//! and messages are lost. In the end all faults stop, and then nothing may be missing, double or different.

mod act;
mod check;
pub mod sleep;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_channel::oneshot::Receiver;
use nokv_raftstore::{Config, RegionError, RegionExt as _};
use nokv_transport::memory::LinkFaults;

use crate::cluster::Cluster;

/// How much happens in one life.
const STEPS: usize = 160;

/// What is known of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It must be there.
    Acknowledged,
    /// It may be there or not.
    Unknown,
    /// It must not be there.
    Refused,
}

/// What came of the changes that were asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub splits: usize,
    pub merges: usize,
    pub rolled_back: usize,
    pub members: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.splits += other.splits;
        self.merges += other.merges;
        self.rolled_back += other.rolled_back;
        self.members += other.members;
    }
}

/// A request under way.
struct Request {
    what: What,
    name: String,
    told: Receiver<Result<(), RegionError>>,
}

enum What {
    Put(Vec<u8>),
    Split,
    Merge,
    Members,
}

/// One life of a cluster.
pub struct Life {
    cluster: Cluster,
    random: fastrand::Rng,
    requests: Vec<Request>,
    /// Every key that was ever written, each once.
    writes: BTreeMap<Vec<u8>, Fate>,
    /// Ids never used before.
    next_id: u64,
    down: Vec<u64>,
    tally: Tally,
    trace: Vec<String>,
}

/// Lives the life of `seed`.
///
/// # Errors
/// What is wrong, with everything that was done.
pub fn live(seed: u64) -> Result<Tally, String> {
    let mut life = Life::begin(seed);
    // A store that cannot go on panics; what led to it is wanted all the same.
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| life.run()));
    let outcome = caught.unwrap_or_else(|_| Err("a store could not go on".to_owned()));
    match outcome {
        Ok(()) => Ok(life.tally),
        Err(error) => Err(format!("seed {seed}: {error}\n{}\n{}", life.trace.join("\n"), life.show())),
    }
}

impl Life {
    fn begin(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let config = Config {
            seed,
            log_entries_slack: random.u64(5..60),
            log_entries_max: random.u64(10..80),
            image_chunk_bytes: 64,
            // Some fall asleep in between.
            hibernate_after_ticks: if seed % 4 == 2 { 3 } else { 0 },
            ..Config::default()
        };
        let mut cluster = Cluster::new(3, &[b"k3", b"k6"], config);
        cluster.join(4);
        Self {
            cluster,
            random,
            requests: Vec::new(),
            writes: BTreeMap::new(),
            next_id: 1_000,
            down: Vec::new(),
            tally: Tally::default(),
            trace: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<(), String> {
        self.pass(Duration::from_millis(3_000))?;
        for _ in 0..STEPS {
            self.act();
            let ms = if self.random.u8(0..8) == 0 { self.random.u64(100..1_500) } else { self.random.u64(0..40) };
            self.pass(Duration::from_millis(ms))?;
        }
        self.heal();
        for _ in 0..400 {
            self.pass(Duration::from_millis(250))?;
            if self.whole().is_ok() {
                break;
            }
        }
        self.whole()?;
        self.nothing_lost()
    }

    /// Lets time pass, hears what became of requests, and looks whether anything is as it must never be.
    fn pass(&mut self, duration: Duration) -> Result<(), String> {
        self.cluster.run(duration);
        self.hear();
        self.never()
    }

    fn hear(&mut self) {
        let mut open = Vec::new();
        for mut request in std::mem::take(&mut self.requests) {
            let fate = match request.told.try_recv() {
                Ok(None) => {
                    open.push(request);
                    continue;
                }
                Ok(Some(Ok(()))) => Fate::Acknowledged,
                Ok(Some(Err(RegionError::StaleCommand))) | Err(_) => Fate::Unknown,
                Ok(Some(Err(error))) => {
                    let rolled_back =
                        matches!(&error, RegionError::MergeRefused { reason, .. } if reason.contains("rolled back"));
                    self.tally.rolled_back += usize::from(rolled_back);
                    self.note(format!("{}: {error}", request.name));
                    Fate::Refused
                }
            };
            let done = usize::from(fate == Fate::Acknowledged);
            match request.what {
                What::Put(key) => {
                    self.writes.insert(key, fate);
                    continue;
                }
                What::Split => self.tally.splits += done,
                What::Merge => self.tally.merges += done,
                What::Members => self.tally.members += done,
            }
            if fate != Fate::Refused {
                self.note(format!("{}: {fate:?}", request.name));
            }
        }
        self.requests = open;
    }

    /// All replicas on all stores.
    fn show(&mut self) -> String {
        let mut out = String::new();
        for node in self.cluster.up() {
            for status in node.handle.regions() {
                let (state, key) = (&status.state, |key: &[u8]| String::from_utf8_lossy(key).into_owned());
                let region = &state.region;
                let (start, end, epoch) = (key(&region.start_key), key(&region.end_key), region.epoch());
                let members: Vec<u64> = region.peers.iter().map(|peer| peer.id).collect();
                out.push_str(&format!(
                    "store {}: region {} [{start},{end}) v{} c{} peer {} {:?} term {} applied {} committed {} last {} \
                     of {members:?}\n",
                    node.store,
                    region.id,
                    epoch.version,
                    epoch.conf_ver,
                    state.peer.id,
                    state.role,
                    state.term,
                    status.applied_index,
                    status.committed_index,
                    status.last_index,
                ));
            }
        }
        out
    }

    fn heal(&mut self) {
        self.note("heal".to_owned());
        self.cluster.network.heal();
        self.cluster.network.set_faults_everywhere(quiet());
        for store in std::mem::take(&mut self.down) {
            self.cluster.start(store);
        }
    }

    fn note(&mut self, what: String) {
        let now = nokv_raftstore::Clock::now(self.cluster.clock.as_ref()).0 / 1_000_000;
        self.trace.push(format!("{now:>7} ms  {what}"));
    }
}

fn quiet() -> LinkFaults {
    LinkFaults::delay(Duration::from_millis(1), Duration::from_millis(1))
}
