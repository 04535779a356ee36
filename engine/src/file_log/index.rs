//! Where every entry of the log is, and the state records themselves; in memory, made again from the files at each
//! start. What an operation does here is the same when it is written and when it is read again.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::record::{Op, ops};
use crate::{Error, Result};

/// Bytes that a state record takes beside its own.
const STATE_OVERHEAD_BYTES: u64 = 13;
/// And an entry.
const ENTRY_OVERHEAD_BYTES: u64 = 4;
/// More entries of a group can be missing between others only in a damaged log.
const GAP_MAX: u64 = 1 << 20;

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The file's number; 0 if the entry was not met yet.
    pub file: u32,
    /// Its place there, in bytes.
    pub at: u32,
    /// Its length, in bytes.
    pub len: u32,
    /// CRC-32 of it.
    pub checksum: u32,
}

impl Slot {
    fn live_bytes(self) -> u64 {
        u64::from(self.len) + ENTRY_OVERHEAD_BYTES
    }
}

const UNMET: Slot = Slot { file: 0, at: 0, len: 0, checksum: 0 };

/// All groups.
#[derive(Debug, Default)]
pub struct Index {
    groups: HashMap<u64, Group>,
    live: Live,
}

#[derive(Debug, Default)]
struct Group {
    /// Index of the first of `slots`.
    first: u64,
    slots: VecDeque<Slot>,
    /// And the file that it is in.
    state: Option<(Bytes, u32)>,
}

/// How much of each file still counts.
#[derive(Debug, Default)]
struct Live {
    /// Number of the oldest file.
    oldest: u32,
    bytes: VecDeque<u64>,
}

impl Live {
    fn of(&mut self, file: u32) -> Option<&mut u64> {
        self.bytes.get_mut(usize::try_from(file.checked_sub(self.oldest)?).ok()?)
    }

    fn add(&mut self, file: u32, bytes: u64) {
        if let Some(live) = self.of(file) {
            *live += bytes;
        }
    }

    fn sub(&mut self, file: u32, bytes: u64) {
        if let Some(live) = self.of(file) {
            debug_assert!(*live >= bytes, "file {file} loses more than it has");
            *live = live.saturating_sub(bytes);
        }
    }
}

impl Index {
    /// The log goes on in file `number`.
    pub fn begin_file(&mut self, number: u32) {
        if self.live.bytes.is_empty() {
            self.live.oldest = number;
        }
        self.live.bytes.push_back(0);
    }

    /// The oldest file is given up.
    pub fn end_oldest(&mut self) {
        debug_assert_eq!(self.live.bytes.front(), Some(&0), "what counts was moved");
        self.live.bytes.pop_front();
        self.live.oldest += 1;
    }

    /// How many bytes of the oldest file count, and of all files.
    pub fn live_bytes(&self) -> (u64, u64) {
        (self.live.bytes.front().copied().unwrap_or(0), self.live.bytes.iter().sum())
    }

    /// Carries out the operations of `payload`, which begins at `at` in `file`.
    ///
    /// # Errors
    /// It is none, or does not go with what was before it.
    pub fn apply(&mut self, payload: &[u8], file: u32, at: u32) -> Result<()> {
        for op in ops(payload) {
            self.apply_op(op?, file, at)?;
        }
        Ok(())
    }

    fn apply_op(&mut self, op: Op<'_>, file: u32, at: u32) -> Result<()> {
        let live = &mut self.live;
        let slot = |(place, bytes): &(usize, &[u8])| Slot {
            file,
            at: at + *place as u32,
            len: bytes.len() as u32,
            checksum: crc32fast::hash(bytes),
        };
        match op {
            Op::Append { group, first, entries } => {
                let group = self.groups.entry(group).or_default();
                group.truncate(first, live);
                group.reach(first)?;
                for slot in entries.iter().map(slot) {
                    group.slots.push_back(slot);
                    live.add(file, slot.live_bytes());
                }
            }
            Op::Move { group, first, entries } => {
                let group = self.groups.entry(group).or_default();
                if group.slots.is_empty() {
                    group.first = first;
                }
                group.reach_back(first)?;
                group.reach(first + entries.len() as u64)?;
                for (index, entry) in (first..).zip(&entries) {
                    group.replace(index, slot(entry), live);
                }
            }
            Op::State { group, state } => {
                let group = self.groups.entry(group).or_default();
                group.drop_state(live);
                live.add(file, state.len() as u64 + STATE_OVERHEAD_BYTES);
                group.state = Some((Bytes::copy_from_slice(state), file));
            }
            Op::Cut { group, to } => self.cut(group, to),
            Op::Remove { group, last } => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.drop_state(live);
                }
                self.cut(group, last.saturating_add(1));
            }
        }
        Ok(())
    }

    fn cut(&mut self, id: u64, to: u64) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        while group.first < to
            && let Some(slot) = group.slots.pop_front()
        {
            self.live.sub(slot.file, slot.live_bytes());
            group.first += 1;
        }
        if group.slots.is_empty() && group.state.is_none() {
            self.groups.remove(&id);
        } else if group.slots.capacity() > 64 && group.slots.len() < group.slots.capacity() / 4 {
            group.slots.shrink_to(group.slots.len() * 2);
        }
    }

    /// Whether the log has been read to its end and nothing is missing within it.
    ///
    /// # Errors
    /// Something is.
    pub fn check_whole(&self) -> Result<()> {
        let is_whole = self.groups.values().all(|group| group.slots.iter().all(|slot| *slot != UNMET));
        is_whole.then_some(()).ok_or(Error::Corrupt { what: "raft log: an entry is missing" })
    }

    /// First and last entry of `group`.
    pub fn bounds(&self, group: u64) -> Option<(u64, u64)> {
        let group = self.groups.get(&group).filter(|group| !group.slots.is_empty())?;
        Some((group.first, group.end() - 1))
    }

    /// The state record of `group`.
    pub fn state(&self, group: u64) -> Option<Bytes> {
        Some(self.groups.get(&group)?.state.as_ref()?.0.clone())
    }

    /// Where the entries `low..high` are, up to the one that would make their bytes exceed `bytes_max`, but the first
    /// in any case. `None` if one is missing.
    pub fn slots(&self, group: u64, low: u64, high: u64, bytes_max: u64) -> Option<Vec<Slot>> {
        let (mut slots, mut bytes) = (Vec::new(), 0u64);
        let group = self.groups.get(&group)?;
        for index in low..high {
            let slot = group.at(index)?;
            bytes = bytes.saturating_add(u64::from(slot.len));
            if bytes > bytes_max && !slots.is_empty() {
                break;
            }
            slots.push(slot);
        }
        Some(slots)
    }

    /// The groups that have something in the oldest file, for [`Index::oldest_run`].
    pub fn groups(&self) -> Vec<u64> {
        self.groups.keys().copied().collect()
    }

    /// Of `group`, what is in the oldest file: its state record, if it is; and the last run of entries, of about
    /// `bytes_max` bytes at most.
    pub fn oldest_run(&self, group: u64, bytes_max: u64) -> (Option<Bytes>, Option<(u64, Vec<Slot>)>) {
        let Some(group) = self.groups.get(&group) else { return (None, None) };
        let oldest = self.live.oldest;
        let state = group.state.as_ref().filter(|(_, file)| *file == oldest).map(|(state, _)| state.clone());
        let Some(last) = group.slots.iter().rposition(|slot| slot.file == oldest) else { return (state, None) };
        let mut bytes = 0;
        let run = group.slots.range(..=last).rev().take_while(|slot| {
            let fits = slot.file == oldest && bytes < bytes_max;
            bytes += u64::from(slot.len);
            fits
        });
        let mut slots: Vec<Slot> = run.copied().collect();
        slots.reverse();
        let first = group.first + (last + 1 - slots.len()) as u64;
        (state, Some((first, slots)))
    }
}

