//! Our options in RocksDB's terms: for the whole database, and for each column family by what lives in it.
//! The choices that are not configurable are made, and explained, here.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode, Error, Options, SliceTransform,
};

use super::options::RocksOptions;
use super::prefix;
use crate::Cf;

/// Write buffers of one column family, the one being filled included; beyond it, writes wait for the flush.
const WRITE_BUFFERS_MAX: i32 = 4;

/// Locks go as soon as they come, but both stay in the write buffer until it is flushed, which leaves next to nothing
/// of them. So a small one costs little, and who looks for a lock, or adds one, has a short way.
const LOCK_BUFFER_BYTES_MAX: usize = 2 << 20;

/// A table in which so many of so many keys in a row, or this share of all, are deletions, is compacted by itself: they
/// are in the way of every scan, and what they delete takes space.
const DELETIONS_WINDOW: usize = 4_096;
const DELETIONS_MAX: usize = 2_048;
const DELETIONS_SHARE_MAX: f64 = 0.5;

/// RocksDB's own log of what it does (file `LOG`): files kept, and bytes of each.
const INFO_LOG_FILES: usize = 4;
const INFO_LOG_BYTES_MAX: usize = 8 << 20;

/// The options of the database as a whole.
pub(super) fn database_options(options: &RocksOptions) -> Result<Options, Error> {
    // After an I/O error RocksDB may try to resume by itself, dropping the write-ahead log whose sync failed in favour
    // of a flush. We want the first failure to be final: the caller has already been told, and stops.
    let mut db = Options::default().get_options_from_string(
        // And each write-ahead log says what its predecessor held: a power cut may leave the newer one and not the end
        // of the older, where neither was synced. Replay then has to stop, and without this went on.
        "max_bgerror_resume_count=0;track_and_verify_wals=true",
    )?;
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    db.set_paranoid_checks(true);
    // A torn tail is what an unsynced write leaves after a power failure: replay stops there, which keeps a prefix.
    db.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // A log file that was synced and is now missing or short is not a torn tail: refuse to open.
    db.set_track_and_verify_wals_in_manifest(true);
    db.set_max_total_wal_size(options.wal_bytes_max);
    db.set_db_write_buffer_size(options.write_buffers_total_bytes);
    db.set_bytes_per_sync(options.bytes_per_sync);
    db.set_wal_bytes_per_sync(options.wal_bytes_per_sync);
    db.set_max_background_jobs(i32::from(options.background_jobs.max(1)));
    db.set_max_open_files(i32::from(options.open_files_max));
    db.set_keep_log_file_num(INFO_LOG_FILES);
    db.set_max_log_file_size(INFO_LOG_BYTES_MAX);
    Ok(db)
}

/// Every column family with its options; blocks of all go to `cache`.
pub(super) fn descriptors(options: &RocksOptions, cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    Cf::ALL.map(|cf| ColumnFamilyDescriptor::new(cf.name(), family_options(cf, options, cache))).into()
}

/// The options of one column family; blocks go to `cache`.
pub(super) fn family_options(cf: Cf, options: &RocksOptions, cache: &Cache) -> Options {
    let mut family = Options::default();
    family.set_write_buffer_size(match cf {
        Cf::Lock => options.write_buffer_bytes.min(LOCK_BUFFER_BYTES_MAX),
        _ => options.write_buffer_bytes,
    });
    family.set_max_write_buffer_number(WRITE_BUFFERS_MAX);
    family.set_level_compaction_dynamic_level_bytes(true);
    set_compression(cf, &mut family);
    set_blobs(cf, options, &mut family);
    if Cf::DATA.contains(&cf) {
        family.add_compact_on_deletion_collector_factory(DELETIONS_WINDOW, DELETIONS_MAX, DELETIONS_SHARE_MAX);
    }

    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_format_version(5);
    // Indexes and filters count against the cache, so that the cache bounds the memory, but the newest stay there.
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_bloom_filter(options.bloom_bits_per_key, false);
    if cf == Cf::Write {
        // Commit records are looked up by user key, hardly ever by the exact timestamp.
        table.set_whole_key_filtering(false);
        family.set_prefix_extractor(SliceTransform::create(
            prefix::NAME,
            prefix::of_encoded_key,
            Some(prefix::is_encoded_key),
        ));
    }
    family.set_block_based_table_factory(&table);
    family
}

fn set_compression(cf: Cf, family: &mut Options) {
    match cf {
        // Small, short-lived, hardly ever flushed.
        Cf::Lock => family.set_compression_type(DBCompressionType::None),
        // Mostly cut before it sinks: never worth zstd.
        Cf::Raft => family.set_compression_type(DBCompressionType::Lz4),
        Cf::Default | Cf::Write | Cf::Raw => {
            family.set_compression_type(DBCompressionType::Lz4);
            family.set_bottommost_compression_type(DBCompressionType::Zstd);
        }
    }
}

fn set_blobs(cf: Cf, options: &RocksOptions, family: &mut Options) {
    if !matches!(cf, Cf::Default | Cf::Raw) || options.blob_value_bytes_min == 0 {
        return;
    }
    family.set_enable_blob_files(true);
    family.set_min_blob_size(options.blob_value_bytes_min);
    family.set_blob_file_size(options.blob_file_bytes);
    family.set_blob_compression_type(DBCompressionType::Lz4);
    // Space comes back as compaction moves the values that still live out of the oldest files.
    family.set_enable_blob_gc(true);
}
