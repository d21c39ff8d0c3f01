//! Both forms of a path: `/v3/volumes`, and `/v3/PROJECT/volumes`, as clients wrote it before microversion 3.67.

/// The first part of a path behind the version and, if there is one, the project.
const COLLECTIONS: [&str; 24] = [
    "attachments",
    "backups",
    "capabilities",
    "clusters",
    "consistencygroups",
    "extensions",
    "group_snapshots",
    "group_types",
    "groups",
    "limits",
    "manageable_snapshots",
    "manageable_volumes",
    "messages",
    "os-availability-zone",
    "os-quota-class-sets",
    "os-quota-sets",
    "os-services",
    "os-volume-transfer",
    "qos-specs",
    "resource_filters",
    "snapshots",
    "types",
    "volume-transfers",
    "volumes",
];

/// The path as the router has it, if this one names a project.
#[must_use]
pub fn path(path: &str) -> Option<String> {
    split(path).map(|(_, rest)| format!("/v3/{rest}"))
}

/// The project that a path names.
pub(super) fn project(path: &str) -> Option<&str> {
    split(path).map(|(project, _)| project)
}

/// The project that a path names, and what comes behind it.
fn split(path: &str) -> Option<(&str, &str)> {
    let (first, rest) = path.strip_prefix("/v3/")?.split_once('/')?;
    let second = rest.split('/').next().unwrap_or_default();
    let names_a_project = !COLLECTIONS.contains(&first) && COLLECTIONS.contains(&second);
    names_a_project.then_some((first, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_stands_before_a_collection() {
        for (given, expected) in [
            ("/v3/demo/volumes", Some(("demo", "/v3/volumes"))),
            ("/v3/demo/volumes/detail", Some(("demo", "/v3/volumes/detail"))),
            ("/v3/0123abcd/os-quota-sets/volumes", Some(("0123abcd", "/v3/os-quota-sets/volumes"))),
            ("/v3/volumes", None),
            ("/v3/volumes/detail", None),
            ("/v3/types/volumes", None),
            ("/v3/os-quota-sets/volumes", None),
            ("/v3/demo/nothing", None),
            ("/v3/demo", None),
            ("/v3/", None),
            ("/volumes/volumes", None),
        ] {
            let read = project(given).zip(path(given));
            assert_eq!(read, expected.map(|(project, path)| (project, path.to_owned())), "{given}");
        }
    }
}
