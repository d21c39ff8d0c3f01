//! cinder-svc in this process, with callers that say anything about a few volumes, concurrently. Whatever they say, an error has a
//! documented reason, a volume is what its history says, and nobody sees what belongs to another project.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};

use call::Call;
use play::Play;
use world::World;

mod call;
mod check;
mod play;
#[path = "../services.rs"]
mod services;
mod world;

/// After how many inputs to start a new world, so that lists stay short.
const INPUTS: usize = 500;

/// Maximum number of rounds per input: the calls of a round are concurrent, and the next round begins when they have ended.
const ROUNDS: usize = 3;

/// Maximum number of calls per round.
const CALLS: usize = 6;

/// The calls of an input.
#[derive(Debug, Arbitrary)]
struct Input {
    /// Whether an agent keeps the data, and reports.
    has_agent: bool,
    rounds: [[Option<Call>; CALLS]; ROUNDS],
}

thread_local! {
    static STATE: RefCell<Option<(World, usize)>> = const { RefCell::new(None) };
}

fuzz_target!(|input: Input| {
    STATE.with_borrow_mut(|state| {
        let (world, inputs) = state.get_or_insert_with(|| (World::start(), 0));
        let runtime = world.runtime();
        runtime.block_on(async {
            let mut play = Play::begin(world, input.has_agent, *inputs).await;
            for round in input.rounds {
                play.round(round.into_iter().flatten()).await;
            }
            check::everything(&play).await;
        });
        *inputs += 1;
        if *inputs == INPUTS {
            *state = None;
        }
    });
});
