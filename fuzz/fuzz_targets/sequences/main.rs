//! Both services in this process, each on databases of its own, and callers who do what they like with a few instances, many
//! at once, with few request ids, some leaving before they are answered: nobody is told of a failure that is not his own, a
//! request id belongs to one request, and what was acknowledged is there.
#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::{arbitrary, arbitrary::Arbitrary, fuzz_target};

use call::Call;
use play::Play;
use world::World;

mod call;
mod check;
mod play;
mod world;

/// After how many inputs a world is left, so that its lists stay short.
const INPUTS: usize = 500;

/// Rounds of an input: the calls of a round are made at once, and the next one begins when they are answered.
const ROUNDS: usize = 4;

/// Most calls of a round.
const CALLS: usize = 8;

/// What callers do.
#[derive(Debug, Arbitrary)]
struct Input {
    /// Whether something runs the instances, and reports.
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
