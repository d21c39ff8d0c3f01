//! Images while edits are made, one on top of the other; nothing is written yet.

use std::collections::{BTreeMap, BTreeSet};

use common::id::Id;

use super::{
    super::{VisibleImage, history::BASES},
    Edit,
    rows::LockedRow,
};
use crate::{
    error::Error,
    image::{
        Image,
        history::{Action, Change, Revision, changes},
    },
};

/// The images of a batch, by their ids, and what was done to them.
pub(super) struct Drafts {
    /// `None` for an image that makes no sense.
    images: BTreeMap<Id, Option<Draft>>,
    /// Those that were not read, as they are large.
    large: BTreeSet<Id>,
    /// Whole images that are kept beside their history.
    pub(super) bases: Vec<Base>,
    /// Every revision that was made, in their order.
    pub(super) revisions: Vec<Revision>,
}

/// A whole image at one of its revisions.
pub(super) struct Base {
    pub(super) image: Image,
    /// What makes it of nothing.
    pub(super) changes: Vec<Change>,
}

/// An image that is locked.
pub(super) struct Draft {
    /// As it is in the database.
    pub(super) before: Image,
    /// As the edits so far made it.
    pub(super) image: Image,
    /// Whether they changed attributes.
    pub(super) has_new_attributes: bool,
    /// The projects it is shared with, of those that edit.
    members: BTreeSet<String>,
}

/// What an edit makes of an image.
pub(super) struct Revised {
    image: Image,
    revision: Revision,
}

impl Revised {
    /// Whether nothing changes.
    pub(super) const fn is_as_before(&self) -> bool {
        self.revision.changes.is_empty()
    }
}

impl Drafts {
    /// Images as they were read.
    pub(super) fn new(rows: Vec<LockedRow>) -> Self {
        let draft = |row: LockedRow| {
            let before = Image::try_from(row.image).ok()?;
            let image = before.clone();
            Some(Draft { before, image, has_new_attributes: false, members: row.members.0 })
        };
        let (rows, large): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.image.is_whole());
        let large = large.iter().map(|row| row.image.id()).collect();
        let images = rows.into_iter().map(|row| (row.image.id(), draft(row))).collect();
        Self { images, large, bases: Vec::new(), revisions: Vec::new() }
    }

    /// Whether the image was not read, as it is large.
    pub(super) fn is_too_large(&self, id: Id) -> bool {
        self.large.contains(&id)
    }

    /// What `edit` makes of its image, which stays as it is.
    pub(super) fn revise(&self, edit: &Edit) -> Result<Revised, Error> {
        let draft = self.draft(edit.id)?;
        let mut image = draft.image.clone();
        image.revision += 1;
        image.update_time = image.update_time.max(edit.now);
        let seen = VisibleImage { image, is_member: draft.members.contains(&edit.actor.project_id) };
        let image = (edit.change)(&seen)?;
        let revision = Revision {
            image_id: edit.id,
            revision: image.revision,
            create_time: image.update_time,
            actor: edit.actor.clone(),
            action: Action::Update,
            changes: changes(Some(&seen.image), &image),
        };
        Ok(Revised { image, revision })
    }

    /// The image as the edits so far made it.
    pub(super) fn image(&self, id: Id) -> Result<Image, Error> {
        self.draft(id).map(|draft| draft.image.clone())
    }

    fn draft(&self, id: Id) -> Result<&Draft, Error> {
        self.images.get(&id).ok_or(Error::NotFound(id))?.as_ref().ok_or(Error::Corrupt(id))
    }

    /// Makes the image what the edit made of it; gives the image.
    pub(super) fn accept(&mut self, revised: Revised) -> Image {
        let Revised { image, revision } = revised;
        if let Some(Some(draft)) = self.images.get_mut(&image.id) {
            draft.has_new_attributes |= revision.changes.iter().any(|change| change.property().is_none());
            draft.image.clone_from(&image);
        }
        if image.revision % BASES == 0 {
            self.bases.push(Base { changes: changes(None, &image), image: image.clone() });
        }
        self.revisions.push(revision);
        image
    }

    /// Whether nothing changed.
    pub(super) const fn are_as_before(&self) -> bool {
        self.revisions.is_empty()
    }

    /// The images that changed.
    pub(super) fn changed(&self) -> impl Iterator<Item = &Draft> {
        self.images.values().flatten().filter(|draft| draft.image.revision != draft.before.revision)
    }
}
