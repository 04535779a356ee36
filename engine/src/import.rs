//! The seam for data that comes in bulk (a replica's image) or goes in bulk (a replica that leaves): prepared aside and
//! made durable first, then taken in at once. Taking in can be repeated until the caller says that it is done.

use std::fmt::Debug;

use crate::{Cf, Result};

/// Data that is being prepared aside. Dropping it unfinished leaves nothing behind, at the latest after a restart.
pub trait Importer: Debug + Send {
    /// Adds a key, which must be above those that were added for the same column family.
    ///
    /// # Errors
    /// [`crate::Error::Corrupt`] for a key out of order, or one of [`Cf::Raft`]: the caller's input is broken, the
    /// engine is not. [`crate::Error::Disk`] if the disk takes no more: give the import up; the engine itself goes on.
    fn add(&mut self, cf: Cf, key: &[u8], value: &[u8]) -> Result<()>;

    /// Makes it durable under its name: from now on it survives a crash, until it is discarded.
    ///
    /// # Errors
    /// As [`Importer::add`]; then there is no such import.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// The error for a key that does not belong where it comes.
pub(crate) const OUT_OF_ORDER: crate::Error = crate::Error::Corrupt { what: "import: a key out of order" };

/// The error for a name that no import has.
pub(crate) const NO_SUCH_IMPORT: crate::Error = crate::Error::Corrupt { what: "import: there is none of that name" };

/// Remembers the last key of each column family, to hold the order.
#[derive(Debug, Default)]
pub(crate) struct OrderCheck {
    last: [Option<Vec<u8>>; Cf::DATA.len()],
}

impl OrderCheck {
    /// Whether `key` may come next; remembers it if so.
    pub(crate) fn admit(&mut self, cf: Cf, key: &[u8]) -> Result<()> {
        let last = self.last.get_mut(cf as usize).ok_or(OUT_OF_ORDER)?;
        match last {
            Some(last) if last.as_slice() >= key => return Err(OUT_OF_ORDER),
            Some(last) => {
                last.clear();
                last.extend_from_slice(key);
            }
            None => *last = Some(key.to_vec()),
        }
        Ok(())
    }
}
