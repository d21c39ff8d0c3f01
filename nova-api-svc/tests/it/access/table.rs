//! The table of docs/security.md, and the calls that the contract has.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::FileDescriptorSet;

const PAGE: &str = include_str!("../../../../docs/security.md");

/// The roles of the columns, in their order; a manager is what a member is.
const COLUMNS: [&[&str]; 5] = [&["auditor"], &["reader"], &["member", "manager"], &["service"], &["admin"]];

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Done,
    Hidden,
    Refused,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) calls: Vec<String>,
    /// What the request has besides, such as `all_projects`.
    pub(super) option: Option<String>,
    /// Whether the instance is one of the caller's project; `None` where there is no instance.
    pub(super) is_own: Option<bool>,
    expected: Vec<Expected>,
}

/// The rows of the table.
pub(super) fn rows() -> Vec<Row> {
    let (_, page) = PAGE.split_once("## Who may what").unwrap();
    let (table, _) = page.split_once("\n## ").unwrap();
    table.lines().filter(|line| line.starts_with("| `")).map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
    let (names, options): (Vec<_>, Vec<_>) = cells[0]
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .partition(|name| name.starts_with(|first: char| first.is_uppercase()));
    let is_own = match cells[1] {
        "its project" => Some(true),
        "another one" => Some(false),
        other => {
            assert_eq!(other, "");
            None
        }
    };
    let expected = cells[2..].iter().map(|cell| match *cell {
        "done" => Expected::Done,
        "hidden" => Expected::Hidden,
        "refused" => Expected::Refused,
        other => panic!("{other} is no word of the table"),
    });
    Row { calls: names, option: options.into_iter().next(), is_own, expected: expected.collect() }
}

impl Row {
    /// The roles of each caller, and what becomes of its calls.
    pub(super) fn callers(&self) -> Vec<(&'static str, Expected)> {
        assert_eq!(self.expected.len(), COLUMNS.len());
        let columns = COLUMNS.iter().zip(&self.expected);
        columns.flat_map(|(roles, expected)| roles.iter().map(|roles| (*roles, *expected))).collect()
    }

    /// Each call of it, with what its request has besides, and whose instance it is about.
    pub(super) fn keys(&self) -> Vec<(String, Option<String>, bool)> {
        let is_own = self.is_own.unwrap_or_default();
        self.calls.iter().map(|call| (call.clone(), self.option.clone(), is_own)).collect()
    }
}

/// The calls that the contract has.
pub(super) fn methods() -> BTreeSet<String> {
    let files = FileDescriptorSet::decode(proto::nova::DESCRIPTORS).unwrap().file;
    let services = files.into_iter().flat_map(|file| file.service);
    services.flat_map(|service| service.method).map(|method| method.name().to_owned()).collect()
}
