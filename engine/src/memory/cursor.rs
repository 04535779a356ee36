//! A cursor over one persistent map. Walking on in one direction is a step of the map's own iterator; turning round
//! or seeking descends from the root again.

use std::fmt;
use std::ops::Bound;

use bytes::Bytes;
use imbl::shared_ptr::DefaultSharedPtr;

use super::tables::Table;
use crate::{Cursor, KeyRange, Result};

type Walk<'a> = imbl::ordmap::RangedIter<'a, Bytes, Bytes, DefaultSharedPtr>;

/// See [`crate::MemoryEngine`].
pub struct MemoryCursor<'a> {
    table: &'a Table,
    start: Bytes,
    /// Empty: no upper bound.
    end: Bytes,
    position: Option<(&'a Bytes, &'a Bytes)>,
    walk: Heading<'a>,
}

/// The iterator that stands just beyond the position, and the way it goes.
enum Heading<'a> {
    Nowhere,
    Forward(Walk<'a>),
    Backward(Walk<'a>),
}

impl<'a> MemoryCursor<'a> {
    pub(super) fn new(table: &'a Table, range: KeyRange<'_>) -> Self {
        let (start, end) = (Bytes::copy_from_slice(range.start), Bytes::copy_from_slice(range.end));
        Self { table, start, end, position: None, walk: Heading::Nowhere }
    }

    /// Goes to the first key within `low` and the range's end.
    fn forward_from(&mut self, low: Bound<&[u8]>) {
        let end = if self.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(self.end.as_ref()) };
        self.walk = self.walk(low, end).map_or(Heading::Nowhere, Heading::Forward);
        self.step();
    }

    /// Goes to the last key within the range's start and `high`.
    fn backward_from(&mut self, high: Bound<&[u8]>) {
        self.walk = self.walk(Bound::Included(&self.start), high).map_or(Heading::Nowhere, Heading::Backward);
        self.step();
    }

    /// The keys between, or `None` if no key can be there.
    fn walk(&self, low: Bound<&[u8]>, high: Bound<&[u8]>) -> Option<Walk<'a>> {
        (!is_inverted(low, high)).then(|| self.table.range::<_, [u8]>((low, high)))
    }

    /// Takes the next key in the direction of the walk.
    fn step(&mut self) {
        self.position = match &mut self.walk {
            Heading::Nowhere => None,
            Heading::Forward(walk) => walk.next(),
            Heading::Backward(walk) => walk.next_back(),
        };
    }
}

/// Whether no key can lie between, which an ordered map may refuse to be asked.
fn is_inverted(low: Bound<&[u8]>, high: Bound<&[u8]>) -> bool {
    match (low, high) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => low >= high,
    }
}

impl Cursor for MemoryCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<()> {
        let low = Bytes::copy_from_slice(key.max(&self.start));
        self.forward_from(Bound::Included(&low));
        Ok(())
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<()> {
        if !self.end.is_empty() && key >= self.end {
            return self.seek_to_last();
        }
        self.backward_from(Bound::Included(key));
        Ok(())
    }

    fn seek_to_first(&mut self) -> Result<()> {
        let low = self.start.clone();
        self.forward_from(Bound::Included(&low));
        Ok(())
    }

    fn seek_to_last(&mut self) -> Result<()> {
        let end = self.end.clone();
        self.backward_from(if end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&end) });
        Ok(())
    }

    fn next(&mut self) -> Result<()> {
        match (self.position, &self.walk) {
            (None, _) => {}
            (Some(_), Heading::Forward(_)) => self.step(),
            (Some((key, _)), _) => self.forward_from(Bound::Excluded(key)),
        }
        Ok(())
    }

    fn prev(&mut self) -> Result<()> {
        match (self.position, &self.walk) {
            (None, _) => {}
            (Some(_), Heading::Backward(_)) => self.step(),
            (Some((key, _)), _) => self.backward_from(Bound::Excluded(key)),
        }
        Ok(())
    }

    fn key(&self) -> Option<&[u8]> {
        self.position.map(|(key, _)| key.as_ref())
    }

    fn value(&self) -> Option<&[u8]> {
        self.position.map(|(_, value)| value.as_ref())
    }
}

impl fmt::Debug for MemoryCursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCursor").field("start", &self.start).field("end", &self.end).finish_non_exhaustive()
    }
}
