//! Random sequences of all operations on an instance, compared with a simple model.

use std::collections::BTreeMap;

use common::{
    flavor::Flavor,
    image::ImageMeta,
    system_metadata::{min_disk, system_metadata_from_image},
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use proto::nova::v1::{
    GetFlavorRequest, InstanceTask, ListInstancesRequest, instance_history_entry::Operation,
    instance_task::State as TaskState,
};
use tokio::{runtime::Handle, task::block_in_place};

use super::*;

mod expected;

use expected::{Body, Doing, Model};

on_both_databases!(instances_are_what_the_model_says, instances_that_agents_run_are_what_the_model_says);

/// Number of sequences.
const CASES: u32 = 24;

/// Maximum number of steps per sequence.
const STEPS: usize = 24;

/// Flavors to resize to.
const FLAVORS: [&str; 3] = ["2", "3", "4"];

/// Images to rebuild from.
const IMAGES: usize = 2;

/// A step of a sequence.
#[derive(Debug, Clone)]
enum Act {
    Snapshot,
    Rebuild(usize),
    Resize(usize),
    Confirm,
    Revert,
    Edit(u8, u8),
    Remove(u8),
    Shelve,
    Unshelve,
    Report(State),
    End(Outcome),
    ChangeImage(usize, u8, u8),
    ForgetImage(usize),
}

/// The environment of a sequence.
struct Play<'a> {
    nova: &'a Nova,
    flavors: Vec<Flavor>,
    images: Vec<Image>,
    model: Model,
    id: String,
    has_agent: bool,
}

fn act() -> impl Strategy<Value = Act> {
    let states = [
        State::Active,
        State::Stopped,
        State::Paused,
        State::Suspended,
        State::Error,
        State::Resized,
        State::ShelvedOffloaded,
    ];
    let outcome = prop_oneof![4 => Just(Outcome::Succeeded), 1 => Just(Outcome::Failed)];
    prop_oneof![
        2 => Just(Act::Snapshot),
        3 => (0..IMAGES).prop_map(Act::Rebuild),
        4 => (0..FLAVORS.len()).prop_map(Act::Resize),
        2 => Just(Act::Confirm),
        2 => Just(Act::Revert),
        3 => (0..3_u8, any::<u8>()).prop_map(|(name, value)| Act::Edit(name, value)),
        1 => (0..3_u8).prop_map(Act::Remove),
        2 => Just(Act::Shelve),
        3 => Just(Act::Unshelve),
        4 => proptest::sample::select(states.to_vec()).prop_map(Act::Report),
        2 => Just(Act::Report(State::Error)),
        9 => outcome.prop_map(Act::End),
        2 => (0..IMAGES, 0..3_u8, any::<u8>()).prop_map(|(image, name, value)| Act::ChangeImage(image, name, value)),
        1 => (0..IMAGES).prop_map(Act::ForgetImage),
    ]
}

async fn instances_are_what_the_model_says(db: TestDb) {
    run(&alone(db).await, false).await;
}

async fn instances_that_agents_run_are_what_the_model_says(db: TestDb) {
    run(&Nova::start(db).await, true).await;
}

async fn run(nova: &Nova, has_agent: bool) {
    let flavors = flavors(nova).await;
    let sequences = proptest::collection::vec(act(), 1..STEPS);
    block_in_place(|| {
        let mut runner =
            TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        let run = |acts: Vec<Act>| Handle::current().block_on(play(nova, flavors.clone(), has_agent, acts));
        runner.run(&sequences, run).unwrap();
    });
}

async fn flavors(nova: &Nova) -> Vec<Flavor> {
    let mut flavors = Vec::new();
    for id in FLAVORS {
        let request = GetFlavorRequest { id: id.to_owned() };
        let flavor = nova.flavors().get_flavor(request).await.unwrap().into_inner();
        flavors.push(Flavor {
            instance_type_id: flavor.instance_type_id,
            flavorid: flavor.id,
            name: flavor.name,
            memory_mb: flavor.memory_mb,
            vcpus: flavor.vcpus,
            root_gb: flavor.root_gb,
            ephemeral_gb: flavor.ephemeral_gb,
            swap: flavor.swap,
            rxtx_factor: flavor.rxtx_factor.unwrap(),
            vcpu_weight: flavor.vcpu_weight,
        });
    }
    flavors
}

