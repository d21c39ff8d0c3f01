//! Compares glance-svc with OpenStack's own Glance: both get the same random requests and must give the same answers, except
//! for what `known.rs` lists.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod answer;
mod bodies;
mod compare;
mod dice;
mod known;
mod pair;
mod queries;
mod steps;
mod who;

use std::collections::BTreeMap;

use dice::Dice;
use pair::Pair;

/// Number of requests to compare, unless `REQUESTS` says otherwise.
const REQUESTS: usize = 1200;

/// Number of requests per sequence; the next one begins without images.
const SEQUENCE: usize = 60;

/// Maximum number of differences to show.
const SHOWN: usize = 25;

#[expect(clippy::disallowed_methods, reason = "how a longer run, or one sequence again, is asked for")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().expect("it is a number"))
}

#[test]
fn both_answer_the_same() {
    let mut pair = Pair::start();
    let (mut found, mut met) = (Vec::new(), BTreeMap::<&str, usize>::new());
    let requests = number("REQUESTS").map_or(REQUESTS, |requests| usize::try_from(requests).unwrap());
    let first = number("SEED").unwrap_or(1);
    for seed in (first..).take(requests.div_ceil(SEQUENCE)) {
        let mut dice = Dice::new(seed);
        pair.clear();
        for number in 0..SEQUENCE {
            let step = steps::next(&mut dice, &pair.images, &pair.gone);
            match pair.ask(&step) {
                Ok(None) => {}
                Ok(Some(reason)) => *met.entry(reason).or_default() += 1,
                Err(difference) => found.push(format!("SEED={seed}, request {number}: {difference}")),
            }
        }
    }
    let count = found.len();
    found.truncate(SHOWN);
    assert!(found.is_empty(), "{count} differences that are not known:\n\n{}", found.join("\n\n"));
    let never: Vec<_> = known::KNOWN
        .iter()
        .filter(|known| !known.is_rare)
        .map(|known| known.reason)
        .filter(|reason| !met.contains_key(reason))
        .collect();
    assert!(requests <= REQUESTS || never.is_empty(), "known differences that were not met: {never:#?}");
}
