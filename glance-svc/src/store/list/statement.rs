//! The statements of a list. SQLite and PostgreSQL both read every range in its order and merge what they read.

use chassis::{
    db::QueryBuilder,
    page::{Direction, SortKey as _},
};

use super::{
    List, Part,
    access_paths::{AccessPath, Range},
};
use crate::{
    list::{Condition, TextColumn},
    store::{columns, filter},
};

/// Characters of a value that the index of properties has: a shorter value is there as a whole.
const INDEXED_CHARACTERS: usize = 255;

/// A statement while it is written.
pub(super) struct Statement<'a> {
    query: QueryBuilder,
    list: &'a List<'a>,
}

impl<'a> Statement<'a> {
    /// A statement that is written into `query`.
    pub(super) const fn new(list: &'a List<'a>, query: QueryBuilder) -> Self {
        Self { query, list }
    }

    /// Reads the images of the page along a way, as many as an answer holds, and then one without its properties if there
    /// is one more.
    pub(super) fn page(mut self, way: &[Range<'_>]) -> QueryBuilder {
        self.query.push("WITH found AS (SELECT * FROM (");
        for (index, range) in way.iter().enumerate() {
            // Of an index, too, the images behind the page before can be several ranges.
            for behind in 0..self.list.page.ranges() {
                self.query.push(if index + behind == 0 { "" } else { " UNION ALL " });
                self.push_images(*range, behind);
            }
        }
        self.query.push(") images");
        self.list.page.push_end(&mut self.query);
        self.query.push("), page AS (SELECT found.*, (SELECT record_bytes FROM image_records r ");
        self.query.push("WHERE r.id = found.id) AS bytes FROM found), ");
        self.list.page.push_sized(&mut self.query, "id");
        // Not a join that SQLite may turn around.
        self.query.push(concat!(
            " SELECT place, ",
            columns!("CASE WHEN fits THEN properties END"),
            " FROM sized CROSS JOIN image_records WHERE is_looked_at AND id = page_key"
        ));
        self.query
    }

    /// Reads how far each way reaches: its number, and when the image was registered that is [`List::ahead`] on each
    /// of its ranges. The parts do not count in an order that only they have.
    pub(super) fn look_ahead(mut self, ways: &[AccessPath<'_>]) -> QueryBuilder {
        let skipped = usize::from(self.list.by_time.is_none());
        for (number, way) in ways.iter().enumerate().skip(skipped) {
            for (index, range) in way.iter().enumerate() {
                self.query.push(if number + index == skipped { "SELECT " } else { " UNION ALL SELECT " });
                self.query.push_number(number).push(", (");
                self.push_ahead(*range);
                self.query.push(")");
            }
        }
        self.query
    }

    /// Adds the images of the list that a range holds, in order.
    fn push_images(&mut self, range: Range<'_>, behind: usize) {
        self.query.push("SELECT * FROM (SELECT ");
        // What the order needs; the id is its last key.
        for (index, (key, _)) in self.list.page.order.keys().iter().enumerate() {
            self.query.push(if index == 0 { "" } else { ", " }).push(key.column());
        }
        self.query.push(" FROM ");
        if self.list.by_time.is_some() || range.is_of_images() {
            self.push_range(range);
        } else {
            self.push_gathered(range);
        }
        self.query.push(" AND ");
        self.list.page.push_range(&mut self.query, behind);
        self.push_rest(range);
        self.list.page.push_order(&mut self.query);
        self.query.push(") images");
    }

    /// Adds when the image was registered that is [`List::ahead`] on a range.
    fn push_ahead(&mut self, range: Range<'_>) {
        self.query.push("SELECT create_time FROM ");
        self.push_range(range);
        if self.list.by_time.is_some() {
            self.query.push(" AND ");
            self.list.page.push_range(&mut self.query, 0);
        }
        if range.is_of_images() {
            // What an index finds; to look for others can take as long as to read the page.
            for condition in self.list.filter.conditions.iter().filter(|condition| is_indexed(condition)) {
                filter::push_condition(&mut self.query, condition);
            }
        }
        self.query.push(match self.list.by_time {
            Some(Direction::Ascending) => " ORDER BY create_time, id LIMIT 1 OFFSET ",
            _ => " ORDER BY create_time DESC, id DESC LIMIT 1 OFFSET ",
        });
        self.query.push_number(self.list.ahead());
    }

    /// Adds a range in an order that it does not have, as the table `i` and a condition.
    fn push_gathered(&mut self, range: Range<'_>) {
        self.query.push("images i WHERE id IN (SELECT id FROM ");
        self.push_range(range);
        self.query.push(")");
    }

    /// Adds a range as the table `i` and a condition.
    fn push_range(&mut self, range: Range<'_>) {
        match range {
            Range::Part(part @ (Part::All(visibility) | Part::Own(visibility))) => {
                self.query.push("images i WHERE ").push(self.list.hidden());
                if matches!(part, Part::Own(_)) {
                    self.query.push(" AND owner = ").push_bind(self.list.project);
                }
                self.query.push(" AND visibility = '").push(visibility.as_str()).push("'");
            }
            Range::Part(Part::Shared(status)) => {
                self.push_copies("image_members WHERE member_id = ", self.list.project);
                self.query.push(" AND status = '").push(status.as_str()).push("') i WHERE TRUE");
            }
            Range::Tag(tag) => {
                self.push_copies("image_tags WHERE tag = ", tag);
                self.query.push(") i WHERE TRUE");
            }
            Range::Property(name, value) => {
                self.push_copies("image_properties WHERE name = ", name);
                self.query.push(" AND substr(value, 1, 255) = substr(").push_bind(value);
                self.query.push(", 1, 255)");
                if value.chars().count() >= INDEXED_CHARACTERS {
                    self.query.push(" AND value = ").push_bind(value);
                }
                self.query.push(") i WHERE TRUE");
            }
        }
    }

    /// Adds a table that has copies of when images were registered.
    fn push_copies(&mut self, table: &'static str, value: &str) {
        self.query.push("(SELECT image_id AS id, image_create_time AS create_time FROM ").push(table);
        self.query.push_bind(value);
    }

    /// Adds the conditions that the range does not hold. Each is a subquery, which no planner turns into a join, and
    /// asks for NULL, which PostgreSQL takes to be rare: it expects a page soon and reads the range in order.
    fn push_rest(&mut self, range: Range<'_>) {
        self.push_columns(range);
        let filter = self.list.filter;
        for (name, value) in filter.properties.iter().filter(|(n, v)| range != Range::Property(n, v)) {
            self.query.push(" AND (SELECT 1 FROM image_properties p WHERE p.image_id = i.id AND p.name = ");
            self.query.push_bind(name).push(" AND p.value = ").push_bind(value);
            self.query.push(") IS NOT NULL");
        }
        for tag in filter.tags.iter().filter(|tag| range != Range::Tag(tag)) {
            self.query.push(" AND (SELECT 1 FROM image_tags t WHERE t.image_id = i.id AND t.tag = ");
            self.query.push_bind(tag).push(") IS NOT NULL");
        }
    }

    /// Adds those on columns of `images`.
    fn push_columns(&mut self, range: Range<'_>) {
        if range.is_of_images() {
            return filter::push(&mut self.query, self.list.filter);
        }
        if self.list.by_time.is_none() {
            self.query.push(" AND ");
            self.push_scope(range, "i");
            return filter::push(&mut self.query, self.list.filter);
        }
        self.query.push(" AND (SELECT 1 FROM images WHERE images.id = i.id AND ");
        self.push_scope(range, "images");
        filter::push(&mut self.query, self.list.filter);
        self.query.push(") IS NOT NULL");
    }

    /// Adds the condition that the list shows an image of the table.
    fn push_scope(&mut self, range: Range<'_>, table: &'static str) {
        self.query.push(self.list.hidden());
        if let Range::Part(Part::Shared(_)) = range {
            // Its own are another part.
            self.query.push(" AND visibility = 'shared' AND owner <> ").push_bind(self.list.project);
            return;
        }
        self.query.push(" AND (");
        for (index, part) in self.list.parts.iter().enumerate() {
            self.query.push(if index == 0 { "visibility = '" } else { " OR visibility = '" });
            match part {
                Part::All(visibility) => {
                    self.query.push(visibility.as_str()).push("'");
                }
                Part::Own(visibility) => {
                    self.query.push(visibility.as_str()).push("' AND owner = ");
                    self.query.push_bind(self.list.project);
                }
                Part::Shared(status) => {
                    self.query.push("shared' AND (SELECT m.status FROM image_members m WHERE m.image_id = ");
                    self.query.push(table).push(".id AND m.member_id = ").push_bind(self.list.project);
                    self.query.push(") = '").push(status.as_str()).push("'");
                }
            }
        }
        self.query.push(")");
    }
}

/// Whether an index finds the images of a part that fulfil the condition.
fn is_indexed(condition: &Condition) -> bool {
    matches!(condition, Condition::Id(_) | Condition::Text(TextColumn::Name | TextColumn::Owner, _))
}