async fn play(
    nova: &Nova,
    flavors: Vec<Flavor>,
    has_agent: bool,
    acts: Vec<Act>,
) -> Result<(), TestCaseError> {
    let images: Vec<_> = (0..IMAGES).map(|n| nova.glance.with(&[("p0", &n.to_string())])).collect();
    let instance = nova.active(&images[0]).await;
    let body = Body {
        image: (images[0].id.clone(), 1),
        flavor: 0,
        entries: stamped(&images[0], &flavors[0]),
        resize: BTreeMap::new(),
    };
    let revision = instance.revision;
    let model =
        Model { state: State::Active, body, doing: None, saved: None, broken: None, images: 0, revision };
    let mut play = Play { nova, flavors, images, model, id: instance.id, has_agent };
    for act in acts {
        play.step(&act).await?;
        play.check().await?;
    }
    play.check_history().await
}

/// The entries of an image in an instance's record.
fn stamped(image: &Image, flavor: &Flavor) -> BTreeMap<String, String> {
    let meta = ImageMeta {
        properties: image.properties.clone(),
        min_ram: Some(0),
        min_disk: Some(0),
        ..ImageMeta::default()
    };
    let mut stamped = system_metadata_from_image(&meta, Some(flavor));
    stamped.set_default("image_base_image_ref", &image.id);
    stamped.entries
}

fn prefixed(prefix: &str, flavor: &Flavor) -> impl Iterator<Item = (String, String)> {
    flavor.system_metadata().into_iter().map(move |(key, value)| (format!("{prefix}{key}"), value))
}

fn property(name: u8) -> String {
    format!("p{name}")
}

