//! What is done, operation by operation: the mixes, and how one client draws its next operation.
//! YCSB's letters are as in Cooper et al. 2010, over transactions of one key.

use std::collections::BTreeSet;

use bytes::Bytes;
use clap::ValueEnum;
use rand::rngs::SmallRng;
use rand::{Rng, RngCore};

use crate::args::RunArgs;
use crate::keys::{Distribution, Keys, Side};

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Write one non-transactional key (etcd: Put).
    RawPut,
    /// Read one non-transactional key (etcd: a linearizable Range).
    RawGet,
    /// Read one key at a fresh timestamp (etcd: a linearizable Range).
    Get,
    /// Read one key at a timestamp drawn once before (etcd: a linearizable Range).
    GetAt,
    /// Read one key from whatever member is asked (etcd: a serializable Range; NoKV: as get-at).
    StaleGet,
    /// Read rows in order at a fresh timestamp.
    Scan,
    /// Write one key in a transaction (etcd: Put).
    TxnPut,
    /// Write several keys (`--rows`) in a transaction.
    Txn,
    /// Read a key and write it, in a transaction.
    ReadModifyWrite,
    /// Move an amount between two accounts, one on each side of the key `m`, in a transaction.
    Transfer,
    /// Half reads, half writes.
    YcsbA,
    /// 95 % reads, 5 % writes.
    YcsbB,
    /// Reads only.
    YcsbC,
    /// 95 % reads of the latest, 5 % writes.
    YcsbD,
    /// 95 % scans, 5 % writes.
    YcsbE,
    /// Half reads, half read-modify-writes.
    YcsbF,
}

impl Workload {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it works on non-transactional keys.
    pub fn is_raw(self) -> bool {
        matches!(self, Workload::RawPut | Workload::RawGet)
    }
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Write a non-transactional key.
    RawPut(Bytes, Bytes),
    /// Read a non-transactional key.
    RawGet(Bytes),
    /// Read at a fresh timestamp.
    Get(Bytes),
    /// Read at the run's timestamp.
    GetAt(Bytes),
    /// Read from any member.
    StaleGet(Bytes),
    /// Read so many rows from here.
    Scan(Bytes, usize),
    /// Write these in one transaction.
    Txn(Vec<(Bytes, Bytes)>),
    /// Read and write in one transaction.
    ReadModifyWrite(Bytes, Bytes),
    /// Move an amount in one transaction; the two keys differ.
    Transfer(Bytes, Bytes),
}

impl Operation {
    /// Whether its user would begin it again after a conflict, for it rests on what it has read.
    pub fn reads_what_it_writes(&self) -> bool {
        matches!(self, Operation::ReadModifyWrite(..) | Operation::Transfer(..))
    }
}

/// Draws one client's operations.
#[derive(Debug)]
pub struct Operations {
    workload: Workload,
    keys: Keys,
    rows: usize,
    value_bytes: usize,
}

impl Operations {
    /// The operations of one of `clients` clients.
    pub fn new(args: &RunArgs, workload: Workload, client: u64, clients: u64) -> Self {
        let distribution = if workload == Workload::YcsbD { Distribution::Latest } else { args.distribution };
        let first = args.keys / clients.max(1) * client;
        let keys = Keys::new(distribution, args.keys, args.key_bytes, first);
        Self { workload, keys, rows: args.rows, value_bytes: args.value_bytes }
    }

