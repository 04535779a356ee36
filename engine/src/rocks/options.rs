//! What can be set when a RocksDB engine is opened, with defaults for a small machine (two cores, a few GiB).
//! All may change between two openings of one directory; what is on disk stays readable.

/// Options of [`RocksEngine::open`](crate::RocksEngine::open).
#[derive(Clone, Debug, PartialEq)]
pub struct RocksOptions {
    /// Cache of uncompressed blocks, shared by all column families, indexes and filters included, in bytes.
    /// With the write buffers, nearly all memory that the engine takes. Default 256 MiB.
    pub block_cache_bytes: usize,
    /// Size at which a column family's write buffer is flushed, in bytes; each has at most four. The larger it is, the
    /// fewer bytes are written again by compaction, and the more of each insert's way through it misses the processor's
    /// caches. That of [`Cf::Lock`](crate::Cf::Lock) is at most 2 MiB. Default 16 MiB.
    pub write_buffer_bytes: usize,
    /// Bound on the write buffers of all column families together, in bytes. Default 192 MiB.
    pub write_buffers_total_bytes: usize,
    /// Size of the write-ahead log beyond which its oldest data is flushed, in bytes: bounds both the space and the
    /// time of a restart after a crash. Default 256 MiB.
    pub wal_bytes_max: u64,
    /// Values of [`Cf::Default`](crate::Cf::Default) and [`Cf::Raw`](crate::Cf::Raw) from this size on live in blob
    /// files, out of the way of compaction; in bytes. 0 = never. Default 16 KiB.
    pub blob_value_bytes_min: u64,
    /// Size at which a blob file is closed, in bytes. Default 64 MiB.
    pub blob_file_bytes: u64,
    /// Threads for flushes and compactions. Default 2.
    pub background_jobs: u16,
    /// Files held open; the process needs as many descriptors besides its sockets. Default 512.
    pub open_files_max: u16,
    /// How much of a table or blob file may wait in the page cache before the operating system is told to write it
    /// out, in bytes, so that a big compaction does not make a WAL sync wait. 0 = leave it be. Default 1 MiB.
    pub bytes_per_sync: u64,
    /// The same for the write-ahead log, where unsynced writes gather. 0 = leave it be. Default 512 KiB.
    pub wal_bytes_per_sync: u64,
    /// Bloom filter bits for each key (or user key, in [`Cf::Write`](crate::Cf::Write)). 10 = about 1 % false
    /// positives. Default 10.
    pub bloom_bits_per_key: f64,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 256 * MIB,
            write_buffer_bytes: 16 * MIB,
            write_buffers_total_bytes: 192 * MIB,
            wal_bytes_max: 256 * MIB as u64,
            blob_value_bytes_min: 16 * KIB as u64,
            blob_file_bytes: 64 * MIB as u64,
            background_jobs: 2,
            open_files_max: 512,
            bytes_per_sync: MIB as u64,
            wal_bytes_per_sync: 512 * KIB as u64,
            bloom_bits_per_key: 10.0,
        }
    }
}
