//! Runs every script under `testscripts/`: one behaviour each, with what each command answers and writes.
//! Regenerate with `UPDATE_GOLDENFILES=1 cargo test -p nokv-placement --test scripts`, and read before committing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod arguments;
mod schedule_commands;
mod show;
mod state_commands;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

use nokv_engine::{Engine as _, MemoryEngine, WriteBatch};
use nokv_placement::schedule::Scheduler;
use nokv_placement::state::{Command, State};
use nokv_raftstore::StoreId;

use arguments::Arguments;

test_each_file::test_each_path! { in "./placement/testscripts" as scripts => run_script }

fn run_script(path: &Path) {
    goldenscript::run(&mut World::new(), path).unwrap();
}

/// What a command prints.
type Output = Result<String, Box<dyn Error>>;

/// A cluster on paper: the state, the engine that keeps it, what is scheduled, and the time.
struct World {
    state: State,
    engine: MemoryEngine,
    scheduler: Scheduler,
    /// Stores that are not heard of.
    mute: BTreeSet<StoreId>,
    next_peer: u64,
    now_ms: u64,
}

impl goldenscript::Runner for World {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &goldenscript::Command, _: &goldenscript::Context) -> Output {
        let mut arguments = Arguments::of(command);
        let output = match self.run_on_schedule(&command.name, &mut arguments) {
            Some(output) => output?,
            None => self.run_on_state(&command.name, &mut arguments)?,
        };
        arguments.reject_rest()?;
        Ok(output)
    }
}

impl World {
    fn new() -> Self {
        let (state, engine, scheduler) = (State::default(), MemoryEngine::default(), Scheduler::new(0, 1));
        Self { state, engine, scheduler, mute: BTreeSet::new(), next_peer: 0, now_ms: 0 }
    }

    /// Decides a command, keeps what it writes, and shows both.
    fn decide(&mut self, command: Command) -> Output {
        let mut batch = WriteBatch::new();
        let reply = self.state.decide(command, self.now_ms, &mut batch);
        assert!(reply.is_ok() || batch.is_empty(), "a refused command writes nothing");
        self.engine.write(&batch, false)?;
        Ok(format!("{}{}", show::reply(&reply), show::writes(&batch)?))
    }
}
