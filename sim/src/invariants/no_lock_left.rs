//! No lock outlives its transaction for ever: once all faults are over, every transaction has ended and everything was
//! read once, no lock is left on any replica.

use nokv_engine::{Cf, Cursor as _, Engine as _, KeyRange, ReadView as _};

use super::Nodes;

/// Looks for locks.
///
/// # Errors
/// The first lock found.
pub fn check(nodes: Nodes<'_>) -> Result<(), String> {
    for node in nodes {
        let view = node.engine.view();
        let Ok(mut cursor) = view.cursor(Cf::Lock, KeyRange::ALL) else { continue };
        if cursor.seek_to_first().is_ok()
            && let Some(key) = cursor.key()
        {
            return Err(format!("store {} holds a lock on {}", node.store, key.escape_ascii()));
        }
    }
    Ok(())
}
