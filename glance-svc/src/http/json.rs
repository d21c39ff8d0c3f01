//! Bodies of requests: how many values they hold is counted before any is made, since an object takes some hundred times
//! as many bytes in memory as on its way.

use common::violations::Violations;
use serde_json::Value;

/// Most values of a body: as many as a message of gRPC has fields.
const MOST_VALUES: usize = proto::MOST_FIELDS;

/// Reads the body of a request.
pub(super) fn read(body: &[u8]) -> Result<Value, Violations> {
    let count = count(body);
    if count > MOST_VALUES {
        return Err(Violations::one(
            "body",
            format!("has {count} values, at most {MOST_VALUES} are allowed"),
        ));
    }
    serde_json::from_slice(body).map_err(|error| Violations::one("body", format!("is no JSON: {error}")))
}

/// How many values there are, or a few more: one, and one for each list, object and comma.
fn count(body: &[u8]) -> usize {
    let (mut count, mut is_text, mut is_escaped) = (1, false, false);
    for byte in body {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'[' | b'{' | b',' if !is_text => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_and_not_what_texts_say() {
        for (body, expected) in
            [("", 1), ("1", 1), ("[]", 2), (r#"{"a": 1, "b": [2, 3]}"#, 5), (r#"["[,\"{,\\", 1]"#, 3)]
        {
            assert_eq!(count(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn too_many_values_are_refused_with_their_number() {
        let body = format!("[{}1]", "1,".repeat(MOST_VALUES));
        let problem = read(body.as_bytes()).unwrap_err().to_string();
        assert_eq!(problem, "body: has 32770 values, at most 32768 are allowed");
        assert!(read(b"[1, 2]").is_ok());
        assert!(read(b"[").unwrap_err().to_string().contains("is no JSON"));
    }
}
