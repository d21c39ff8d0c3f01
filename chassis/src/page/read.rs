//! What is read for a page: no more than its answer can hold.

use tokio_stream::{Stream, StreamExt as _};

use super::{Key, MAX_BYTES, Page, SortKey};

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

    /// Keeps as many items of a stream as fit into [`MAX_BYTES`] together, and at least one. The stream is read to
    /// its end, so that its connection is free for the next statement; what does not fit is dropped as it arrives.
    pub async fn within<E>(
        stream: impl Stream<Item = Result<T, E>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Result<Self, E> {
        let mut stream = std::pin::pin!(stream);
        let (mut items, mut total, mut is_cut) = (Vec::new(), 0, false);
        while let Some(item) = stream.next().await {
            let item = item?;
            total += if is_cut { 0 } else { bytes(&item) };
            is_cut |= total > MAX_BYTES && !items.is_empty();
            if !is_cut {
                items.push(item);
            }
        }
        Ok(Self { items, is_cut })
    }

    /// Converts each item.
    pub fn try_map<M, E>(self, make: impl FnMut(T) -> Result<M, E>) -> Result<Read<M>, E> {
        let items = self.items.into_iter().map(make).collect::<Result<_, _>>()?;
        Ok(Read { items, is_cut: self.is_cut })
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
