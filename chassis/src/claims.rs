//! Claims of request ids: whoever claims one first creates something, and a retry is answered with what that was.
//!
//! Requests that share a transaction claim their ids together ([`Claims`]); then each is decided, and those that were
//! refused give up theirs. A table of claims has a row for each project and request id; when the row was written is a time
//! by the database's clock.

use std::{collections::HashSet, hash::Hash};

use serde::Serialize;

use crate::db::{self, ByDialect, FromRow, Transaction, json};

/// How often a request checks again whether its id is free.
const TRIES: usize = 5;

/// What a request claims before it creates anything. Serialized, it is a row of the table, which the statements take as
/// JSON.
pub trait Claim: Serialize {
    /// The id of what is to be created, which tells apart claims of the same request id.
    type CreatedId: Eq + Hash;

    /// Claims the request ids of `$1`, except those that are taken; returns the ids of what is created with them.
    const CLAIM: ByDialect;

    /// Gives up the claims of `$1`.
    const GIVE_UP: ByDialect;

    /// The project and the request id; `None` for a request without an id, which claims nothing.
    fn key(&self) -> Option<(&str, &str)>;

    /// The id of what is to be created.
    fn created_id(&self) -> Self::CreatedId;
}

/// A batch of requests that share a transaction, and their claims.
#[derive(Debug)]
pub struct Claims<'a, T, C: Claim> {
    requests: Vec<(&'a T, &'a C)>,
    /// What may be created by those whose claims succeeded.
    claimed: HashSet<C::CreatedId>,
    refused: Vec<&'a C>,
    heirs: Vec<&'a C>,
}

impl<'a, T, C: Claim> Claims<'a, T, C>
where
    (C::CreatedId,): FromRow,
{
    /// Those of a batch.
    pub fn of(batch: &'a [T], claim: impl Fn(&'a T) -> &'a C) -> Self {
        let requests = batch.iter().map(|request| (request, claim(request))).collect();
        Self { requests, claimed: HashSet::new(), refused: Vec::new(), heirs: Vec::new() }
    }

    /// Whether none of the requests has an id.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.iter().all(|(_, claim)| claim.key().is_none())
    }

    /// Claims the ids of all requests.
    pub async fn take(&mut self, tx: &mut Transaction) -> Result<(), db::Error> {
        self.claimed = claim(tx, self.requests.iter().map(|(_, claim)| *claim)).await?;
        Ok(())
    }

    /// Decides every request whose claim succeeded, one after the other. If one is refused, the next one with the same id
    /// takes its place. `None` is the outcome of those whose id is taken.
    pub fn decide<R, E>(
        &mut self,
        mut decide: impl FnMut(&'a T) -> Result<R, E>,
    ) -> Vec<Result<Option<R>, E>> {
        let (mut outcomes, mut free) = (Vec::with_capacity(self.requests.len()), HashSet::new());
        for (request, claim) in &self.requests {
            let key = claim.key();
            let is_first = key.is_none() || self.claimed.contains(&claim.created_id());
            if !is_first && !free.contains(&key) {
                outcomes.push(Ok(None));
                continue;
            }
            let outcome = decide(request);
            if outcome.is_err() {
                self.refused.push(claim);
                free.insert(key);
            } else if free.remove(&key) && key.is_some() {
                self.heirs.push(claim);
            }
            outcomes.push(outcome.map(Some));
        }
        outcomes
    }

    /// Gives up the claims of those that were refused, for the ones that took their places.
    pub async fn settle(&self, tx: &mut Transaction) -> Result<(), db::Error> {
        let refused = rows(self.refused.iter().copied());
        if !refused.is_empty() {
            tx.query(C::GIVE_UP).bind(json(&refused)).execute().await?;
        }
        // They succeed: the ones that were given up are this transaction's own.
        claim(tx, self.heirs.iter().copied()).await.map(drop)
    }
}

/// Claims request ids; returns the ids of what may be created.
pub async fn claim<'a, C>(
    tx: &mut Transaction,
    claims: impl Iterator<Item = &'a C>,
) -> Result<HashSet<C::CreatedId>, db::Error>
where
    C: Claim + 'a,
    (C::CreatedId,): FromRow,
{
    let rows = rows(claims);
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let claimed = tx.query_scalar(C::CLAIM).bind(json(&rows)).fetch_all().await?;
    Ok(claimed.into_iter().collect())
}

