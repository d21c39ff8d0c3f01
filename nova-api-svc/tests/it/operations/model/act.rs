//! The steps of a sequence.

use proptest::prelude::*;

use super::*;

/// A step of a sequence.
#[derive(Debug, Clone)]
pub(super) enum Act {
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

pub(super) fn act() -> impl Strategy<Value = Act> {
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

impl Play<'_> {
    /// Makes a step that is about the instance.
    pub(super) async fn act(&self, act: &Act) -> Result<Instance, Status> {
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
}
