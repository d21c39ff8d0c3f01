//! The model: what an instance should be.

use std::collections::BTreeMap;

use proto::nova::v1::{
    instance::State, instance_task::State as TaskState, report_instance_state_request::Result as Outcome,
};

/// What the instance is made from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Body {
    pub(super) image: (String, i64),
    pub(super) flavor: usize,
    /// The entries of the image.
    pub(super) entries: BTreeMap<String, String>,
    /// The entries of a resize.
    pub(super) resize: BTreeMap<String, String>,
}

/// What is being done.
#[derive(Debug, Clone)]
pub(super) struct Doing {
    pub(super) task: TaskState,
    pub(super) target: Body,
    pub(super) arrival: State,
    pub(super) makes_image: bool,
}

/// What the instance should be.
pub(super) struct Model {
    pub(super) state: State,
    pub(super) body: Body,
    pub(super) doing: Option<Doing>,
    /// State and body before a resize.
    pub(super) saved: Option<(State, Body)>,
    /// What an instance in error was, if it only comes back to there.
    pub(super) broken: Option<State>,
    /// Images that were made from it and are there.
    pub(super) images: usize,
    pub(super) revision: i64,
}

impl Model {
    /// Sets a property of the copy, or removes it.
    pub(super) fn edit(&mut self, name: &str, value: Option<String>) {
        let (key, before) = (format!("image_{name}"), self.body.entries.clone());
        match value {
            Some(value) => drop(self.body.entries.insert(key, value)),
            None => drop(self.body.entries.remove(&key)),
        }
        self.revision += i64::from(self.body.entries != before);
    }

    /// Takes a report that does not end a task as it should.
    pub(super) fn report(&mut self, state: State) -> Result<(), &'static str> {
        if state == self.state {
            return Ok(());
        }
        let settled = [State::Resized, State::ShelvedOffloaded];
        if state == State::Error {
            if self.doing.is_some() {
                self.end(Outcome::Failed)?;
            } else {
                self.revision += 1;
            }
            self.broken = Some(self.state).filter(|state| settled.contains(state));
            self.state = state;
            return Ok(());
        }
        let follows = match self.broken {
            Some(broken) => state == broken,
            None => !settled.contains(&state) && !settled.contains(&self.state),
        };
        if self.doing.is_some() || !follows {
            return Err("INVALID_REQUEST");
        }
        (self.state, self.broken) = (state, None);
        self.revision += 1;
        Ok(())
    }

    /// Ends the task.
    pub(super) fn end(&mut self, outcome: Outcome) -> Result<(), &'static str> {
        let Some(Doing { task, target, arrival, makes_image }) = self.doing.take() else {
            return Err("INVALID_REQUEST");
        };
        self.revision += 1;
        let ends_resize = matches!(task, TaskState::ResizeConfirming | TaskState::ResizeReverting);
        if outcome == Outcome::Succeeded {
            (self.state, self.body) = (arrival, target);
            self.images -= usize::from(task == TaskState::Unshelving);
            if ends_resize || task == TaskState::Rebuilding {
                (self.saved, self.broken) = (None, None);
            }
        } else if task == TaskState::ResizePrep {
            self.body = self.saved.take().unwrap().1;
        } else {
            self.images -= usize::from(makes_image);
        }
        Ok(())
    }
}
