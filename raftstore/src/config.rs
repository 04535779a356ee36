//! What may be set, with its unit, default and bound. Checked once, when the store opens.
//! Defaults aim at a failover within 1.5 s on a small machine.

use std::time::Duration;

/// Settings of replication on one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Length of raft's tick. Default 100 ms.
    pub tick: Duration,
    /// Ticks between a leader's heart-beats. Default 2.
    pub heartbeat_ticks: usize,
    /// Least ticks without a leader before a follower campaigns. Default 8. Also raft's quorum check interval.
    pub election_ticks_min: usize,
    /// Every election timeout is drawn from `election_ticks_min..election_ticks_max`. Default 14.
    pub election_ticks_max: usize,
    /// Seed of the election timeouts; the node passes entropy, the simulator its own seed.
    pub seed: u64,
    /// Largest log entry in bytes; a bigger proposal is answered `RaftEntryTooLarge`. Default 8 MiB.
    pub entry_bytes_max: usize,
    /// Proposals are put together into entries of about this many bytes. Default 256 KiB.
    pub entry_bytes_target: usize,
    /// Entries of one region that are proposed and not yet committed, before further proposals wait in order to share
    /// an entry; never for longer than until the next commit, nor for more than `entry_bytes_target`. Few save CPU
    /// where many clients write, many save waiting where the network is slow. Default 256: practically none waits.
    pub entries_under_way_max: u64,
    /// Where many regions write, the time from the beginning of one synced round of a raft loop to that of the next, so
    /// that more of them share it. Saves CPU, costs waiting. Default 0.
    pub round_interval: Duration,
    /// Largest raft append message in bytes (one entry may exceed it). Default 1 MiB.
    pub message_bytes_max: u64,
    /// Append messages sent to one follower without an answer. Default 256.
    pub inflight_messages_max: usize,
    /// Bytes of entries of one region that are proposed and not yet committed. Default 64 MiB.
    pub uncommitted_bytes_max: u64,
    /// Bytes of committed entries handed to apply at once for one region. Default 16 MiB.
    pub committed_bytes_max: u64,
    /// Bytes of committed entries that a raft loop applies by itself at a time; more go to its apply loop. Default
    /// 32 KiB.
    pub apply_near_bytes_max: usize,
    /// Bytes of committed entries that wait for apply, per raft loop, before it takes no more. Default 64 MiB.
    pub apply_backlog_bytes_max: usize,
    /// Messages waiting in a raft loop's mailbox before more are refused. Default 65,536.
    pub mailbox_messages_max: usize,
    /// Bytes of recent log entries of one region kept in memory to feed its followers. Default 4 MiB.
    pub cache_bytes_max: usize,
    /// Entries applied by every replica that may stay in the log before they are cut. Default 4,096.
    pub log_entries_slack: u64,
    /// Entries in a region's log beyond which it is cut although a peer has not got them: that peer gets an image.
    /// Default 65,536.
    pub log_entries_max: u64,
    /// The same in bytes, about. Default 64 MiB.
    pub log_bytes_max: u64,
    /// Regions of a raft loop that hold a view for images at the same time. Default 4.
    pub images_ready_max: usize,
    /// How long an image may be sent to further peers after it was made; its view keeps space from being freed.
    /// Default 60 s.
    pub image_age_max: Duration,
    /// Images that the store takes in at the same time; further ones are refused, and come again. Default 4.
    pub images_receiving_max: usize,
    /// Size of an image's chunk in bytes (one record may exceed it). Default 512 KiB.
    pub image_chunk_bytes: usize,
    /// Ticks in which nobody touched a region after which it goes to sleep: it ticks and heart-beats no more until
    /// somebody does. 0 = never. Default 0; a node has its own.
    pub hibernate_after_ticks: usize,
    /// Replicas of a raft loop that may be awake; with more, quiet ones go to sleep sooner, in proportion: their
    /// heart-beats alone would keep the loop from what it is there for. Default 1,000.
    pub awake_max: usize,
    /// Raft loops (threads); each owns the regions whose id falls to it. Default 1.
    pub raft_loops: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(100),
            heartbeat_ticks: 2,
            election_ticks_min: 8,
            election_ticks_max: 14,
            seed: 0,
            entry_bytes_max: 8 << 20,
            entry_bytes_target: 256 << 10,
            entries_under_way_max: 256,
            round_interval: Duration::ZERO,
            message_bytes_max: 1 << 20,
            inflight_messages_max: 256,
            uncommitted_bytes_max: 64 << 20,
            committed_bytes_max: 16 << 20,
            apply_near_bytes_max: 32 << 10,
            apply_backlog_bytes_max: 64 << 20,
            mailbox_messages_max: 65_536,
            cache_bytes_max: 4 << 20,
            log_entries_slack: 4_096,
            log_entries_max: 65_536,
            log_bytes_max: 64 << 20,
            images_ready_max: 4,
            image_age_max: Duration::from_secs(60),
            images_receiving_max: 4,
            image_chunk_bytes: 512 << 10,
            hibernate_after_ticks: 0,
            awake_max: 1_000,
            raft_loops: 1,
        }
    }
}

