//! Whether the service is as the model.

use super::*;

impl Play<'_> {
    /// Compares the instance with the model.
    pub(super) async fn check(&self) -> Result<(), TestCaseError> {
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
    pub(super) async fn check_history(&self) -> Result<(), TestCaseError> {
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
