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

mod act;
mod check;
mod expect;
mod expected;

use act::{Act, act};
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

/// The environment of a sequence.
struct Play<'a> {
    nova: &'a Nova,
    flavors: Vec<Flavor>,
    images: Vec<Image>,
    model: Model,
    id: String,
    has_agent: bool,
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
}
