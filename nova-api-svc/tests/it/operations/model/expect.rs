//! What a step does in the model.

use super::*;

impl Play<'_> {
    /// Does a step in the model, or says why it is refused.
    pub(super) fn expect(&mut self, act: &Act) -> Result<(), &'static str> {
        use State::{Active, Error, Paused, Resized, ShelvedOffloaded, Stopped, Suspended};
        let allowed: &[State] = match act {
            Act::Snapshot | Act::Shelve => &[Active, Stopped, Paused, Suspended],
            Act::Rebuild(_) => &[Active, Stopped, Error],
            Act::Resize(_) => &[Active, Stopped],
            Act::Confirm | Act::Revert => &[Resized],
            Act::Edit(..) | Act::Remove(_) => &[Active, Stopped, Paused, Suspended, ShelvedOffloaded, Error],
            Act::Unshelve => &[ShelvedOffloaded],
            Act::Report(state) => return self.model.report(*state),
            Act::End(outcome) => return self.model.end(*outcome),
            Act::ChangeImage(..) | Act::ForgetImage(_) => return Ok(()),
        };
        if self.model.doing.is_some() || !allowed.contains(&self.model.state) {
            return Err("WRONG_STATE");
        }
        let (before, saved) = (self.model.body.clone(), self.model.saved.clone());
        let (task, target, arrival) = match act {
            Act::Snapshot => (TaskState::ImageSnapshot, before, self.model.state),
            Act::Rebuild(image) => {
                let image = self.nova.glance.find(&self.images[*image].id).ok_or("IMAGE_NOT_FOUND")?;
                let entries = stamped(&image, &self.flavors[before.flavor]);
                let arrival = if self.model.state == Error { Active } else { self.model.state };
                (
                    TaskState::Rebuilding,
                    Body { image: (image.id, image.revision), entries, resize: BTreeMap::new(), ..before },
                    arrival,
                )
            }
            Act::Resize(flavor) => return self.resize(*flavor),
            Act::Confirm => {
                let target = Body { resize: BTreeMap::new(), ..before };
                (TaskState::ResizeConfirming, target, saved.unwrap().0)
            }
            Act::Revert => {
                let (state, body) = saved.unwrap();
                (TaskState::ResizeReverting, body, state)
            }
            Act::Edit(name, value) => {
                self.model.edit(&property(*name), Some(value.to_string()));
                return Ok(());
            }
            Act::Remove(name) => {
                self.model.edit(&property(*name), None);
                return Ok(());
            }
            Act::Shelve => (TaskState::Shelving, before, ShelvedOffloaded),
            _ => (TaskState::Unshelving, before, Active),
        };
        self.begin(task, target, arrival);
        Ok(())
    }

    fn resize(&mut self, flavor: usize) -> Result<(), &'static str> {
        let before = self.model.body.clone();
        let (old, new) = (&self.flavors[before.flavor], &self.flavors[flavor]);
        if flavor == before.flavor {
            return Err("SAME_FLAVOR");
        }
        if new.root_gb == 0 && old.root_gb != 0 {
            return Err("CANNOT_RESIZE_DISK");
        }
        let mut resize: BTreeMap<_, _> = prefixed("new_", new).collect();
        let name = self.model.state.as_str_name().to_lowercase();
        resize.insert("old_vm_state".to_owned(), name);
        self.model.saved = Some((self.model.state, before.clone()));
        self.model.body.resize = resize.clone();
        resize.extend(prefixed("old_", old));
        let mut entries = before.entries.clone();
        // No image here asks for a root disk of its own.
        let stretched = min_disk(None, Some(0), new.root_gb).to_string();
        entries.insert("image_min_disk".to_owned(), stretched);
        let target = Body { flavor, entries, resize, ..before };
        self.begin(TaskState::ResizePrep, target, State::Resized);
        Ok(())
    }

    fn begin(&mut self, task: TaskState, target: Body, arrival: State) {
        let makes_image = matches!(task, TaskState::ImageSnapshot | TaskState::Shelving);
        self.model.images += usize::from(makes_image);
        self.model.revision += 1;
        self.model.doing = Some(Doing { task, target, arrival, makes_image });
        if !self.has_agent {
            // Where an image is registered, that takes a change of its own.
            self.model.revision -= i64::from(!makes_image);
            self.model.end(Outcome::Succeeded).unwrap();
        }
    }
}

fn prefixed(prefix: &str, flavor: &Flavor) -> impl Iterator<Item = (String, String)> {
    flavor.system_metadata().into_iter().map(move |(key, value)| (format!("{prefix}{key}"), value))
}
