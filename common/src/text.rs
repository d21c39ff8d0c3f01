//! Text checks that both services need.

/// Longest name, owner, tag, metadata key and the like, in characters.
pub const NAME_LIMIT: usize = 255;

/// The problem with a text that must have 1 to 255 characters and no control characters.
pub fn name(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err(format!("must not be empty: 1 to {NAME_LIMIT} characters"));
    }
    optional_name(text)
}

/// The problem with a text that may be empty and otherwise follows [`name`].
pub fn optional_name(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if length > NAME_LIMIT {
        return Err(format!("has {length} characters, at most {NAME_LIMIT} are allowed"));
    }
    if text.chars().any(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    Ok(())
}

/// A boolean as oslo.utils' `bool_from_string` spells it, in any case; none if it is no boolean.
#[must_use]
pub fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "1" | "t" | "true" | "on" | "y" | "yes" => Some(true),
        "0" | "f" | "false" | "off" | "n" | "no" => Some(false),
        _ => None,
    }
}

/// At most `limit` bytes of `text`, with an ellipsis where something was left out.
#[must_use]
pub fn clip(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit.saturating_sub('…'.len_utf8()));
    format!("{}…", &text[..end])
}

/// The path of one key of a map field, such as `properties["os_distro"]`, with control characters escaped.
#[must_use]
pub fn map_key(field: &str, key: &str) -> String {
    format!("{field}[\"{}\"]", clip(key, 100).escape_debug())
}
