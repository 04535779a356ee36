//! All targets, by name. Whoever adds a decoder adds a target here.
//! Each has examples of what it reads in earnest, from which inputs are made.

use crate::{disk, text, wire};

/// A decoder and what it is fed with.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// How it is called on the command line.
    pub name: &'static str,
    /// Feeds it with an input. It panics if the decoder does, or contradicts itself.
    pub run: fn(&[u8]),
    /// Inputs that are as they should be.
    pub examples: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: [Target; 9] = [
    Target { name: "keys", run: disk::keys, examples: disk::key_examples },
    Target { name: "records", run: disk::records, examples: disk::record_examples },
    Target { name: "write_batch", run: disk::write_batch, examples: disk::write_batch_examples },
    Target { name: "store_records", run: disk::store_records, examples: disk::store_record_examples },
    Target { name: "tso_bound", run: disk::tso_bound, examples: disk::tso_bound_examples },
    Target { name: "log_entry", run: wire::log_entry, examples: wire::log_entry_examples },
    Target { name: "envelope", run: wire::envelope, examples: wire::envelope_examples },
    Target { name: "image", run: wire::image, examples: wire::image_examples },
    Target { name: "config", run: text::config, examples: text::config_examples },
];
