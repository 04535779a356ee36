//! What clients do, in the client crate's own words, and what they saw of it. Each workload is a file: its operations,
//! its part of the history, and how the checker of the same name judges it.
//!
//! An operation is written down when it is called, as one whose outcome is unknown; so a client that dies, or never
//! hears of an answer, needs no special care.
//!
//! | file | what |
//! | --- | --- |
//! | `register.rs`, `raw.rs` | single keys, in transactions of their own and raw |
//! | `bank.rs`, `append.rs`, `sequential.rs` | transactions over regions |
//! | `long_reads.rs` | snapshots that are kept for long |
//! | `client.rs` | who does all that, and dies of it |

mod append;
mod bank;
mod client;
mod long_reads;
mod raw;
mod register;
mod sequential;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nokv_client::{Client, Error};

use crate::random::Random;
use crate::world::World;

pub use append::Lists;
pub use bank::Bank;
pub use client::{Actor, connect};
pub use raw::RawKeys;
pub use register::Registers;
pub use sequential::Inserts;

/// First letters of keys, one in each of up to four regions.
pub const LETTERS: [&str; 4] = ["b", "h", "p", "w"];

/// All workloads of a run and their histories.
#[derive(Debug)]
pub struct Workloads {
    /// The world that they run in.
    pub world: Arc<World>,
    /// Clients begin nothing new.
    pub stopping: AtomicBool,
    registers: Registers,
    bank: Bank,
    lists: Lists,
    inserts: Inserts,
    raw_keys: RawKeys,
    unique: AtomicU64,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It certainly had no effect and never will.
    Without,
    /// Nobody knows.
    Unknown,
}

impl Workloads {
    /// No history yet.
    pub fn new(world: Arc<World>) -> Arc<Self> {
        Arc::new(Workloads {
            world,
            stopping: AtomicBool::new(false),
            registers: Registers::default(),
            bank: Bank::default(),
            lists: Lists::default(),
            inserts: Inserts::default(),
            raw_keys: RawKeys::default(),
            unique: AtomicU64::new(0),
        })
    }

    /// Before anything goes wrong: what workloads need to be there.
    ///
    /// # Errors
    /// The client's.
    pub async fn prepare(&self, client: &Client) -> Result<(), Error> {
        self.bank.open_accounts(client).await
    }

    /// One operation of one client. Now and then, all clients only read for a while: a leader that nobody writes to has
    /// followers that are all level, and holds its lease by asking them.
    pub async fn operate(&self, client: &Client, number: u64, random: &mut Random) {
        if self.only_reads() {
            if let Err(error) = self.read_something(client, random).await {
                self.ended("read", &error);
            }
            self.world.counts.operations.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match random.below(100) {
            0..25 => self.registers.operate(self, client, random).await,
            25..50 => self.bank.operate(self, client, random).await,
            50..75 => self.lists.operate(self, client, random).await,
            75..90 => self.inserts.operate(self, client, number, random).await,
            90..97 => self.raw_keys.operate(self, client, random).await,
            _ => long_reads::operate(self, client, random).await,
        }
        self.world.counts.operations.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this is a spell of reads: one of three, of a length that the seed decides.
    fn only_reads(&self) -> bool {
        let spell_ms = 1_000 + self.world.options.seed % 4_000;
        u64::try_from(self.world.now().as_millis()).unwrap_or(0) / spell_ms % 3 == 2
    }

    async fn read_something(&self, client: &Client, random: &mut Random) -> Result<(), Error> {
        match random.below(3) {
            0 => self.bank.read_all(self, client).await,
            1 => self.lists.read_newest(self, client).await,
            _ => self.registers.read_all(self, client).await,
        }
    }

    /// Reads everything once. Resolves every lock by that.
    ///
    /// # Errors
    /// The client's: ask again.
    pub async fn read_all(&self, client: &Client) -> Result<(), Error> {
        self.registers.read_all(self, client).await?;
        self.bank.read_all(self, client).await?;
        self.lists.read_all(self, client).await?;
        self.inserts.read_all(self, client).await?;
        self.raw_keys.read_all(self, client).await
    }

    /// Judges the histories.
    pub fn judge(&self) {
        self.world.expect("registers are linearizable", self.registers.judge());
        self.world.expect("the bank's sum never changes", self.bank.judge());
        self.world.expect("transactions are strong snapshot isolation", self.lists.judge());
        self.world.expect("inserts appear in order", self.inserts.judge());
        self.world.expect("raw writes stay", self.raw_keys.judge());
    }

    /// What an error means for the operation `name`.
    pub(crate) fn ended(&self, name: &str, error: &Error) -> Ended {
        self.world.note(format_args!("{name}: {error}"));
        match error {
            Error::Aborted { .. } | Error::Unavailable { .. } | Error::Locked { .. } => {
                self.world.counts.refused.fetch_add(1, Ordering::Relaxed);
                Ended::Without
            }
            Error::Undetermined { .. } => {
                self.world.counts.unknown.fetch_add(1, Ordering::Relaxed);
                Ended::Unknown
            }
            // A read that takes longer than the safe point is behind.
            Error::Refused { .. } if error.to_string().contains("below the safe point") => {
                self.world.counts.refused.fetch_add(1, Ordering::Relaxed);
                Ended::Without
            }
            // Nothing else that the workloads do may be refused for good.
            Error::InvalidInput(_) | Error::Refused { .. } | Error::Protocol(_) => {
                self.world.violate("good requests are served", format!("{name}: {error}"));
                Ended::Unknown
            }
        }
    }

    /// A number above 0 that nobody else gets.
    pub(crate) fn unique(&self) -> u64 {
        self.unique.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The text of a value: its number and, sometimes, so much behind it that it is kept apart from its record.
pub(crate) fn value_of(number: u64, random: &mut Random) -> String {
    let padding = if random.chance(150) { random.index(700) } else { 0 };
    format!("{number}:{}", "x".repeat(padding))
}

/// The number in a value's text.
pub(crate) fn number_in(value: &[u8]) -> Option<u64> {
    let digits = value.split(|byte| *byte == b':').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The letter for the `index`-th thing of its kind, so that things spread over regions.
pub(crate) fn letter(index: u64) -> &'static str {
    let index = usize::try_from(index).unwrap_or(0) % LETTERS.len();
    LETTERS.get(index).copied().unwrap_or("b")
}

/// A pause between two operations of a client.
pub(crate) async fn think(random: &mut Random) {
    let pause = if random.chance(100) { random.millis(50, 500) } else { random.millis(0, 30) };
    tokio::time::sleep(pause.max(Duration::from_micros(1))).await;
}
