//! What every request must carry before anything is done with it. What is missing or impossible is the client's
//! mistake:
//! `InvalidArgument`, with a text that names it.

use nokv_percolator::{Isolation, Key, ReadPoint, Timestamp};
use nokv_proto::kvrpcpb;
use nokv_raftstore::RequestContext;
use nokv_transport::RegionId;
use tonic::Status;

/// The longest key that is written, in bytes. A key is repeated in locks, records and errors, and stays small enough
/// for many to share a log entry.
pub(super) const KEY_BYTES_MAX: usize = 64 << 10;

/// Where a request wants to go.
pub(super) fn request_context(context: Option<&kvrpcpb::Context>) -> Result<RequestContext, Status> {
    let Some(context) = context else {
        return Err(Status::invalid_argument("the request has no context; it needs one with region_id and peer"));
    };
    if context.region_id == 0 {
        return Err(Status::invalid_argument("the request's context has no region_id"));
    }
    Ok(RequestContext {
        region_id: RegionId(context.region_id),
        epoch: context.region_epoch,
        peer: context.peer,
        term: context.term,
        // Where its timestamp is not known to be settled, a stale read is served as any replica serves.
        replica_read: context.replica_read || context.stale_read,
        stale_read: context.stale_read,
    })
}

/// The point at which a read takes place.
pub(super) fn read_point(context: Option<&kvrpcpb::Context>, version: u64) -> ReadPoint {
    let isolation = match context.map(kvrpcpb::Context::isolation_level) {
        Some(kvrpcpb::IsolationLevel::Rc) => Isolation::ReadCommitted,
        _ => Isolation::Snapshot,
    };
    let resolved = context.map(|context| context.resolved_locks.as_slice()).unwrap_or_default();
    let bypass_locks = resolved.iter().copied().map(Timestamp).collect();
    ReadPoint { version: Timestamp(version), isolation, bypass_locks }
}

/// Refuses keys that can never be written; `what` says which field holds it.
pub(super) fn check_write_key(key: &[u8], what: &str) -> Result<(), Status> {
    if key.is_empty() {
        return Err(Status::invalid_argument(format!("{what} is empty; a key to write has at least one byte")));
    }
    if key.len() > KEY_BYTES_MAX {
        let text = format!("{what} has {} bytes; a key has at most {KEY_BYTES_MAX}", key.len());
        return Err(Status::invalid_argument(text));
    }
    Ok(())
}

/// Keys to write, encoded.
pub(super) fn write_keys<K: AsRef<[u8]>>(keys: &[K], what: &str) -> Result<Vec<Key>, Status> {
    let encode = |(at, key): (usize, &K)| {
        check_write_key(key.as_ref(), &format!("{what}[{at}]"))?;
        Ok(Key::encode(key.as_ref()))
    };
    keys.iter().enumerate().map(encode).collect()
}
