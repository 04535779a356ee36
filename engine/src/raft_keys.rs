//! Every key of [`Cf::Raft`](crate::Cf::Raft): what replication itself keeps. The first byte says the kind of record
//! and its format, so that a new format of one kind takes a new byte. All numbers are big-endian, to sort by value.
//!
//! ```text
//! 00                                   reserved: sorts before everything
//! 01                                   store identity
//! 02 group:u64                         region state: the region's bounds, epoch and peers
//! 03 group:u64                         apply state: applied index, truncated index and term
//! 04 group:u64                         raft state: raft's hard state, opaque here
//! 05 group:u64 index:u64               log entry, opaque here
//! 06 group:u64                         the highest safe point that the region has heard of
//! 07 group:u64                         the epoch of the last image that the replica was made from
//! 08 … 0f                              free
//! 10 store:u64                         which directory another store has
//! 11 store:u64                         where another store listens
//! 12 … ff                              free
//! ```
//!
//! Region states lie together, so that a start reads all of them without walking over any log. The entries of one
//! group lie together, in order, with nothing else between them, so that a range deletion cuts exactly a log's head.

use crate::KeyRange;

const STORE_IDENT: u8 = 0x01;
const REGION_STATE: u8 = 0x02;
const APPLY_STATE: u8 = 0x03;
const RAFT_STATE: u8 = 0x04;
const LOG_ENTRY: u8 = 0x05;
const SAFE_POINT: u8 = 0x06;
const IMAGE_EPOCH: u8 = 0x07;
const ACQUAINTANCE: u8 = 0x10;
const ADDRESS: u8 = 0x11;

const GROUP_KEY_BYTES: usize = 9;
const ENTRY_KEY_BYTES: usize = 17;

/// The key of the store's identity record (which cluster and store this directory belongs to).
pub const fn store_ident_key() -> [u8; 1] {
    [STORE_IDENT]
}

/// The key of the state of region `group`.
pub fn region_state_key(group: u64) -> [u8; GROUP_KEY_BYTES] {
    group_key(REGION_STATE, group)
}

/// The keys of all region states, in order of region id.
pub const fn region_state_range() -> KeyRange<'static> {
    KeyRange::new(&[REGION_STATE], &[REGION_STATE + 1])
}

/// The region id in a key of [`region_state_range`], or `None` if `key` is not the key of a region state.
pub fn region_of_state_key(key: &[u8]) -> Option<u64> {
    let (kind, group) = key.split_first()?;
    if *kind != REGION_STATE {
        return None;
    }
    Some(u64::from_be_bytes(group.try_into().ok()?))
}

/// The key of the apply state of region `group`.
pub fn apply_state_key(group: u64) -> [u8; GROUP_KEY_BYTES] {
    group_key(APPLY_STATE, group)
}

/// The key of the safe point that region `group` has heard of.
pub fn safe_point_key(group: u64) -> [u8; GROUP_KEY_BYTES] {
    group_key(SAFE_POINT, group)
}

/// The keys of all safe points.
pub const fn safe_point_range() -> KeyRange<'static> {
    KeyRange::new(&[SAFE_POINT], &[SAFE_POINT + 1])
}

/// The key of the epoch of the last image that the replica of region `group` was made from.
pub fn image_epoch_key(group: u64) -> [u8; GROUP_KEY_BYTES] {
    group_key(IMAGE_EPOCH, group)
}

/// The key of what is known of another store.
pub fn acquaintance_key(store: u64) -> [u8; GROUP_KEY_BYTES] {
    group_key(ACQUAINTANCE, store)
}

/// The key of where another store listens.
pub fn address_key(store: u64) -> [u8; GROUP_KEY_BYTES] {
    group_key(ADDRESS, store)
}

/// The keys of where the other stores listen, in order of store id.
pub const fn address_range() -> KeyRange<'static> {
    KeyRange::new(&[ADDRESS], &[ADDRESS + 1])
}

