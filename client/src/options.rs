//! Every bound and every waiting time of the client, in one place.
//! The defaults suit a cluster whose nodes fail over within about three seconds.

use std::time::Duration;

/// How requests reach the stores of a client that is connected over the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Each by a call of its own: what every TinyKv server understands.
    Unary,
    /// Many on a stream ([`crate::StreamRpc`]): several times as many a second, and less waiting under load. A store
    /// that knows no streams is asked by calls.
    #[default]
    Stream,
}

/// Who is asked to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// The leader of the keys' region, which answers from memory of who leads.
    #[default]
    Leader,
    /// Its replicas in turn, learners too: they ask the leader how far they have to be, which costs a message, and read
    /// by themselves, which spreads the work. Just as fresh. Where one cannot, the leader is asked. For NoKV's and
    /// TiKV's servers; TinyKV's do not know it.
    Replicas,
    /// The same, but what lies in the past a replica answers by itself where it knows that nothing can change there any
    /// more: about two seconds after it happened, if the cluster has a timestamp server. For `*_at` reads, and for
    /// transactions that have been going on for a while; asks nobody, and goes on without a leader. What is newer, or
    /// locked, is read as with `Replicas`, or from the leader.
    Settled,
}

/// Tunes a client. Take [`Options::default`] and change what you must.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long one operation is tried in all: a read, a raw write, each phase of a commit together. Default 10 s.
    pub deadline: Duration,
    /// How long one request waits for its answer at first. After a time-out the next try waits twice as long, up to
    /// four times, so that a slow cluster is not asked over and over without ever being heard. Default 1.5 s.
    pub request_timeout: Duration,
    /// How long a write waits for a lock whose owner is alive before its transaction is aborted. Short, because the
    /// owner's commit would be a conflict anyway, and because two writers may wait for each other. Default 500 ms.
    pub write_lock_wait: Duration,
    /// How long a lock that is not its transaction's primary is given before the primary is asked about. All regions
    /// are prewritten at once, so for a moment a secondary may be there before its primary, and to ask TinyKv about a
    /// missing primary is to abort its transaction. Default 300 ms.
    pub secondary_grace: Duration,
    /// Time to live of the locks of a small transaction, beyond the time it took so far. TinyKv has no heartbeat to
    /// prolong it: it must cover prewrite and commit through a failover. Default 6 s.
    pub lock_ttl_base: Duration,
    /// Added to the time to live for each MiB that the transaction writes. Default 2 s.
    pub lock_ttl_per_mib: Duration,
    /// The longest time to live, beyond the time the transaction took so far. Default 120 s.
    pub lock_ttl_max: Duration,
    /// Longest key in bytes. Default 8 KiB.
    pub key_bytes_max: usize,
    /// Largest value in bytes. Default 4 MiB.
    pub value_bytes_max: usize,
    /// Most keys one transaction may write. Default 100,000.
    pub transaction_keys_max: usize,
    /// Most bytes of keys and values one transaction may write. Default 64 MiB.
    pub transaction_bytes_max: usize,
    /// Keys and values in one prewrite, commit or rollback request; a single larger mutation goes alone.
    /// Default 256 KiB.
    pub batch_bytes_max: usize,
    /// Keys in one prewrite, commit or rollback request. Default 1,024.
    pub batch_keys_max: usize,
    /// Requests that one operation has under way at once. Default 32.
    pub concurrency: usize,
    /// Rows asked for at once by a scan. Default 256.
    pub scan_page_rows: u32,
    /// Commits and clean-ups that may run in the background at once; beyond it the caller waits for its own.
    /// Default 256.
    pub background_max: usize,
    /// Commit in one phase what lies in one region. Default true.
    pub one_phase_commit: bool,
    /// Commit asynchronously what does not: it is committed as soon as all its keys are locked, and answered then.
    /// Default true.
    pub async_commit: bool,
    /// Most keys of an asynchronous commit, whose primary names all others; a larger transaction commits in two phases.
    /// Default 256.
    pub async_commit_keys_max: usize,
    /// Most bytes of these keys. Default 4 KiB.
    pub async_commit_key_bytes_max: usize,
    /// How requests reach the stores; [`crate::Client::new`] is given it and does not look here. Default
    /// [`Transport::Stream`].
    pub transport: Transport,
    /// Who is asked to read keys and ranges. Default [`ReadFrom::Leader`].
    pub read_from: ReadFrom,
    /// Seed of the jitter in waiting times. Clients that share a seed move in step: give each its own.
    /// Default: from the system's random source.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            deadline: Duration::from_secs(10),
            request_timeout: Duration::from_millis(1_500),
            write_lock_wait: Duration::from_millis(500),
            secondary_grace: Duration::from_millis(300),
            lock_ttl_base: Duration::from_secs(6),
            lock_ttl_per_mib: Duration::from_secs(2),
            lock_ttl_max: Duration::from_secs(120),
            key_bytes_max: 8 << 10,
            value_bytes_max: 4 << 20,
            transaction_keys_max: 100_000,
            transaction_bytes_max: 64 << 20,
            batch_bytes_max: 256 << 10,
            batch_keys_max: 1_024,
            concurrency: 32,
            scan_page_rows: 256,
            background_max: 256,
            one_phase_commit: true,
            async_commit: true,
            async_commit_keys_max: 256,
            async_commit_key_bytes_max: 4 << 10,
            transport: Transport::default(),
            read_from: ReadFrom::default(),
            seed: rand::random(),
        }
    }
}

impl Options {
    /// Time to live in milliseconds for the locks of a transaction that writes `bytes` and began `elapsed` ago.
    ///
    /// Servers count it from the start timestamp, so the time already spent is part of it.
    pub fn lock_ttl_ms(&self, bytes: usize, elapsed: Duration) -> u64 {
        let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        let by_size = self.lock_ttl_base.saturating_add(self.lock_ttl_per_mib.saturating_mul(mib));
        let ttl = by_size.min(self.lock_ttl_max).saturating_add(elapsed);
        u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_to_live_grows_with_size_and_age_up_to_a_bound() {
        let options = Options::default();
        assert_eq!(options.lock_ttl_ms(100, Duration::ZERO), 6_000);
        assert_eq!(options.lock_ttl_ms(3 << 20, Duration::ZERO), 12_000);
        assert_eq!(options.lock_ttl_ms(usize::MAX, Duration::from_secs(7)), 127_000);
    }
}