/// The rows of those requests that have an id, in an order that is the same for every replica: two that claim the same ids
/// must not wait for each other.
fn rows<'a, C: Claim + 'a>(claims: impl Iterator<Item = &'a C>) -> Vec<&'a C> {
    let mut rows: Vec<_> = claims.filter(|claim| claim.key().is_some()).collect();
    rows.sort_by_key(|claim| claim.key());
    rows
}

/// Creates what a request asks for. If another request with the same id came first, `create` gives `None`, and the answer
/// is what that one created, as `find` finds it. If that one was refused, or is so old that it was swept, this one is tried
/// in its own right. `None` if other requests keep being begun and refused.
pub async fn create_once<T, E, C, F>(create: impl Fn() -> C, find: impl Fn() -> F) -> Result<Option<T>, E>
where
    C: Future<Output = Result<Option<T>, E>>,
    F: Future<Output = Result<Option<T>, E>>,
{
    for _ in 0..TRIES {
        if let Some(created) = create().await? {
            return Ok(Some(created));
        }
        if let Some(before) = find().await? {
            return Ok(Some(before));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with that id, or none if it is empty, and the number of what it creates, which is refused if it is odd.
    #[derive(Debug, Serialize)]
    struct Request(&'static str, i64);

    impl Claim for Request {
        type CreatedId = i64;

        const CLAIM: ByDialect = ByDialect { sqlite: "", postgres: "" };
        const GIVE_UP: ByDialect = ByDialect { sqlite: "", postgres: "" };

        fn key(&self) -> Option<(&str, &str)> {
            (!self.0.is_empty()).then_some(("project", self.0))
        }

        fn created_id(&self) -> i64 {
            self.1
        }
    }

    /// What is created, and which numbers are refused, and inherit.
    type Decided = (Vec<Result<Option<i64>, i64>>, Vec<i64>, Vec<i64>);

    /// What becomes of a batch if those numbers were claimed.
    fn decide(batch: &[Request], claimed: &[i64]) -> Decided {
        let mut claims = Claims::of(batch, |request| request);
        claims.claimed = claimed.iter().copied().collect();
        let outcomes =
            claims.decide(|request| if request.1 % 2 == 0 { Ok(request.1) } else { Err(request.1) });
        let numbers = |claims: Vec<&Request>| claims.into_iter().map(|request| request.1).collect();
        (outcomes, numbers(claims.refused), numbers(claims.heirs))
    }

    #[test]
    fn requests_without_an_id_are_decided_each_by_itself() {
        let batch = [Request("", 1), Request("", 2), Request("", 4)];
        assert!(Claims::of(&batch, |request| request).is_empty());
        assert_eq!(decide(&batch, &[]), (vec![Err(1), Ok(Some(2)), Ok(Some(4))], vec![1], vec![]));
    }

    #[test]
    fn only_the_first_with_an_id_creates_something() {
        let batch = [Request("a", 2), Request("a", 4), Request("b", 6)];
        assert_eq!(decide(&batch, &[2]), (vec![Ok(Some(2)), Ok(None), Ok(None)], vec![], vec![]));
    }

    #[test]
    fn the_next_one_with_its_id_takes_the_place_of_one_that_is_refused() {
        let batch = [Request("a", 1), Request("b", 8), Request("a", 3), Request("a", 4), Request("a", 6)];
        let outcomes = vec![Err(1), Ok(Some(8)), Err(3), Ok(Some(4)), Ok(None)];
        assert_eq!(decide(&batch, &[1, 8]), (outcomes, vec![1, 3], vec![4]));
    }

    #[test]
    fn rows_have_the_same_order_everywhere() {
        let batch = [Request("b", 1), Request("", 2), Request("a", 3), Request("b", 4)];
        assert_eq!(rows(batch.iter()).iter().map(|claim| claim.1).collect::<Vec<_>>(), [3, 1, 4]);
    }
}
