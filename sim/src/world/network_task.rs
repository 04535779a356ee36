//! Moves the in-memory network on: sleeps until its next event, lets it happen, and writes it down.
//! All that arrives, arrives through here, so its order is the seed's.

use std::sync::Arc;
use std::time::Duration;

use nokv_transport::memory::Happening;

use super::World;

impl World {
    /// Told whenever something was sent.
    pub fn network_was_used(&self) {
        self.network_stirred.notify_one();
    }

    /// Tells the network what time it is: what is due arrives.
    pub fn move_network(&self) {
        while let Some(happening) = self.network.deliver_one(self.now()) {
            match happening {
                // Deliveries show in what they cause.
                Happening::Delivered { .. } | Happening::Held { .. } => {}
                Happening::Lost { from, to } => self.note(format_args!("lost: a message from {from} to {to}")),
                Happening::ReportedUnreachable { from, to } => {
                    self.note(format_args!("store {from} hears that {to} is unreachable"));
                }
            }
        }
    }

    /// Delivers until the run ends.
    pub async fn deliver(self: Arc<Self>) {
        loop {
            self.move_network();
            let wait = self.network.next_event().map(|at| at.saturating_sub(self.now()));
            let wait = wait.unwrap_or(Duration::from_secs(3_600));
            tokio::select! {
                biased;
                () = self.network_stirred.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
