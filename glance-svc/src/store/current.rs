//! Reads of images as they are now. Requests in flight share one look at the current revisions, which begins after
//! all of them have arrived; what belongs to a revision is kept in memory, because it never changes.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use chassis::{
    db::{self, ByDialect, Db, Many},
    group::{BatchLimits, Group},
};
use common::id::Id;
use quick_cache::{Weighter, sync::Cache};

use super::{columns, rows::ImageRow, small};
use crate::{
    error::Error,
    image::{Image, cached::CachedImage},
};

/// At most so many reads at once, which may all be of large images; the next do not wait long for a database that
/// is slow to answer these.
const LIMITS: BatchLimits = BatchLimits { name: "reads", batch: 128, patience: Duration::from_millis(20) };

/// About how much memory an image takes with 30 properties, bytes: decides how the cache is cut up at first.
const USUAL: u64 = 16 * 1024;

/// The revisions of the images `$1`.
const REVISIONS: ByDialect = ByDialect {
    sqlite: "SELECT id, revision FROM images WHERE id IN (SELECT value FROM json_each($1))",
    postgres: "SELECT id, revision FROM images WHERE id = ANY($1)",
};

/// The images `$1`, the small ones whole.
const IMAGES: ByDialect = ByDialect {
    sqlite: concat!(
        "SELECT ",
        columns!(small!()),
        " FROM image_records WHERE id IN (SELECT value FROM json_each($1))"
    ),
    postgres: concat!("SELECT ", columns!(small!()), " FROM image_records WHERE id = ANY($1)"),
};

/// An image as it is now.
#[derive(Debug, Clone)]
pub enum Found {
    /// All of it.
    Whole(Arc<CachedImage>),
    /// All but its properties, which are large; and so is whatever is made of them.
    Large(Arc<CachedImage>),
}

/// Images as they are now.
pub(super) type Current = Group<Id, Result<Option<Found>, Error>>;

/// The image at its newest known revision, by its id.
type Known = Cache<Id, Arc<CachedImage>, Weight>;

/// What was found; `None` for an image that makes no sense.
type Images = HashMap<Id, Option<Found>>;

#[derive(Clone)]
struct Weight;

impl Weighter<Id, Arc<CachedImage>> for Weight {
    fn weight(&self, _: &Id, image: &Arc<CachedImage>) -> u64 {
        image.weight()
    }
}

/// Reads from `db`, with about `memory` bytes to keep images in.
pub(super) fn current(db: Db, memory: u64) -> Current {
    let usual = usize::try_from(memory / USUAL).unwrap_or(usize::MAX).max(1);
    let known = Arc::new(Cache::with_weighter(usual, memory, Weight));
    Group::new(LIMITS, move |ids| read_each(db.clone(), Arc::clone(&known), ids))
}

async fn read_each(db: Db, known: Arc<Known>, ids: Vec<Id>) -> Vec<Result<Option<Found>, Error>> {
    let found = read(&db, &known, &ids).await;
    let answer = |id: &Id| match &found {
        Ok(found) => found.get(id).cloned().map(|image| image.ok_or(Error::Corrupt(*id))).transpose(),
        Err(error) => Err(Error::Database(error.clone())),
    };
    ids.iter().map(answer).collect()
}

async fn read(db: &Db, known: &Known, ids: &[Id]) -> Result<Images, db::Error> {
    let ids = Many(ids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect());
    let revisions: Vec<(Id, i64)> = db.reader().await?.query_as(REVISIONS).bind(ids).fetch_all().await?;
    let (mut found, mut unknown) = (Images::with_capacity(revisions.len()), Vec::new());
    for (id, revision) in revisions {
        match known.get(&id).filter(|image| image.revision == revision) {
            Some(image) => drop(found.insert(id, Some(Found::Whole(image)))),
            None => unknown.push(id),
        }
    }
    if unknown.is_empty() {
        return Ok(found);
    }
    // Some may have changed since; they are read as they are now, and one that is gone is not found.
    let rows: Vec<ImageRow> = db.reader().await?.query_as(IMAGES).bind(Many(unknown)).fetch_all().await?;
    for row in rows {
        let (id, is_whole) = (row.id(), row.is_whole());
        let image = if is_whole { Image::try_from(row) } else { row.rest() };
        let image = image.ok().map(|image| Arc::new(CachedImage::new(image)));
        if let Some(image) = image.as_ref().filter(|_| is_whole) {
            known.insert(id, Arc::clone(image));
        }
        found.insert(id, image.map(if is_whole { Found::Whole } else { Found::Large }));
    }
    Ok(found)
}
