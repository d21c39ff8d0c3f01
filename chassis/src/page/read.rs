//! What is read for a page: no more than its answer can hold.

use super::{Key, MAX_BYTES, Page, SortKey};
use crate::db::{self, Query};

/// Items that were read for a page: one more than it has, to see whether there is a next page, or fewer if they are
/// too large for one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there were more that would not fit.
    pub is_cut: bool,
}

/// An item read together with its place in the order of the list, see [`Page::push_sized`].
#[derive(Debug, sqlx::FromRow)]
pub struct Placed<T> {
    /// The item.
    #[sqlx(flatten)]
    pub item: T,
    place: i64,
}

impl<T> Read<T> {
    /// What was read, put in order, up to the first item that is not `whole`: one that did not fit.
    pub fn placed(mut items: Vec<Placed<T>>, whole: impl Fn(&T) -> bool) -> Self {
        items.sort_unstable_by_key(|item| item.place);
        let is_cut = items.pop_if(|last| !whole(&last.item)).is_some();
        Self { items: items.into_iter().map(|item| item.item).collect(), is_cut }
    }

    /// Keeps as many rows of a query as fit into [`MAX_BYTES`] together, and at least one; what does not fit is dropped as
    /// it arrives.
    pub async fn within(query: Query<'_, T>, bytes: impl Fn(&T) -> usize) -> Result<Self, db::Error> {
        let mut fitting = Fitting::default();
        query
            .for_each(|item| {
                let bytes = bytes(&item);
                fitting.add(item, bytes);
            })
            .await?;
        Ok(fitting.read)
    }

    /// Converts each item.
    pub fn try_map<M, E>(self, make: impl FnMut(T) -> Result<M, E>) -> Result<Read<M>, E> {
        let items = self.items.into_iter().map(make).collect::<Result<_, _>>()?;
        Ok(Read { items, is_cut: self.is_cut })
    }
}

/// Items that fit into [`MAX_BYTES`] together.
#[derive(Debug)]
pub(super) struct Fitting<T> {
    pub(super) read: Read<T>,
    bytes: usize,
}

impl<T> Default for Fitting<T> {
    fn default() -> Self {
        Self { read: Vec::new().into(), bytes: 0 }
    }
}

impl<T> Fitting<T> {
    /// Adds an item of so many bytes, if it fits and all before it did, or is the first.
    pub(super) fn add(&mut self, item: T, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.read.is_cut |= self.bytes > MAX_BYTES && !self.read.items.is_empty();
        if !self.read.is_cut {
            self.read.items.push(item);
        }
    }
}

impl<T> From<Vec<T>> for Read<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items, is_cut: false }
    }
}

impl<K: SortKey> Page<K> {
    /// Renders what was read, up to the end of the page, and returns the token of the next page, empty if there is
    /// none. `key` reads a sort key of an item, `bytes` measures what `render` makes of it.
    pub fn finish<T, M>(
        &self,
        read: impl Into<Read<T>>,
        key: impl Fn(&T, K) -> Key,
        mut render: impl FnMut(T) -> M,
        bytes: impl Fn(&M) -> usize,
    ) -> (Vec<M>, String) {
        let Read { items, is_cut } = read.into();
        let count = items.len();
        let mut rendered = Vec::new();
        let mut after = Vec::new();
        let mut total = 0;
        for item in items.into_iter().take(self.size) {
            let keys = self.order.keys().iter().map(|(name, _)| key(&item, *name)).collect();
            let message = render(item);
            total += bytes(&message);
            // A page never is empty while there is an item: its reader would not get on.
            if total > MAX_BYTES && !rendered.is_empty() {
                break;
            }
            rendered.push(message);
            after = keys;
        }
        let is_last = rendered.len() == count && !is_cut;
        if is_last {
            return (rendered, String::new());
        }
        (rendered, self.token(after))
    }
}
