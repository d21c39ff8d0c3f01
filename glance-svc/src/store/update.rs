//! What updates images. Requests in flight share a transaction, and each is done, or refused, as if it were alone.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use chassis::{
    caller::Actor,
    db::{self, Db, Many, all_or_each},
    group::{BatchLimits, Group},
};
use chrono::{DateTime, Utc};
use common::id::Id;

use super::{
    Store, VisibleImage,
    data::{DataStep, take_step},
};
use crate::{error::Error, image::Image};

mod drafts;
mod lock;
mod rows;
mod write;

use drafts::Drafts;
use lock::lock;
use rows::Rows;
use write::write;

/// As many updates as share a transaction, which may all be of large images; and how long the next transaction waits
/// for the one before it: while that waits for the disk or for another replica's lock, it may go on.
const LIMITS: BatchLimits = BatchLimits { name: "updates", batch: 32, patience: Duration::from_millis(3) };

/// Makes of an image as it is the image as it will be, or refuses.
pub type Revise = Box<dyn Fn(&VisibleImage) -> Result<Image, Error> + Send + Sync>;

/// An update of one image.
pub struct Edit {
    /// The image.
    pub id: Id,
    /// Who updates it.
    pub actor: Actor,
    /// When.
    pub now: DateTime<Utc>,
    /// What becomes of its data.
    pub step: DataStep,
    /// What it becomes.
    pub change: Revise,
}

impl fmt::Debug for Edit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Edit").field("id", &self.id).field("step", &self.step).finish_non_exhaustive()
    }
}

/// An edit, as long as its caller waits for it.
pub(super) struct PendingEdit {
    edit: Arc<Edit>,
    /// Whether there is room for a large image.
    has_room: bool,
    caller: Weak<()>,
}

impl PendingEdit {
    /// The edit, unless its caller has left; then nobody reads the error.
    fn edit(&self) -> Result<&Edit, Error> {
        let is_waiting = self.caller.strong_count() > 0;
        is_waiting.then_some(&*self.edit).ok_or(Error::Database(db::Error::Unavailable(None)))
    }
}

/// None if the image is large, and there is no room for that.
type Outcome = Result<Option<Image>, Error>;

/// The edits that wait to be made.
pub(super) type Edits = Group<PendingEdit, Outcome>;

/// A group that writes to `db`.
pub(super) fn edits(db: Db) -> Edits {
    // One of a large image at most.
    Group::sized(
        LIMITS,
        1,
        |asked: &PendingEdit| usize::from(asked.has_room),
        move |batch: Vec<PendingEdit>| {
            let db = db.clone();
            async move { all_or_each(&batch, |batch| make(&db, batch)).await }
        },
    )
}

impl Store {
    /// Replaces the image by what the edit's change makes of it, and records the difference as its next revision.
    ///
    /// The change sees the image as no other update can change it meanwhile, its revision already the next one; only
    /// what it changed is written. If it changed nothing, nothing is written and there is no new revision. The step is
    /// taken in the same transaction. It is not done if its caller leaves before the image is locked, nor, and then there
    /// is no image, if that is large.
    pub async fn update(&self, edit: &Arc<Edit>) -> Result<Option<Image>, Error> {
        self.submit(edit, false).await
    }

    /// As [`Store::update`], by a caller who has room for the largest image.
    pub async fn update_large(&self, edit: &Arc<Edit>) -> Result<Image, Error> {
        self.submit(edit, true).await?.ok_or(Error::Corrupt(edit.id))
    }

    async fn submit(&self, edit: &Arc<Edit>, has_room: bool) -> Result<Option<Image>, Error> {
        let caller = Arc::new(());
        let asked = PendingEdit { edit: Arc::clone(edit), has_room, caller: Arc::downgrade(&caller) };
        self.edits.submit(asked).await.map_err(db::Error::from)?
    }
}

/// Makes all edits of a batch in one transaction, each on top of those before it.
async fn make(db: &Db, batch: &[PendingEdit]) -> Result<Vec<Outcome>, db::Error> {
    let ids: BTreeSet<_> = batch.iter().map(|asked| asked.edit.id).collect();
    let projects: BTreeSet<_> = batch.iter().map(|asked| &asked.edit.actor.project_id).collect();
    let ids = Many(ids.into_iter().collect());
    let projects = Many(projects.into_iter().cloned().collect());
    let whole = batch.iter().filter(|asked| asked.has_room).map(|asked| asked.edit.id);
    let whole = Many(whole.collect());
    let mut tx = db.begin().await?;
    let mut drafts = Drafts::new(lock(&mut tx, &ids, &projects, &whole).await?);
    let mut outcomes = Vec::with_capacity(batch.len());
    for asked in batch {
        let Edit { id, step, .. } = *asked.edit;
        if drafts.is_too_large(id) {
            outcomes.push(Ok(None));
            continue;
        }
        outcomes.push(match asked.edit().and_then(|edit| drafts.revise(edit)) {
            Ok(revised) if revised.is_as_before() => drafts.image(id).map(Some),
            Ok(revised) => {
                let is_taken = take_step(&mut tx, id, step).await?;
                is_taken.then(|| Some(drafts.accept(revised))).ok_or(Error::UploadLost(id))
            }
            Err(refused) => Err(refused),
        });
    }
    if drafts.are_as_before() {
        return Ok(outcomes);
    }
    write(&mut tx, &Rows::of(&drafts)).await?;
    tx.commit().await?;
    Ok(outcomes)
}
