//! A page of images, read from indexes in the order of the page (docs/decisions/0003).
//!
//! What a list shows is cut into [`Part`]s, each a [`Range`](access_paths::Range) of an index in the order of the list; the database
//! merges as much of them as the page needs. The images with a property or a tag are such a range, too. A list that
//! names some is read along whatever is sparsest behind the page before; what a range does not say of an image is
//! looked up by the image's id.

use chassis::page::{Direction, Page, Placed, Read};
use chrono::{DateTime, Utc};

use super::{Store, rows::ImageRow};
use crate::{
    error::Error,
    image::listed::ListedImage,
    list::{ImageFilter, ImageOrder, Scope},
};

mod access_paths;
mod parts;
mod statement;

use access_paths::{AccessPath, ways};
use parts::{Part, parts};
use statement::Statement;

/// A list, and a page of it.
struct List<'a> {
    filter: &'a ImageFilter,
    project: &'a str,
    page: &'a Page<ImageOrder>,
    parts: Vec<Part>,
    /// The direction of a list by time of registration, which is the order of every range.
    by_time: Option<Direction>,
}

impl Store {
    /// A page of images, as many as an answer holds: one statement, whatever its size, and one to choose the way to it
    /// if there are several.
    pub async fn list(
        &self,
        filter: &ImageFilter,
        scope: &Scope,
        page: &Page<ImageOrder>,
    ) -> Result<Read<ListedImage>, Error> {
        let list = List::new(filter, scope, page);
        if list.parts.is_empty() {
            return Ok(Read::from(Vec::new()));
        }
        let way = self.way(&list).await?;
        let query = Statement::new(&list, self.db.builder("")).page(&way);
        // PostgreSQL is to plan it for these values; and there are too many different ones to remember.
        let rows: Vec<Placed<ImageRow>> =
            self.db.reader().await?.query_as(query).persistent(false).fetch_all().await?;
        Read::placed(rows, ImageRow::is_whole).try_map(ListedImage::try_from)
    }

    /// The way to read the list along.
    async fn way<'a>(&self, list: &List<'a>) -> Result<AccessPath<'a>, Error> {
        let mut ways = ways(list);
        if ways.len() == 1 {
            return Ok(ways.remove(0));
        }
        let query = Statement::new(list, self.db.builder("")).look_ahead(&ways);
        let reached: Vec<(i32, Option<DateTime<Utc>>)> =
            self.db.reader().await?.query_as(query).fetch_all().await?;
        Ok(ways.remove(list.sparsest(&reached)))
    }
}

impl<'a> List<'a> {
    fn new(filter: &'a ImageFilter, scope: &'a Scope, page: &'a Page<ImageOrder>) -> Self {
        let by_time = match page.order.keys() {
            [(ImageOrder::CreateTime, direction), (ImageOrder::Id, last)] if direction == last => {
                Some(*direction)
            }
            _ => None,
        };
        Self { filter, project: &scope.project, page, parts: parts(filter, scope), by_time }
    }

    /// The condition that an image is hidden, or not.
    const fn hidden(&self) -> &'static str {
        if self.filter.os_hidden { "os_hidden = TRUE" } else { "os_hidden = FALSE" }
    }
}