impl Group {
    fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    fn at(&self, index: u64) -> Option<Slot> {
        self.slots.get(usize::try_from(index.checked_sub(self.first)?).ok()?).copied()
    }

    fn drop_state(&mut self, live: &mut Live) {
        if let Some((state, file)) = self.state.take() {
            live.sub(file, state.len() as u64 + STATE_OVERHEAD_BYTES);
        }
    }

    /// Drops all entries from `first` on.
    fn truncate(&mut self, first: u64, live: &mut Live) {
        while self.end() > first.max(self.first)
            && let Some(slot) = self.slots.pop_back()
        {
            live.sub(slot.file, slot.live_bytes());
        }
        if self.slots.is_empty() {
            self.first = first;
        }
    }

    /// Makes the entries reach up to `end`, with unmet ones if need be.
    fn reach(&mut self, end: u64) -> Result<()> {
        check_gap(end.saturating_sub(self.end()))?;
        while self.end() < end {
            self.slots.push_back(UNMET);
        }
        Ok(())
    }

    /// Makes them begin at `first` or before it, likewise.
    fn reach_back(&mut self, first: u64) -> Result<()> {
        check_gap(self.first.saturating_sub(first))?;
        while self.first > first {
            self.slots.push_front(UNMET);
            self.first -= 1;
        }
        Ok(())
    }

    fn replace(&mut self, index: u64, slot: Slot, live: &mut Live) {
        let place = usize::try_from(index - self.first).ok().and_then(|place| self.slots.get_mut(place));
        if let Some(place) = place {
            live.sub(place.file, place.live_bytes());
            live.add(slot.file, slot.live_bytes());
            *place = slot;
        }
    }
}

fn check_gap(entries: u64) -> Result<()> {
    (entries <= GAP_MAX).then_some(()).ok_or(Error::Corrupt { what: "raft log: entries are missing" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_log::record::{put_cut, put_moved, put_op, put_state};
    use crate::{LogEntry, LogOp};

    fn payload(random: &mut fastrand::Rng) -> Vec<u8> {
        let mut payload = Vec::new();
        for _ in 0..random.usize(1..5) {
            let (group, first) = (random.u64(..3), random.u64(..40));
            let entry = |index| LogEntry { index, encoded: vec![7; index as usize % 9].into() };
            match random.u8(..5) {
                0 => put_state(&mut payload, group, b"state"),
                1 => put_cut(&mut payload, group, first),
                2 => put_op(&mut payload, &LogOp::Remove { group, first: 0, last: first }),
                3 => put_moved(&mut payload, group, first, [&b"one"[..], b"two"].into_iter()),
                _ => {
                    let entries = (first..first + 3).map(entry).collect();
                    put_op(&mut payload, &LogOp::Append { group, entries, stale_last: 0 });
                }
            }
        }
        payload
    }

    #[test]
    fn any_operations_are_taken_in_or_refused() {
        let mut random = fastrand::Rng::with_seed(3);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..2_000 {
            let mut index = Index::default();
            index.begin_file(1);
            for _ in 0..5 {
                let mut payload = payload(&mut random);
                if random.bool() {
                    let at = random.usize(..payload.len());
                    payload[at] = random.u8(..);
                }
                match index.apply(&payload, 1, 0) {
                    Ok(()) => taken += 1,
                    Err(_) => refused += 1,
                }
            }
            let (oldest, all) = index.live_bytes();
            assert_eq!(oldest, all);
            let _ = (index.check_whole(), index.oldest_run(1, 100), index.slots(1, 0, 50, u64::MAX));
        }
        assert!(taken > 1_000 && refused > 1_000, "{taken} and {refused}");
    }
}
