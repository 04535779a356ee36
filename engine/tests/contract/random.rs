//! Random cases from a fixed seed: every run tries the same ones.
//! A failure prints the smallest case that fails.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use nokv_engine::{Cf, WriteBatch};

/// Runs `test` on `cases` values of `strategy`.
pub fn for_each<S>(cases: u32, strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S: Strategy<Value: Debug>,
{
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    if let Err(failure) = runner.run(&strategy, test) {
        panic!("{failure}");
    }
}

/// One operation of a batch, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Put(Cf, Vec<u8>, Vec<u8>),
    Delete(Cf, Vec<u8>),
    DeleteRange(Cf, Vec<u8>, Vec<u8>),
}

/// The batch with these operations.
pub fn batch_of(ops: &[Op]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for op in ops {
        match op {
            Op::Put(cf, key, value) => batch.put(*cf, key, value),
            Op::Delete(cf, key) => batch.delete(*cf, key),
            Op::DeleteRange(cf, start, end) => batch.delete_range(*cf, start, end),
        }
    }
    batch
}

pub fn any_cf() -> impl Strategy<Value = Cf> {
    proptest::sample::select(Cf::ALL.to_vec())
}

/// Keys that often collide, touch and contain one another; many look like a record of an encoded user key.
pub fn any_key() -> impl Strategy<Value = Vec<u8>> {
    let byte = proptest::sample::select(vec![0x00, 0x01, b'a', 0xfe, 0xff]);
    let encoded = proptest::sample::select(vec![
        b"k\0\0\0\0\0\0\0\xf8".to_vec(),
        b"kk\0\0\0\0\0\0\xf9".to_vec(),
        b"kkkkkkkk\xff\0\0\0\0\0\0\0\0\xf7".to_vec(),
    ]);
    let short = vec(byte.clone(), 0..4);
    let record = (encoded, vec(byte, 0..3)).prop_map(|(key, suffix)| [key, suffix].concat());
    prop_oneof![short, record]
}

pub fn any_value() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..24)
}

pub fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any_cf(), any_key(), any_value()).prop_map(|(cf, key, value)| Op::Put(cf, key, value)),
        2 => (any_cf(), any_key()).prop_map(|(cf, key)| Op::Delete(cf, key)),
        1 => (any_cf(), any_key(), any_key()).prop_map(|(cf, start, end)| Op::DeleteRange(cf, start, end)),
    ]
}
