//! Both forms of a path: `/v3/volumes`, and `/v3/PROJECT/volumes`, as clients wrote it before microversion 3.67; and the
//! older name of transfers.

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

/// What transfers were called before microversion 3.55, and since.
const TRANSFERS: (&str, &str) = ("os-volume-transfer", "volume-transfers");

/// The path as the router has it, if this one names a project, or transfers by their older name.
#[must_use]
pub fn path(path: &str) -> Option<String> {
    let rest = split(path).map(|(_, rest)| rest).or_else(|| path.strip_prefix("/v3/"))?;
    let (old, new) = TRANSFERS;
    let of_transfers = rest.strip_prefix(old).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let meant = of_transfers.map_or_else(|| format!("/v3/{rest}"), |rest| format!("/v3/{new}{rest}"));
    (meant != path).then_some(meant)
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
            ("/v3/demo/os-volume-transfer/x", Some(("demo", "/v3/volume-transfers/x"))),
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
        assert_eq!(path("/v3/os-volume-transfer").as_deref(), Some("/v3/volume-transfers"));
        assert_eq!(path("/v3/volumes/detail"), None);
    }
}
