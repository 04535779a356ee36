//! Imports of the in-memory engine: a batch of puts that becomes durable when it is finished. Taking it in and clearing
//! are several writes, one for each column family, as they are in RocksDB, so that a failing sync leaves only some.

use super::engine::{Disk, MemoryEngine};
use crate::import::{NO_SUCH_IMPORT, OrderCheck};
use crate::{Cf, Importer, KeyRange, Result, WriteBatch, WriteOp};

/// See [`MemoryEngine`].
#[derive(Debug)]
pub(super) struct MemoryImporter {
    engine: MemoryEngine,
    name: String,
    order: OrderCheck,
    puts: WriteBatch,
}

impl MemoryImporter {
    pub(super) fn new(engine: MemoryEngine, name: &str) -> Self {
        Self { engine, name: name.to_owned(), order: OrderCheck::default(), puts: WriteBatch::new() }
    }
}

impl Importer for MemoryImporter {
    fn add(&mut self, cf: Cf, key: &[u8], value: &[u8]) -> Result<()> {
        self.order.admit(cf, key)?;
        self.puts.put(cf, key, value);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut disk = self.engine.disk.write();
        disk.check_alive(self.engine.incarnation)?;
        disk.imports.insert(self.name, self.puts);
        Ok(())
    }
}

impl Disk {
    pub(super) fn ingest(&mut self, name: &str, clear: &[KeyRange<'_>]) -> Result<()> {
        let puts = self.imports.get(name).cloned().ok_or(NO_SUCH_IMPORT)?;
        for range in clear {
            self.clear(*range)?;
        }
        for wanted in Cf::DATA {
            let mut batch = WriteBatch::new();
            for op in puts.ops() {
                if let WriteOp::Put { cf, key, value } = op?
                    && cf == wanted
                {
                    batch.put(cf, key, value);
                }
            }
            if !batch.is_empty() {
                self.write(&batch, false)?;
            }
        }
        self.write(&WriteBatch::new(), true)
    }

    pub(super) fn clear(&mut self, range: KeyRange<'_>) -> Result<()> {
        for cf in Cf::DATA {
            let Some(end) = self.visible.end_of(cf, range) else { continue };
            let mut batch = WriteBatch::new();
            batch.delete_range(cf, range.start, &end);
            self.write(&batch, false)?;
        }
        Ok(())
    }
}
