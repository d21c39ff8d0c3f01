//! Random queries of lists.

use crate::dice::Dice;

const SORT_KEYS: [&str; 8] =
    ["name", "status", "disk_format", "container_format", "size", "id", "created_at", "updated_at"];

/// Filters on nothing that differs between the two services.
const FILTERS: [&str; 66] = [
    "name=a",
    "name=a",
    "name=b",
    "name=c: d",
    "name=eq:c: d",
    "name=in:a,b",
    "name=in:a,\"ä,\"",
    "name=",
    "name=in:",
    "name=neq:a",
    "name=in:\"a",
    "status=active",
    "status=queued",
    "status=in:active,queued",
    "status=nope",
    "visibility=public",
    "visibility=private",
    "visibility=shared",
    "visibility=community",
    "visibility=all",
    "visibility=nope",
    "owner=p",
    "owner=q",
    "owner=",
    "disk_format=raw",
    "disk_format=in:raw,qcow2",
    "disk_format=in:raw,",
    "container_format=bare",
    "protected=true",
    "protected=False",
    "protected=1",
    "protected=nope",
    "os_hidden=true",
    "os_hidden=false",
    "os_hidden=nope",
    "size_min=1",
    "size_max=100",
    "size_min=x",
    "size=3",
    "min_disk=1",
    "min_ram_max=1",
    "min_disk=x",
    "virtual_size=3",
    "checksum=",
    "tag=x",
    "tag=y",
    "tag=",
    "member_status=all",
    "member_status=pending",
    "member_status=rejected",
    "member_status=nope",
    "k0=v",
    "k1=w",
    "k2=",
    "revision=v",
    "is_public=v",
    "properties=v",
    "deleted=true",
    "deleted=False",
    "hw disk=v",
    "created_at=gt:2020-01-01T00:00:00Z",
    "updated_at=lt:2020-01-01 00:00:00",
    "created_at=lte:2095-01-01T00:00Z",
    "created_at=gte:2020-01-01T02:00:00+0200",
    "id=in:x,y",
    "changes-since=2020",
];

/// Times in common forms, and in invalid ones.
const TIMES: [&str; 12] = [
    "2020-01-01",
    "2020-01-01T00:00:00",
    "2020-01-01T00:00:00.5Z",
    "2020-01-01T00:00:00,5Z",
    "20200101T000000Z",
    "2020-01-01T00:00:00+02",
    "2020-01-01 00:00:00.123456",
    "2020-01-01T00",
    "2020-W01-1",
    "2020-001",
    "nope",
    "",
];

/// A query, with some of `ids` as markers.
pub(crate) fn list(dice: &mut Dice, ids: &[String]) -> String {
    let mut pairs = Vec::new();
    for _ in 0..dice.below(3) {
        pairs.push(dice.word(&FILTERS).to_owned());
    }
    if dice.percent(6) {
        let operator = dice.word(&["", "gt:", "lte:", "neq:", "eq:", "in:"]);
        pairs.push(format!("{}={operator}{}", dice.word(&["created_at", "updated_at"]), dice.word(&TIMES)));
    }
    if dice.percent(8) && !ids.is_empty() {
        pairs.push(format!("id={}{}", dice.word(&["", "in:", "eq:"]), dice.pick(ids)));
    }
    pairs.extend(order(dice));
    if dice.percent(50) {
        pairs.push(format!("limit={}", dice.word(&["1", "2", "3", "3", "25", "0", "5000", "-1", "x", ""])));
    }
    if dice.percent(25) && !ids.is_empty() {
        pairs.push(format!("marker={}", if dice.percent(90) { dice.pick(ids) } else { "nope" }));
    }
    pairs.iter().map(|pair| encode(pair)).collect::<Vec<_>>().join("&")
}

fn order(dice: &mut Dice) -> Vec<String> {
    let direction = |dice: &mut Dice| if dice.percent(2) { "nope" } else { dice.word(&["asc", "desc"]) };
    let key = |dice: &mut Dice| if dice.percent(2) { "nope" } else { dice.word(&SORT_KEYS) };
    match dice.below(10) {
        0..3 => vec![format!("sort={}:{}", key(dice), direction(dice))],
        3 => vec![format!("sort={},{}:{}", key(dice), key(dice), direction(dice))],
        4 => vec![format!("sort_key={}", key(dice)), format!("sort_dir={}", direction(dice))],
        5 => vec![
            format!("sort_key={}", key(dice)),
            format!("sort_key={}", key(dice)),
            format!("sort_dir={}", direction(dice)),
        ],
        6 => vec![format!("sort_dir={}", direction(dice))],
        _ => Vec::new(),
    }
}

/// A pair, encoded for a query.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'=' | b':' | b',' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// A pair of a query, decoded.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digits = (*first == b'%')
            .then(|| behind.get(..2))
            .flatten()
            .and_then(|digits| str::from_utf8(digits).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &behind[2..];
        } else {
            bytes.push(if *first == b'+' { b' ' } else { *first });
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
