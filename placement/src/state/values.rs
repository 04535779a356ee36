//! Small things that clients keep in placement with etcd's calls, such as where their own garbage collector stands.
//! It is no store for users' data: there is little room, on purpose.

use bytes::Bytes;
use nokv_engine::WriteBatch;

use super::records::Records;
use super::{Refusal, Reply, State};

/// The most keys.
const VALUES_MAX: usize = 1_000;
/// The most bytes of a key and its value.
const VALUE_BYTES_MAX: usize = 64 << 10;

impl State {
    pub(super) fn put_value(&mut self, key: Bytes, value: Bytes, batch: &mut WriteBatch) -> Result<Reply, Refusal> {
        if key.is_empty() || key.len() + value.len() > VALUE_BYTES_MAX {
            return Err(Refusal::Wrong("a key that is kept here is not empty, and with its value not above 64 KiB"));
        }
        if !self.values.contains_key(&key) && self.values.len() >= VALUES_MAX {
            return Err(Refusal::Full { what: "values", count: VALUES_MAX });
        }
        Records(batch).value(&key, &value);
        self.values.insert(key, value);
        Ok(Reply::Done)
    }
}
