//! A node from its start to the signal that ends it, with what it says on standard output.
//! Standard output says what is served and when it is ready; everything else goes to the log.

use std::future::Future;
use std::io::Write as _;

use nokv_percolator::Key;
use nokv_proto::metapb::Region;
use slog::{Logger, info};

use super::{Node, NodeError, NodeOptions, exit_at_once};
use crate::key_text::KeyText;

/// Serves until `stop` resolves; then stops in order.
///
/// # Errors
/// [`NodeError`] if it does not start, or ends by itself.
pub async fn serve(options: NodeOptions, log: Logger, stop: impl Future<Output = ()>) -> Result<(), NodeError> {
    let on_fatal = exit_at_once(options.store);
    let workdir = options.workdir.display().to_string();
    let mut node = Node::start(options, log.clone(), on_fatal).await?;
    info!(log, "the store serves"; "address" => %node.address(), "workdir" => &workdir);
    announce(&node, &workdir);
    let ended = tokio::select! {
        why = node.ended() => Err(NodeError::Ended(why)),
        () = stop => Ok(()),
    };
    if ended.is_ok() {
        node.stop().await;
    }
    ended
}

/// What is served, then the line by which scripts know that it is.
fn announce(node: &Node, workdir: &str) {
    let mut text = format!("store {} in {workdir}\n", node.store());
    let regions = node.raftstore().regions();
    for status in &regions {
        text.push_str(&describe(&status.state.region, status.state.peer.id));
    }
    let count = regions.len();
    let noun = if count == 1 { "region" } else { "regions" };
    text.push_str(&format!("ready: store {} serves {count} {noun}, gRPC on {}", node.store(), node.address()));
    if let Some(status) = node.status_address() {
        text.push_str(&format!(", status on http://{status}/status"));
    }
    text.push('\n');
    let mut out = std::io::stdout().lock();
    // Whoever started us may have closed standard output; that is no reason not to serve.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn describe(region: &Region, own_peer: u64) -> String {
    let peers: Vec<String> =
        region.peers.iter().map(|peer| format!("{} on store {}", peer.id, peer.store_id)).collect();
    let (start, end) = (bound_text(&region.start_key), bound_text(&region.end_key));
    format!("region {}: keys {start} .. {end}; peers {}; here {own_peer}\n", region.id, peers.join(", "))
}

/// A region's bound as people write keys.
pub(super) fn bound_text(encoded: &[u8]) -> KeyText {
    if encoded.is_empty() {
        return KeyText::default();
    }
    // A bound that encodes no key can only come from a client of raw keys; its bytes are shown as they are.
    KeyText::from_bytes(Key::decode_encoded(encoded).unwrap_or_else(|_| encoded.to_vec()))
}
