//! What people set: how many replicas, what keeps them apart, and how hard scheduling may work.
//! They are written when the cluster is founded; a setting that is 0 is off.

use prost::Message;

/// See the file's head. Times in milliseconds, sizes in bytes.
#[derive(Clone, PartialEq, Message)]
pub struct Settings {
    /// How many voters a region has.
    #[prost(uint32, tag = "1")]
    pub replicas: u32,
    /// The labels that keep replicas apart, the strongest first, such as `zone`, `host`.
    #[prost(string, repeated, tag = "2")]
    pub location_labels: Vec<String>,
    /// A store that is silent for this long is given up: its replicas are made anew elsewhere.
    #[prost(uint64, tag = "3")]
    pub store_down_ms: u64,
    /// A store that is silent for this long gets nothing new.
    #[prost(uint64, tag = "4")]
    pub store_silent_ms: u64,
    /// At most this many peers come to a store at a time, and as many leave it.
    #[prost(uint32, tag = "5")]
    pub moves_per_store: u32,
    /// At most this many leaders come to a store at a time.
    #[prost(uint32, tag = "6")]
    pub transfers_per_store: u32,
    /// At most this many merges at a time.
    #[prost(uint32, tag = "7")]
    pub merges: u32,
    /// For this long after an operator, a region is moved by nothing but need.
    #[prost(uint64, tag = "8")]
    pub cooldown_ms: u64,
    /// A region smaller than this is merged with a neighbour; 0 = none is.
    #[prost(uint64, tag = "9")]
    pub merge_bytes_max: u64,
    /// A merge does not make a region larger than this.
    #[prost(uint64, tag = "10")]
    pub merged_bytes_max: u64,
    /// For this long after a split, a region is not merged.
    #[prost(uint64, tag = "11")]
    pub merge_after_split_ms: u64,
    /// A region through which at least this many bytes a second flow is hot; 0 = none is.
    #[prost(uint64, tag = "12")]
    pub hot_bytes_min: u64,
    /// Stores whose loads differ from the mean by less than this, in thousandths, are left alone.
    #[prost(uint32, tag = "13")]
    pub tolerance_permille: u32,
    /// Nothing is moved to a store of which less than this is free, in thousandths, unless `free_bytes_enough` are.
    #[prost(uint32, tag = "14")]
    pub free_permille_min: u32,
    /// Balancing, hot regions and merging rest; replicas are still repaired.
    #[prost(bool, tag = "15")]
    pub balance_paused: bool,
    /// So much free space is enough on any disk.
    #[prost(uint64, tag = "16")]
    pub free_bytes_enough: u64,
    /// Old versions are kept for this long, in milliseconds; 0 = until somebody sets the safe point by hand.
    #[prost(uint64, tag = "17")]
    pub gc_life_ms: u64,
}

impl Settings {
    /// What is used unless somebody sets something else.
    pub fn initial() -> Self {
        Self {
            replicas: 3,
            location_labels: Vec::new(),
            store_down_ms: 30 * 60_000,
            store_silent_ms: 20_000,
            moves_per_store: 8,
            transfers_per_store: 8,
            merges: 8,
            cooldown_ms: 5 * 60_000,
            merge_bytes_max: 20 << 20,
            merged_bytes_max: 64 << 20,
            merge_after_split_ms: 60 * 60_000,
            hot_bytes_min: 1 << 20,
            tolerance_permille: 10,
            free_permille_min: 100,
            balance_paused: false,
            free_bytes_enough: 4 << 30,
            gc_life_ms: 10 * 60_000,
        }
    }

    /// Whether scheduling can work with this; a text for people if not.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.replicas == 0 || self.replicas > 15 {
            return Err("a region has 1 to 15 replicas");
        }
        if self.moves_per_store == 0 || self.transfers_per_store == 0 {
            return Err("with no move allowed at a time, no replica could ever be repaired");
        }
        if self.store_silent_ms == 0 || self.store_down_ms < self.store_silent_ms {
            return Err("a store is given up later than it is left alone, and not at once");
        }
        if self.merge_bytes_max > self.merged_bytes_max {
            return Err("regions would be merged that may not be merged");
        }
        if self.tolerance_permille > 500 || self.free_permille_min > 900 {
            return Err("the tolerance is at most 500 thousandths, and the free space at most 900");
        }
        if self.location_labels.len() > 8 || self.location_labels.iter().any(String::is_empty) {
            return Err("there are at most 8 labels of place, and each has a name");
        }
        Ok(())
    }
}
