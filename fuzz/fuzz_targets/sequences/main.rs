//! Both services in this process, on databases of their own, with concurrent callers that do anything with a few instances and
//! a few request ids, some of them leaving before they are answered. No call fails because of another caller, a request id
//! belongs to one request, and everything that was acknowledged is there.
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
const ROUNDS: usize = 4;

/// Maximum number of calls per round.
const CALLS: usize = 8;

/// The calls of an input.
#[derive(Debug, Arbitrary)]
struct Input {
    /// Whether an agent runs the instances, and reports.
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
