//! A node meets the other stores: before it takes part in anything if its directory is new, and again and again as long
//! as it runs, so that stores that come later learn of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use nokv_engine::{Engine, RaftLog};
use nokv_proto::nokvpb::admin_client::AdminClient;
use nokv_proto::nokvpb::{MeetRequest, MeetResponse};
use nokv_raftstore::{PeerId, StoreId, succeed};
use nokv_transport::AddressBook;
use slog::{Logger, warn};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::transport::Endpoint;

use super::{NodeError, OnFatal};
use crate::admin::Meeting;
use crate::region_ids::RegionIds;

/// How long one store is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Pauses until somebody has answered, and afterwards.
const PAUSE_AT_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LATER: Duration = Duration::from_secs(30);

/// Meets the others on behalf of one node.
pub(super) struct Meeter<E: Engine> {
    pub(super) meeting: Meeting<E>,
    pub(super) book: AddressBook,
    /// Where others reach this store.
    pub(super) address: String,
    pub(super) log: Logger,
}

impl<E: Engine> Meeter<E> {
    /// Before a new directory takes part in anything: if another store knows an earlier one of this store, this one
    /// begins without regions and refuses the earlier one's peers.
    ///
    /// # Errors
    /// It is one and cannot: the text says what to do.
    pub(super) async fn before_first_part(
        &self,
        engine: &E,
        raft_log: &dyn RaftLog,
        ids: Option<&RegionIds>,
    ) -> Result<(), NodeError> {
        if self.meeting.ident().met {
            return Ok(());
        }
        let answers = self.ask_all(0).await;
        let Some((other, earlier)) = self.earlier(&answers) else {
            if !answers.is_empty() {
                self.meeting.was_met()?;
            }
            return Ok(());
        };
        let store = self.meeting.ident().store;
        let floor = match ids {
            Some(ids) => ids.draw(1).await.map_err(|error| lost(store, other, &error.to_string()))?,
            None => return Err(lost(store, other, "the topology names no timestamp server")),
        };
        let floor = floor.first().copied().unwrap_or(u64::MAX);
        succeed(engine, raft_log, PeerId(floor))?;
        self.meeting.reload()?;
        self.ask_all(earlier).await;
        warn!(self.log, "this store was here before with another directory, whose promises are lost: it begins without \
                         regions; `nokv region refill` gives it new peers";
              "store" => store.0, "says" => format!("store {other}"));
        Ok(())
    }

    /// Meets everybody until `stopping`.
    pub(super) async fn go_on(self, mut stopping: watch::Receiver<bool>, on_fatal: OnFatal) {
        loop {
            let answers = self.ask_all(0).await;
            if let Some((other, _)) = self.earlier(&answers) {
                let text = "this store was here before with another directory, whose promises are lost, and has taken \
                            part with this one since; delete this directory, and start the store while others run";
                on_fatal(&format!("{text} (says store {other})"));
                return;
            }
            if !answers.is_empty()
                && let Err(error) = self.meeting.was_met()
            {
                on_fatal(&error);
                return;
            }
            let pause = if answers.len() < self.others().len() { PAUSE_AT_FIRST } else { PAUSE_LATER };
            // An error means that the node is gone.
            if timeout(pause, stopping.wait_for(|stop| *stop)).await.is_ok() {
                return;
            }
        }
    }

    /// Who knows another directory of this store, and which.
    fn earlier(&self, answers: &[MeetResponse]) -> Option<(u64, u64)> {
        let mine = self.meeting.ident().directory;
        let knows = answers.iter().find(|answer| mine != 0 && answer.known_directory_id != mine)?;
        Some((knows.store_id, knows.known_directory_id))
    }

    fn others(&self) -> Vec<(StoreId, Arc<str>)> {
        let me = self.meeting.ident().store;
        self.book.entries().into_iter().filter(|(store, _)| *store != me).collect()
    }

    async fn ask_all(&self, succeeds_directory_id: u64) -> Vec<MeetResponse> {
        let ident = self.meeting.ident();
        let request = MeetRequest {
            store_id: ident.store.0,
            directory_id: ident.directory,
            succeeds_directory_id,
            address: self.address.clone(),
        };
        let asked = self.others().into_iter().map(|(store, address)| ask(store, address, request.clone()));
        join_all(asked).await.into_iter().flatten().collect()
    }
}

async fn ask(store: StoreId, address: Arc<str>, request: MeetRequest) -> Option<MeetResponse> {
    let channel = Endpoint::from_shared(format!("http://{address}")).ok()?.connect_timeout(ANSWER_MAX).connect_lazy();
    let mut client = AdminClient::new(channel);
    let answer = timeout(ANSWER_MAX, client.meet(request)).await.ok()?.ok()?.into_inner();
    (answer.store_id == store.0).then_some(answer)
}

fn lost(store: StoreId, says: u64, why: &str) -> NodeError {
    NodeError::Flags(format!(
        "store {store} was here before with another directory (says store {says}), whose promises are lost; it can \
         only begin anew with ids for new peers, and none can be drawn ({why}); start it under a store id that was \
         never used"
    ))
}