impl Config {
    /// How long a leader may serve reads after a quorum heard from it, by its own clock.
    ///
    /// A follower refuses votes for `election_ticks_min` ticks after it heard from the leader; its first tick may come
    /// at once, so it surely waits one tick less. Another tenth is left for clocks that run at different speeds.
    pub fn lease(&self) -> Duration {
        if nokv_engine::is_planted("lease too long") {
            return self.tick.saturating_mul(25);
        }
        let ticks = u32::try_from(self.election_ticks_min.saturating_sub(1)).unwrap_or(u32::MAX);
        self.tick.saturating_mul(ticks).mul_f64(0.9)
    }

    /// Ticks after which a quiet region goes to sleep where so many replicas are awake; 0 = never.
    pub fn hibernate_after(&self, awake: usize) -> usize {
        let all = self.hibernate_after_ticks;
        if awake <= self.awake_max {
            return all;
        }
        // Not before it would be missed that somebody has just touched it.
        all.saturating_mul(self.awake_max).checked_div(awake).unwrap_or(all).max(all.min(self.election_ticks_min))
    }

    /// Ticks without a word from another store after which the sleeping regions that it led wake up: two words may be
    /// lost, and it is before their election timeout.
    pub fn silent_ticks_max(&self) -> usize {
        (2 * self.heartbeat_ticks + 1).min(self.election_ticks_min.saturating_sub(1)).max(1)
    }

    /// How long a freshly started store grants nobody a vote: it may have promised a leader's lease just before it
    /// stopped, and has forgotten to whom.
    pub fn vote_silence(&self) -> Duration {
        self.tick.saturating_mul(u32::try_from(self.election_ticks_min).unwrap_or(u32::MAX))
    }

    /// How long a read waits for a quorum before it is answered with an error.
    pub fn read_wait_max(&self) -> Duration {
        self.tick.saturating_mul(u32::try_from(self.election_ticks_max.saturating_mul(2)).unwrap_or(u32::MAX))
    }

    /// Whether the settings fit together; says what does not.
    ///
    /// # Errors
    /// A text that names the setting and its bound.
    pub fn check(&self) -> Result<(), String> {
        if self.tick.is_zero() {
            return Err("raft tick must be longer than 0".to_owned());
        }
        if self.heartbeat_ticks == 0 || self.election_ticks_min <= self.heartbeat_ticks + 1 {
            return Err(format!(
                "election_ticks_min ({}) must exceed heartbeat_ticks ({}) by two at least",
                self.election_ticks_min, self.heartbeat_ticks
            ));
        }
        if self.election_ticks_max <= self.election_ticks_min {
            return Err("election_ticks_max must exceed election_ticks_min".to_owned());
        }
        if self.entries_under_way_max == 0 {
            return Err("entries_under_way_max must be at least 1".to_owned());
        }
        if self.raft_loops == 0 {
            return Err("raft_loops must be at least 1".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_are_awake_the_sooner_quiet_ones_sleep() {
        let config = Config { hibernate_after_ticks: 100, awake_max: 1_000, ..Config::default() };
        let after = [0, 1_000, 2_000, 5_000, 1_000_000].map(|awake| config.hibernate_after(awake));
        assert_eq!(after, [100, 100, 50, 20, 8]);
        assert_eq!(Config { hibernate_after_ticks: 3, ..config.clone() }.hibernate_after(1_000_000), 3);
        assert_eq!(Config { hibernate_after_ticks: 0, ..config }.hibernate_after(1_000_000), 0);
    }
}
