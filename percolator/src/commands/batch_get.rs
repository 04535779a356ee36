//! Reads several keys at one point in time.
//! A key that is locked answers for itself only.

use nokv_engine::ReadView;

use super::Pair;
use super::get::read_key;
use crate::effects::user_key;
use crate::{Key, ReadPoint, Result};

/// Reads several keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchGet {
    /// The keys; the caller bounds their number.
    pub keys: Vec<Key>,
    /// The point in time.
    pub read: ReadPoint,
}

impl BatchGet {
    /// A pair for each key that has a value or is locked, in the order in which they were asked for.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<Vec<Pair>> {
        let mut pairs = Vec::with_capacity(self.keys.len());
        for key in &self.keys {
            if let Some(result) = read_key(view, key, &self.read)?.transpose() {
                pairs.push(Pair { key: user_key(key)?, result });
            }
        }
        Ok(pairs)
    }
}
