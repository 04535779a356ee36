//! What waits is bounded: in mailboxes, on links, among the writes under way and the images that have arrived.
//! Broken by a queue that somebody forgot to bound.

use nokv_server::executor::ExecutorOptions;

use crate::world::{Node, World};

/// Messages that the in-memory network holds for one link at most, as `MemoryOptions` has it; copies may come on top.
const LINK_MESSAGES_MAX: usize = 4_096 + 1;

/// Looks at everything that waits at `node`.
///
/// # Errors
/// What is too much.
pub fn check(world: &World, node: &Node, mailbox: usize) -> Result<(), String> {
    let mailbox_max = world.options.config.mailbox_messages_max;
    // Messages from inside may come on top: one report for each apply task under way, which are bounded by bytes.
    if mailbox > mailbox_max + 1_024 {
        return Err(format!("{mailbox} messages wait in the mailbox of store {}", node.store));
    }
    for slot in world.all_slots() {
        let queued = world.network.queued(node.store, slot.store);
        if queued > LINK_MESSAGES_MAX {
            return Err(format!("{queued} messages are under way from {} to {}", node.store, slot.store));
        }
    }
    let (commands, bytes) = node.executor.writes_under_way();
    let options = ExecutorOptions::default();
    if commands > options.write_commands_max || bytes > options.write_bytes_max {
        return Err(format!("{commands} writes of {bytes} bytes are under way at store {}", node.store));
    }
    // Each replica keeps one image that waits and one that is being restored; further ones are on their way in or out.
    let config = &world.options.config;
    let imports = nokv_engine::Engine::imports(&node.engine).map_or(0, |imports| imports.len());
    if imports > 4 * node.gates().len() + 2 * config.images_receiving_max + 4 {
        return Err(format!("{imports} imports are on the disk of store {}", node.store));
    }
    Ok(())
}
