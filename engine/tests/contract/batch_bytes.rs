//! The encoded form of a write batch: whatever goes in comes out, and what is not a whole batch is refused, never
//! read past its end.

use nokv_engine::{Cf, Error, WriteBatch, WriteOp, WriteOps};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::random::{Op, any_op, batch_of, for_each};

fn owned(op: WriteOp<'_>) -> Op {
    match op {
        WriteOp::Put { cf, key, value } => Op::Put(cf, key.to_vec(), value.to_vec()),
        WriteOp::Delete { cf, key } => Op::Delete(cf, key.to_vec()),
        WriteOp::DeleteRange { cf, start, end } => Op::DeleteRange(cf, start.to_vec(), end.to_vec()),
    }
}

#[test]
fn the_bytes_are_these() {
    let mut batch = WriteBatch::new();
    batch.put(Cf::Write, b"k", b"vv");
    batch.delete(Cf::Lock, b"");
    batch.delete_range(Cf::Raft, b"a", b"c");
    let expected = b"\x02\x01\0\0\0k\x02\0\0\0vv\x11\0\0\0\0\x24\x01\0\0\0a\x01\0\0\0c";
    assert_eq!(batch.as_slice(), expected);
    assert_eq!(batch.encoded_bytes(), expected.len());
    assert_eq!(batch.into_bytes(), expected.as_slice());
}

#[test]
fn what_goes_in_comes_out() {
    for_each(512, vec(any_op(), 0..12), |ops| {
        let batch = batch_of(&ops);
        let decoded = WriteBatch::decode(batch.as_slice()).unwrap();
        prop_assert_eq!(&decoded, &batch);
        prop_assert_eq!(decoded.is_empty(), ops.is_empty());
        let read: Vec<Op> = decoded.ops().map(|op| owned(op.unwrap())).collect();
        prop_assert_eq!(read, ops);
        Ok(())
    });
}

#[test]
fn appending_is_concatenation_and_clearing_empties() {
    for_each(256, (vec(any_op(), 0..8), vec(any_op(), 0..8)), |(first, second)| {
        let mut batch = batch_of(&first);
        batch.append(&batch_of(&second));
        prop_assert_eq!(&batch, &batch_of(&[first, second].concat()));
        batch.clear();
        prop_assert!(batch.is_empty());
        prop_assert_eq!(batch.encoded_bytes(), 0);
        Ok(())
    });
}

#[test]
fn a_truncated_batch_is_refused_or_ends_with_a_whole_operation() {
    for_each(256, vec(any_op(), 1..8), |ops| {
        let batch = batch_of(&ops);
        let whole_ends: Vec<usize> = (0..=ops.len()).map(|count| batch_of(&ops[..count]).encoded_bytes()).collect();
        for cut in 0..batch.encoded_bytes() {
            let decoded = WriteBatch::decode(&batch.as_slice()[..cut]);
            if whole_ends.contains(&cut) {
                prop_assert_eq!(decoded.unwrap().into_bytes(), &batch.as_slice()[..cut]);
            } else {
                prop_assert_eq!(decoded.unwrap_err(), Error::Corrupt { what: "write batch" });
            }
        }
        Ok(())
    });
}

#[test]
fn garbage_is_read_to_its_end_at_most_and_only_once_wrong() {
    for_each(2048, vec(any::<u8>(), 0..64), |garbage| {
        let ops: Vec<_> = WriteOps::new(&garbage).collect();
        let errors = ops.iter().filter(|op| op.is_err()).count();
        prop_assert_eq!(WriteBatch::decode(&garbage).is_err(), errors == 1);
        prop_assert!(errors == 0 || (errors == 1 && ops.last().is_some_and(Result::is_err)));
        if errors == 0 {
            let ops: Vec<Op> = ops.into_iter().map(|op| owned(op.unwrap())).collect();
            prop_assert_eq!(batch_of(&ops).into_bytes(), garbage, "one encoding for each batch");
        }
        Ok(())
    });
}

#[test]
fn an_unknown_tag_or_column_family_is_refused() {
    for tag in [0x05u8, 0x0f, 0x15, 0x30, 0xf0] {
        let bytes = [[tag].as_slice(), b"\x01\0\0\0k\x01\0\0\0v"].concat();
        assert_eq!(WriteBatch::decode(&bytes).unwrap_err(), Error::Corrupt { what: "write batch" }, "tag {tag:#x}");
    }
}