/// The store id in a key of [`address_range`], or `None` if `key` is none of them.
pub fn store_of_address_key(key: &[u8]) -> Option<u64> {
    let (kind, store) = key.split_first()?;
    if *kind != ADDRESS {
        return None;
    }
    Some(u64::from_be_bytes(store.try_into().ok()?))
}

/// The key of the raft state record of `group`.
pub(crate) fn raft_state_key(group: u64) -> [u8; GROUP_KEY_BYTES] {
    group_key(RAFT_STATE, group)
}

/// The key of entry `index` of `group`.
pub(crate) fn log_entry_key(group: u64, index: u64) -> [u8; ENTRY_KEY_BYTES] {
    let mut key = [0; ENTRY_KEY_BYTES];
    let (head, tail) = key.split_at_mut(GROUP_KEY_BYTES);
    head.copy_from_slice(&group_key(LOG_ENTRY, group));
    tail.copy_from_slice(&index.to_be_bytes());
    key
}

/// The first key after all entries of `group`: one zero byte longer than the key of the greatest index, which it so
/// includes in the range before it.
pub(crate) fn log_end_key(group: u64) -> [u8; ENTRY_KEY_BYTES + 1] {
    let mut key = [0; ENTRY_KEY_BYTES + 1];
    let (head, _) = key.split_at_mut(ENTRY_KEY_BYTES);
    head.copy_from_slice(&log_entry_key(group, u64::MAX));
    key
}

/// The index in the key of a log entry, or `None` if `key` is none.
pub(crate) fn log_entry_index(key: &[u8]) -> Option<u64> {
    let (head, index) = key.split_at_checked(GROUP_KEY_BYTES)?;
    if head.first() != Some(&LOG_ENTRY) {
        return None;
    }
    Some(u64::from_be_bytes(index.try_into().ok()?))
}

fn group_key(kind: u8, group: u64) -> [u8; GROUP_KEY_BYTES] {
    let [a, b, c, d, e, f, g, h] = group.to_be_bytes();
    [kind, a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_these_bytes() {
        assert_eq!(store_ident_key(), [1]);
        assert_eq!(region_state_key(0x0102), [2, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(apply_state_key(7), [3, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(raft_state_key(7), [4, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(safe_point_key(7), [6, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(image_epoch_key(7), [7, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(acquaintance_key(7), [16, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(address_key(7), [17, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(log_entry_key(7, 0x0a0b), [5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 10, 11]);
    }

    #[test]
    fn the_region_state_range_holds_exactly_the_region_states() {
        let range = region_state_range();
        for group in [0, 1, 255, 256, u64::MAX] {
            assert!(range.contains(&region_state_key(group)));
            assert!(!range.contains(&apply_state_key(group)));
            assert!(safe_point_range().contains(&safe_point_key(group)));
            assert!(!safe_point_range().contains(&log_entry_key(group, u64::MAX)));
            assert!(!range.contains(&log_entry_key(group, 1)));
            assert_eq!(region_of_state_key(&region_state_key(group)), Some(group));
            assert_eq!(region_of_state_key(&apply_state_key(group)), None);
        }
        assert!(!range.contains(&store_ident_key()));
    }

    #[test]
    fn the_address_range_holds_exactly_the_addresses() {
        for store in [0, 1, u64::MAX] {
            assert!(address_range().contains(&address_key(store)));
            assert!(!address_range().contains(&acquaintance_key(store)));
            assert_eq!(store_of_address_key(&address_key(store)), Some(store));
            assert_eq!(store_of_address_key(&acquaintance_key(store)), None);
        }
    }

    #[test]
    fn entries_of_a_group_are_ordered_and_apart_from_the_next_group() {
        assert!(log_entry_key(1, 255) < log_entry_key(1, 256));
        assert!(log_entry_key(1, u64::MAX).as_slice() < log_end_key(1).as_slice());
        assert!(log_end_key(1).as_slice() < log_entry_key(2, 0).as_slice());
        assert_eq!(log_entry_index(&log_entry_key(9, 77)), Some(77));
        assert_eq!(log_entry_index(&region_state_key(9)), None);
        assert_eq!(log_entry_index(&log_end_key(9)), None);
    }
}
