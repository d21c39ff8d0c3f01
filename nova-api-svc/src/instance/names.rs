//! Display names of several instances, and host names.

use std::str::FromStr;

use common::id::Id;

/// Maximum length of a host name: a DNS label.
const HOSTNAME_LIMIT: usize = 63;

/// How the instances of one request are named (Icehouse, `multi_instance_display_name_template`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name,
    Uuid,
    Count,
}

impl FromStr for NameTemplate {
    type Err = String;

    /// Parses Python's `%(name)s`, `%(uuid)s`, `%(count)s` (also `%(count)d`) and `%%`.
    fn from_str(template: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((text, after)) = rest.split_once('%') {
            parts.push(Part::Text(text.to_owned()));
            let (part, length) = if after.starts_with('%') {
                (Part::Text("%".to_owned()), 1)
            } else if after.starts_with("(name)s") {
                (Part::Name, 7)
            } else if after.starts_with("(uuid)s") {
                (Part::Uuid, 7)
            } else if after.starts_with("(count)s") || after.starts_with("(count)d") {
                (Part::Count, 8)
            } else {
                return Err("may contain %(name)s, %(uuid)s, %(count)s and %%, and no other %".to_owned());
            };
            parts.push(part);
            rest = &after[length..];
        }
        if parts.iter().all(|part| matches!(part, Part::Text(_))) {
            return Err("must contain %(name)s, %(uuid)s or %(count)s".to_owned());
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }
}

impl NameTemplate {
    /// The name of the instance `id`, number `count` (from 1) of a request for instances called `name`.
    #[must_use]
    pub fn apply(&self, name: &str, id: Id, count: usize) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Name => name.to_owned(),
            Part::Uuid => id.to_string(),
            Part::Count => count.to_string(),
        };
        self.0.iter().map(part).collect()
    }
}

/// The host name of an instance (current Nova, `sanitize_hostname`): cut to 63 characters, blanks,
/// underscores and dots become hyphens, anything but Latin-1 letters, digits and hyphens is dropped, lower case;
/// `Server-<uuid>` if nothing is left.
#[must_use]
pub fn hostname(display_name: &str, id: Id) -> String {
    let latin: String = display_name.chars().filter(|character| u32::from(*character) < 256).collect();
    let sanitized: String = latin
        .chars()
        .take(HOSTNAME_LIMIT)
        .map(|character| if matches!(character, ' ' | '_' | '.') { '-' } else { character })
        .filter(|character| character.is_alphanumeric() || *character == '-')
        .flat_map(char::to_lowercase)
        .collect();
    match sanitized.trim_matches('-') {
        "" => format!("Server-{id}"),
        name => name.to_owned(),
    }
}

/// The host name of one of several instances: if the name is too long, the common name is shortened instead, to keep the id
/// that distinguishes them.
#[must_use]
pub fn hostname_of_several(display_name: &str, common_name: &str, id: Id) -> String {
    if display_name.chars().count() <= HOSTNAME_LIMIT {
        return hostname(display_name, id);
    }
    let room = HOSTNAME_LIMIT - 1 - 36;
    let beginning: String =
        common_name.chars().filter(|character| u32::from(*character) < 256).take(room).collect();
    hostname(&format!("{beginning}-{id}"), id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> Id {
        "6e1f4a52-5c5f-4c39-9d0c-6f7d0a3a4f11".parse().unwrap()
    }

    #[test]
    fn a_template_names_each_of_several() {
        let named = |template: &str| template.parse::<NameTemplate>().unwrap().apply("web", id(), 3);
        assert_eq!(named("%(name)s-%(uuid)s"), format!("web-{}", id()));
        assert_eq!(named("%(count)d. %(name)s 100%%"), "3. web 100%");
        for bad in ["", "same", "100%%", "%(nam)s", "%", "%s", "%(name)", "100%"] {
            assert!(bad.parse::<NameTemplate>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hostname_is_clean_short_and_never_empty() {
        let fallback = format!("Server-{}", id());
        let long = "x".repeat(70);
        for (name, expected) in [
            ("web", "web"),
            ("My Server_1.example", "my-server-1-example"),
            ("Ünïcode", "ünïcode"),
            ("-.web!@#.-", "web"),
            ("---", &fallback),
            ("名前", &fallback),
            (&long, &long[..63]),
        ] {
            assert_eq!(hostname(name, id()), expected);
        }
    }

    #[test]
    fn hostnames_of_several_differ_even_when_the_name_is_long() {
        let common = "a-rather-long-name-for-a-group-of-servers";
        let hostname = hostname_of_several(&format!("{common}-{}", id()), common, id());
        assert_eq!(hostname, format!("a-rather-long-name-for-a-g-{}", id()));
        assert_eq!(hostname.len(), 63);
        assert_eq!(hostname_of_several("web-2", "web", id()), "web-2");
    }
}