impl Play<'_> {
    /// Makes a step, whether the model allows it or not.
    async fn step(&mut self, act: &Act) -> Result<(), TestCaseError> {
        match act {
            Act::ChangeImage(image, name, value) => {
                let id = self.images[*image].id.clone();
                if self.nova.glance.find(&id).is_some() {
                    let set =
                        |image: &mut Image| drop(image.properties.insert(property(*name), value.to_string()));
                    self.images[*image] = self.nova.glance.change(&id, set);
                }
                return Ok(());
            }
            Act::ForgetImage(image) => {
                self.nova.glance.forget(&self.images[*image]);
                return Ok(());
            }
            _ => {}
        }
        let expected = self.expect(act);
        let done = self.act(act).await;
        match (expected, done) {
            (Ok(()), Ok(_)) => Ok(()),
            (Err(reason), Err(status)) => {
                let found = crate::support::reason(&status);
                prop_assert_eq!(found, reason, "{:?}: {:?}", act, status);
                Ok(())
            }
            (expected, done) => {
                Err(TestCaseError::fail(format!("{act:?}: {expected:?} was expected, not {done:?}")))
            }
        }
    }

    async fn act(&self, act: &Act) -> Result<Instance, Status> {
        let (nova, id) = (self.nova, &*self.id);
        let edit = |set: &[(&str, &str)], remove: Vec<String>| UpdateInstanceImagePropertiesRequest {
            id: id.to_owned(),
            set: map(set),
            remove,
            ..Default::default()
        };
        match act {
            Act::Snapshot => {
                let (id, name) = (id.to_owned(), "s".to_owned());
                let request = SnapshotInstanceRequest { id, name, ..Default::default() };
                Ok(nova.snapshot(request).await?.instance.unwrap())
            }
            Act::Rebuild(image) => nova.rebuild(id, &self.images[*image].id).await,
            Act::Resize(flavor) => nova.resize(id, FLAVORS[*flavor]).await,
            Act::Confirm => nova.confirm(id).await,
            Act::Revert => nova.revert(id).await,
            Act::Edit(name, value) => {
                nova.edit(edit(&[(&property(*name), &value.to_string())], vec![])).await
            }
            Act::Remove(name) => nova.edit(edit(&[], vec![property(*name)])).await,
            Act::Shelve => nova.shelve(id).await,
            Act::Unshelve => nova.unshelve(id).await,
            Act::Report(state) => {
                let now = nova.get(id).await.unwrap();
                nova.report(ReportInstanceStateRequest { state: (*state).into(), ..seen(&now) }).await
            }
            Act::End(outcome) => {
                let now = nova.get(id).await.unwrap();
                nova.report(ReportInstanceStateRequest { result: (*outcome).into(), ..seen(&now) }).await
            }
            Act::ChangeImage(..) | Act::ForgetImage(_) => unreachable!("no instance is asked"),
        }
    }

    /// Does a step in the model, or says why it is refused.
    fn expect(&mut self, act: &Act) -> Result<(), &'static str> {
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

    /// Compares the instance with the model.
    async fn check(&self) -> Result<(), TestCaseError> {
        let (found, model) = (self.nova.get(&self.id).await.unwrap(), &self.model);
        let task = found.task.as_ref().map(InstanceTask::state);
        prop_assert_eq!((found.state(), task), (model.state, model.doing.as_ref().map(|doing| doing.task)));
        prop_assert_eq!(found.revision, model.revision);
        prop_assert_eq!((&found.image_id, found.image_revision), (&model.body.image.0, model.body.image.1));
        let mut entries = found.system_metadata.clone();
        entries.retain(|key, _| !key.starts_with("shelved_"));
        let is_shelved = entries.len() < found.system_metadata.len();
        prop_assert_eq!(is_shelved, model.broken.unwrap_or(model.state) == State::ShelvedOffloaded);
        prop_assert_eq!(entries, self.entries());
        let flavor = found.flavor.unwrap();
        prop_assert_eq!(flavor.id, FLAVORS[model.body.flavor]);
        let made = self
            .nova
            .glance
            .all()
            .into_iter()
            .filter(|image| image.properties.get("instance_uuid").is_some_and(|id| *id == self.id));
        prop_assert_eq!(made.count(), model.images);
        Ok(())
    }

    /// The entries that the model expects.
    fn entries(&self) -> BTreeMap<String, String> {
        let Body { flavor, entries, resize, .. } = self.model.body.clone();
        entries.into_iter().chain(resize).chain(self.flavors[flavor].system_metadata()).collect()
    }

    /// Checks that history, replayed from its beginning, leads to the current state.
    async fn check_history(&self) -> Result<(), TestCaseError> {
        let (found, history) = (self.nova.get(&self.id).await.unwrap(), self.nova.history(&self.id).await);
        let revisions: Vec<_> = history.iter().map(|entry| entry.revision).collect();
        prop_assert_eq!(revisions, (1..=self.model.revision).collect::<Vec<_>>());
        prop_assert_eq!(history[0].operation(), Operation::Create);
        for pair in history.windows(2) {
            prop_assert_eq!(pair[0].new_state(), pair[1].old_state());
            prop_assert_eq!(&pair[0].new_image_id, &pair[1].old_image_id);
        }
        let mut entries = BTreeMap::new();
        for change in history.into_iter().flat_map(|entry| entry.changes) {
            prop_assert_eq!(entries.get(&change.key), change.old_value.as_ref());
            match change.new_value {
                Some(value) => drop(entries.insert(change.key, value)),
                None => drop(entries.remove(&change.key)),
            }
        }
        prop_assert_eq!(entries, found.system_metadata);
        let listed =
            self.nova.list(ListInstancesRequest { page_size: 1, ..Default::default() }).await.unwrap();
        let newest = &listed.instances[0];
        prop_assert_eq!(newest, &self.nova.get(&newest.id).await.unwrap());
        Ok(())
    }
}
