//! What can go wrong with a request of the fake cluster.
//! Each fault names a call, how often it strikes and what it does; a test lays them before it lets the client go.

use std::time::Duration;

use nokv_client::RpcError;
use nokv_proto::errorpb;

use crate::cluster::State;

/// Goes wrong with the next `times` requests of one call (to one region, if named).
pub struct Fault {
    pub call: &'static str,
    pub region: Option<u64>,
    pub times: usize,
    pub effect: Effect,
}

/// What happens to the request.
pub enum Effect {
    /// It is lost on its way; the connection breaks.
    LoseRequest,
    /// It is executed, then the connection breaks.
    LoseReply,
    /// It is executed, but there is never an answer.
    Silence,
    /// It is never executed and never answered.
    Swallow,
    /// It is never executed, and fails like this.
    Fail(RpcError),
    /// It is answered with this region error instead.
    RegionError(Box<errorpb::Error>),
    /// Something happens just before it arrives.
    Before(Box<dyn Fn(&mut State) + Send>),
    /// It is lost, but a copy arrives this much later, when the client has long given it up.
    Late(Duration),
    /// It is executed twice, the second time this much later.
    Again(Duration),
}

impl Fault {
    pub fn once(call: &'static str, effect: Effect) -> Self {
        Fault { call, region: None, times: 1, effect }
    }

    pub fn always(call: &'static str, effect: Effect) -> Self {
        Fault { call, region: None, times: usize::MAX, effect }
    }

    pub fn before(call: &'static str, hook: impl Fn(&mut State) + Send + 'static) -> Self {
        Self::once(call, Effect::Before(Box::new(hook)))
    }

    pub fn in_region(self, region: u64) -> Self {
        Fault { region: Some(region), ..self }
    }

    pub fn times(self, times: usize) -> Self {
        Fault { times, ..self }
    }
}

/// What a fault leaves to be done with the request it hit.
#[derive(Default)]
pub struct Verdict {
    pub lose_request: bool,
    pub lose_reply: bool,
    pub silent: bool,
    pub swallow: bool,
    pub fail: Option<RpcError>,
    pub error: Option<Box<errorpb::Error>>,
    pub late: Option<Duration>,
    pub again: Option<Duration>,
}

impl State {
    /// Applies the faults that are due for this request.
    pub fn strike(&mut self, call: &str, region: u64) -> Verdict {
        let mut verdict = Verdict::default();
        let mut faults = std::mem::take(&mut self.faults);
        for fault in &mut faults {
            if fault.times == 0 || fault.call != call || fault.region.is_some_and(|wanted| wanted != region) {
                continue;
            }
            fault.times -= 1;
            match &fault.effect {
                Effect::LoseRequest => verdict.lose_request = true,
                Effect::LoseReply => verdict.lose_reply = true,
                Effect::Silence => verdict.silent = true,
                Effect::Swallow => verdict.swallow = true,
                Effect::Fail(error) => verdict.fail = Some(error.clone()),
                Effect::RegionError(error) => verdict.error = Some(error.clone()),
                Effect::Late(delay) => verdict.late = Some(*delay),
                Effect::Again(delay) => verdict.again = Some(*delay),
                Effect::Before(hook) => hook(self),
            }
        }
        faults.retain(|fault| fault.times > 0);
        self.faults.append(&mut faults);
        verdict
    }
}
