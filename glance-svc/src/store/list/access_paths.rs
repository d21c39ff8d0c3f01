//! The ways to find the images of a page, and which of them is taken.

use std::{cmp::Reverse, collections::BTreeMap};

use chassis::page::Direction;
use chrono::{DateTime, Utc};

use super::{List, Part};

/// Images that stand next to each other in an index, in the order in which they were registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range<'a> {
    /// A part of what the list shows.
    Part(Part),
    /// What has this property.
    Property(&'a str, &'a str),
    /// What has this tag.
    Tag(&'a str),
}

/// Ranges which together hold every image of a list.
pub(super) type AccessPath<'a> = Vec<Range<'a>>;

/// How far each way is looked ahead, in images, to see which one is sparsest: as many as a usual page has.
const AHEAD: usize = 100;

/// In an order that only the parts have, most images that are gathered along another way and then sorted.
const GATHERED: usize = 2000;

impl Range<'_> {
    /// Whether the index is one of `images`, which other orders may have, too.
    pub(super) const fn is_of_images(self) -> bool {
        matches!(self, Range::Part(Part::All(_) | Part::Own(_)))
    }
}

/// Every way to the images of a list; the first are its parts.
pub(super) fn ways<'a>(list: &List<'a>) -> Vec<AccessPath<'a>> {
    let parts = list.parts.iter().copied().map(Range::Part).collect();
    let properties = list.filter.properties.iter().map(|(name, value)| vec![Range::Property(name, value)]);
    let tags = list.filter.tags.iter().map(|tag| vec![Range::Tag(tag)]);
    [parts].into_iter().chain(properties).chain(tags).collect()
}

impl List<'_> {
    /// How many images the ways are looked ahead.
    pub(super) const fn ahead(&self) -> usize {
        if self.by_time.is_some() { AHEAD } else { GATHERED }
    }

    /// The number of the way to take, by the times that were `reached` by looking ahead along the ranges of each;
    /// none where a range ended before.
    ///
    /// By time, it is the way that reached farthest: it has the fewest images to look at. In another order, it is one
    /// that ended, else the parts, which may have that order.
    pub(super) fn sparsest(&self, reached: &[(i32, Option<DateTime<Utc>>)]) -> usize {
        let way = match self.by_time {
            Some(direction) => farthest(reached, direction),
            None => reached.iter().find(|(_, time)| time.is_none()).map(|(way, _)| *way),
        };
        way.map_or(0, |way| usize::try_from(way).expect("ways are counted from 0"))
    }
}

/// The way that reached farthest; each is as far as the nearest of its ranges.
fn farthest(reached: &[(i32, Option<DateTime<Utc>>)], direction: Direction) -> Option<i32> {
    let mut nearest = BTreeMap::new();
    for (way, time) in reached {
        let distance = time.map_or(i64::MAX, |time| match direction {
            Direction::Ascending => time.timestamp_micros(),
            Direction::Descending => -time.timestamp_micros(),
        });
        nearest.entry(*way).and_modify(|least: &mut i64| *least = distance.min(*least)).or_insert(distance);
    }
    nearest.into_iter().max_by_key(|(way, distance)| (*distance, Reverse(*way))).map(|(way, _)| way)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_that_reaches_farthest_is_the_sparsest() {
        use Direction::{Ascending, Descending};
        let at = |second| DateTime::from_timestamp(second, 0);
        for (reached, descending, ascending) in [
            (&[(0, at(3)), (1, at(2)), (2, at(4))][..], 1, 2),
            // What ended is farther than anything; of equals, the first is taken.
            (&[(0, at(3)), (1, None), (2, None)], 1, 1),
            // The images of a way are as near as those of its nearest range.
            (&[(0, None), (0, at(5)), (0, at(1)), (1, at(3))], 1, 1),
            (&[(0, None), (0, None), (1, at(3))], 0, 0),
        ] {
            assert_eq!(farthest(reached, Descending), Some(descending), "{reached:?}");
            assert_eq!(farthest(reached, Ascending), Some(ascending), "{reached:?}");
        }
    }
}
