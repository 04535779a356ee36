//! Reads a region out of a view in chunks. Between two chunks it remembers only where it was, so that a slow receiver
//! holds no iterator.

use std::sync::Arc;

use bytes::Bytes;
use nokv_engine::{Cf, Cursor as _, KeyRange, ReadView, Result, WriteBatch};
use nokv_proto::metapb::Region;
use nokv_transport::ImageSource;

use super::ImageContent;
use super::chunk::{self, Counting};

/// A region's data in a view.
pub(super) struct ViewContent<V> {
    shared: Arc<(V, Region)>,
}

impl<V: ReadView> ViewContent<V> {
    pub(super) fn new(view: V, region: Region) -> Self {
        Self { shared: Arc::new((view, region)) }
    }

    pub(super) fn region(&self) -> &Region {
        &self.shared.1
    }
}

impl<V: ReadView> ImageContent for ViewContent<V> {
    fn open(&self, chunk_bytes: usize) -> Box<dyn ImageSource> {
        let start = self.region().start_key.to_vec();
        let counting = Counting::default();
        Box::new(ViewSource { shared: self.shared.clone(), chunk_bytes, at: Some((0, start)), ended: false, counting })
    }
}

/// A reading.
struct ViewSource<V> {
    shared: Arc<(V, Region)>,
    chunk_bytes: usize,
    /// Column family (as its place in `Cf::DATA`) and first key not read yet; `None` = all is read.
    at: Option<(usize, Vec<u8>)>,
    ended: bool,
    counting: Counting,
}

impl<V: ReadView> ViewSource<V> {
    /// The next batch, empty at the end.
    fn read(&mut self) -> Result<(WriteBatch, u64)> {
        let (mut batch, mut records) = (WriteBatch::new(), 0);
        let (view, region) = self.shared.as_ref();
        while let Some((number, start)) = self.at.take() {
            let Some(cf) = Cf::DATA.get(number).copied() else { break };
            let mut cursor = view.cursor(cf, KeyRange::new(&start, &region.end_key))?;
            cursor.seek_to_first()?;
            while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
                if batch.encoded_bytes() >= self.chunk_bytes {
                    self.at = Some((number, key.to_vec()));
                    return Ok((batch, records));
                }
                batch.put(cf, key, value);
                records += 1;
                cursor.next()?;
            }
            self.at = Some((number + 1, region.start_key.to_vec()));
        }
        Ok((batch, records))
    }
}

impl<V: ReadView> ImageSource for ViewSource<V> {
    fn next_chunk(&mut self) -> std::result::Result<Option<Bytes>, String> {
        if self.ended {
            return Ok(None);
        }
        let (batch, records) = self.read().map_err(|error| error.to_string())?;
        if batch.is_empty() {
            self.ended = true;
            return Ok(Some(chunk::end(self.counting.totals())));
        }
        self.counting.add(batch.as_slice(), records);
        Ok(Some(chunk::data(batch.as_slice())))
    }
}

impl<V> std::fmt::Debug for ViewSource<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ViewSource").field("region", &self.shared.1.id).field("at", &self.at).finish_non_exhaustive()
    }
}
