use super::{read::Fitting, *};
use crate::db::Dialect;

#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Id,
    Name,
}

impl SortKey for By {
    const ALL: &'static [(&'static str, Self)] = &[("id", Self::Id), ("name", Self::Name)];
    const ID: Self = Self::Id;

    fn kind(self) -> Key {
        match self {
            Self::Id => Key::Integer(0),
            Self::Name => Key::Text(String::new()),
        }
    }
}

const DEFAULT: (By, Direction) = (By::Name, Direction::Descending);

fn parse(size: i32, token: &str, order_by: &str, filter: &str) -> Result<Page<By>, Violations> {
    Page::parse(Violations::default(), size, token, order_by, &["things", filter], DEFAULT)
}

fn key(item: &(i64, String), by: By) -> Key {
    match by {
        By::Id => Key::Integer(item.0),
        By::Name => Key::Text(item.1.clone()),
    }
}

fn sql(page: &Page<By>) -> String {
    let mut query = QueryBuilder::new(Dialect::Sqlite, "");
    page.push_after(&mut query);
    page.push_order(&mut query);
    query.sql().to_owned()
}

#[test]
fn a_page_has_a_size_within_limits() {
    assert_eq!(parse(0, "", "", "").unwrap().size, 25);
    assert_eq!(parse(7, "", "", "").unwrap().size, 7);
    assert_eq!(parse(5000, "", "", "").unwrap().size, 1000);
    assert!(parse(-1, "", "", "").unwrap_err().to_string().starts_with("page_size: must not be negative"));
}

#[test]
fn an_order_ends_with_the_id_and_says_what_is_allowed() {
    assert_eq!(sql(&parse(0, "", "", "").unwrap()), "TRUE ORDER BY name DESC, id DESC");
    assert_eq!(sql(&parse(0, "", " name , id desc", "").unwrap()), "TRUE ORDER BY name ASC, id DESC");
    for bad in ["nam", "name up", "name,", "name asc x", "name, name desc"] {
        let problem = parse(0, "", bad, "").unwrap_err().to_string();
        assert!(problem.starts_with("order_by: "), "{problem}");
    }
    let problem = parse(0, "", "size", "").unwrap_err().to_string();
    assert!(problem.contains("id, name"), "{problem}");
}

#[test]
fn a_token_leads_to_the_next_page_of_the_same_list_only() {
    let page = parse(2, "", "name, id desc", "f").unwrap();
    let items = vec![(1, "a".to_owned()), (2, "b".to_owned()), (3, "c".to_owned())];
    let (kept, token) = page.finish(items, key, |item| item, |_| 1);
    assert_eq!(kept.len(), 2);

    let next = parse(2, &token, "name, id desc", "f").unwrap();
    let after = "(((name) > (?)) OR (name = ? AND (id) < (?))) AND name >= ? ORDER BY name ASC, id DESC";
    assert_eq!(sql(&next), after);
    let (_, end) = next.finish(vec![(3, "c".to_owned())], key, |item| item, |_| 1);
    assert_eq!(end, "");

    for (order_by, filter) in [("name", "f"), ("name, id desc", "g")] {
        let problem = parse(2, &token, order_by, filter).unwrap_err().to_string();
        assert!(problem.contains("belongs to another list"), "{problem}");
    }
    for bad in ["x", "!!", "e30", &token[1..]] {
        assert!(parse(2, bad, "name, id desc", "f").unwrap_err().to_string().contains("page_token"));
    }
}

#[test]
fn a_page_stays_below_what_clients_accept_and_is_never_empty() {
    let page = parse(100, "", "", "").unwrap();
    let items: Vec<_> = (0..10).map(|number| (number, String::new())).collect();
    let (kept, token) = page.finish(items.clone(), key, |item| item, |_| MAX_BYTES / 3);
    assert_eq!(kept.len(), 3);
    assert!(!token.is_empty());
    let (kept, token) = page.finish(items, key, |item| item, |_| MAX_BYTES * 2);
    assert_eq!(kept.len(), 1);
    assert!(!token.is_empty());
}

#[test]
fn no_more_is_read_than_an_answer_holds() {
    let read = |sizes: &[usize]| {
        let mut read = Fitting::default();
        for size in sizes {
            read.add(*size, *size);
        }
        read.read
    };
    let all = Read { items: vec![1, 2], is_cut: false };
    assert_eq!(read(&[1, 2]), all);
    assert_eq!(read(&[MAX_BYTES, 1, 0]), Read { items: vec![MAX_BYTES], is_cut: true });
    assert_eq!(read(&[MAX_BYTES + 1, 1]), Read { items: vec![MAX_BYTES + 1], is_cut: true });
    assert_eq!(read(&[MAX_BYTES + 1]), Read { items: vec![MAX_BYTES + 1], is_cut: false });
    assert_eq!(read(&[]), Read { items: vec![], is_cut: false });

    let page = parse(10, "", "", "").unwrap();
    let cut = Read { items: vec![(1, "a".to_owned())], is_cut: true };
    let (kept, token) = page.finish(cut, key, |item| item, |_| 1);
    assert!(kept.len() == 1 && !token.is_empty(), "the page says that there is a next one");
}
