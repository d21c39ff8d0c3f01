//! Which sessions of a PostgreSQL server may be reused.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Sessions are trusted unless they were opened before something happened to the server.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Option<Instant>>);

impl Sessions {
    /// From now on, no session that is already open is reused.
    pub(super) fn distrust(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a session of that age may be used.
    pub(super) fn are_trusted(&self, age: Duration) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_none_or(|since| since.elapsed() > age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_opened_later_is_trusted() {
        let sessions = Sessions::default();
        assert!(sessions.are_trusted(Duration::from_hours(1)));
        sessions.distrust();
        assert!(!sessions.are_trusted(Duration::from_hours(1)));
        while sessions.0.lock().unwrap().unwrap().elapsed().is_zero() {}
        assert!(sessions.are_trusted(Duration::ZERO));
    }
}
