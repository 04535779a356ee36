//! Reads one key at a point in time: one look at the lock, one bounded seek among the records, and one more read only
//! if the value is large.

use nokv_engine::ReadView;

use crate::effects::load_lock;
use crate::versions::find_value;
use crate::{Found, Key, ReadPoint, Reply, Result};

/// Reads one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Get {
    /// The key.
    pub key: Key,
    /// The point in time.
    pub read: ReadPoint,
}

impl Get {
    /// The value and when it was committed; `None` if the key has none.
    ///
    /// Replies [`KeyError::Locked`](crate::KeyError::Locked) if an unfinished transaction may yet change what is seen.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<Reply<Option<Found>>> {
        read_key(view, &self.key, &self.read)
    }
}

pub(crate) fn read_key<V: ReadView>(view: &V, key: &Key, read: &ReadPoint) -> Result<Reply<Option<Found>>> {
    if read.respects_locks()
        && let Some(lock) = load_lock(view, key)?
        && let Err(error) = read.check_lock(key, &lock)?
    {
        return Ok(Err(error));
    }
    Ok(Ok(find_value(view, key, read.version)?))
}