    /// The next one.
    pub fn draw(&mut self, random: &mut SmallRng) -> Operation {
        let key = self.keys.choose(random);
        let reads = |percent: u32, random: &mut SmallRng| random.random_ratio(percent, 100);
        match self.workload {
            Workload::RawPut => Operation::RawPut(key, self.value(random)),
            Workload::RawGet => Operation::RawGet(key),
            Workload::Get | Workload::YcsbC => Operation::Get(key),
            Workload::GetAt => Operation::GetAt(key),
            Workload::StaleGet => Operation::StaleGet(key),
            Workload::Scan => Operation::Scan(key, self.rows),
            Workload::Txn => self.transaction(random),
            Workload::ReadModifyWrite => Operation::ReadModifyWrite(key, self.value(random)),
            Workload::Transfer => self.transfer(random),
            Workload::YcsbA if reads(50, random) => Operation::Get(key),
            Workload::YcsbB | Workload::YcsbD if reads(95, random) => Operation::Get(key),
            Workload::YcsbE if reads(95, random) => Operation::Scan(key, random.random_range(1..=100)),
            Workload::YcsbF if reads(50, random) => Operation::Get(key),
            Workload::YcsbF => Operation::ReadModifyWrite(key, self.value(random)),
            Workload::TxnPut | Workload::YcsbA | Workload::YcsbB | Workload::YcsbD | Workload::YcsbE => {
                Operation::Txn(vec![(key, self.value(random))])
            }
        }
    }

    /// As many different keys as drawn; a key drawn twice is written once.
    fn transaction(&mut self, random: &mut SmallRng) -> Operation {
        let keys: BTreeSet<Bytes> = (0..self.rows.max(1)).map(|_| self.keys.choose(random)).collect();
        Operation::Txn(keys.into_iter().map(|key| (key, self.value(random))).collect())
    }

    /// One account on each side of `m`, so that the transfer spans two regions; either may be the giver.
    fn transfer(&mut self, random: &mut SmallRng) -> Operation {
        let (low, high) = (self.keys.choose_on(Side::Low, random), self.keys.choose_on(Side::High, random));
        if random.random() { Operation::Transfer(low, high) } else { Operation::Transfer(high, low) }
    }

    fn value(&self, random: &mut SmallRng) -> Bytes {
        value(self.value_bytes, random)
    }
}

/// A value that does not compress, so that no disk is spared.
pub fn value(bytes: usize, random: &mut SmallRng) -> Bytes {
    let mut value = vec![0; bytes];
    random.fill_bytes(&mut value);
    Bytes::from(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use rand::SeedableRng as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    fn draw(workload: Workload, count: usize) -> Vec<Operation> {
        let args = Line::parse_from(["bench", "--target", "none:", "--keys", "1000", "--rows", "5"]).run;
        let mut operations = Operations::new(&args, workload, 0, 1);
        let mut random = SmallRng::seed_from_u64(7);
        (0..count).map(|_| operations.draw(&mut random)).collect()
    }

    #[test]
    fn a_transfer_spans_two_regions_in_both_directions() {
        let givers_low = draw(Workload::Transfer, 1_000).into_iter().filter(|operation| match operation {
            Operation::Transfer(from, to) => {
                assert_ne!(from[0], to[0], "both sides of m");
                from < to
            }
            other => panic!("{other:?}"),
        });
        assert!((400..600).contains(&givers_low.count()));
    }

    #[test]
    fn a_transaction_has_different_keys() {
        for operation in draw(Workload::Txn, 100) {
            let Operation::Txn(pairs) = operation else { panic!("{operation:?}") };
            assert!((1..=5).contains(&pairs.len()));
            assert!(pairs.windows(2).all(|two| two[0].0 < two[1].0));
        }
    }

    #[test]
    fn mixes_have_their_shares() {
        let reads = |workload| {
            let drawn = draw(workload, 1_000).into_iter();
            drawn.filter(|operation| matches!(operation, Operation::Get(_) | Operation::Scan(..))).count()
        };
        assert!((450..550).contains(&reads(Workload::YcsbA)));
        assert!((930..970).contains(&reads(Workload::YcsbB)));
        assert_eq!(reads(Workload::YcsbC), 1_000);
        assert!((930..970).contains(&reads(Workload::YcsbE)));
        assert!((450..550).contains(&reads(Workload::YcsbF)));
    }

    #[test]
    fn values_have_their_size_and_do_not_repeat() {
        let mut random = SmallRng::seed_from_u64(1);
        let (one, two) = (value(256, &mut random), value(256, &mut random));
        assert_eq!((one.len(), two.len()), (256, 256));
        assert_ne!(one, two);
    }
}
