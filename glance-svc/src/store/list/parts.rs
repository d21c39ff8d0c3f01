//! What a caller's list shows, cut into parts that have no image in common.

use crate::{
    image::{Visibility, member::MemberStatus},
    list::{ImageFilter, Scope, VisibilityFilter},
};

/// A part of a list: what one range of an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All images of this visibility.
    All(Visibility),
    /// Those of this visibility that the caller's project owns.
    Own(Visibility),
    /// Those that others share with the caller's project, to which it has said this.
    Shared(MemberStatus),
}

/// The parts of the list; none if the caller sees nothing of what the filter lists.
///
/// Operators see everything but others' community images, members see public images, their own and those that are
/// shared with them; community images are listed to all who ask for them (Glance, current release).
pub(super) fn parts(filter: &ImageFilter, scope: &Scope) -> Vec<Part> {
    let is_listed = |visibility: &Visibility| match filter.visibility {
        VisibilityFilter::Default | VisibilityFilter::All => true,
        VisibilityFilter::Only(only) => only == *visibility,
    };
    let mut parts = Vec::new();
    for visibility in Visibility::ALL.iter().copied().filter(is_listed) {
        let is_for_all = match visibility {
            Visibility::Public => true,
            Visibility::Community => filter.visibility != VisibilityFilter::Default,
            Visibility::Private | Visibility::Shared => scope.is_admin,
        };
        if is_for_all {
            parts.push(Part::All(visibility));
            continue;
        }
        if scope.project.is_empty() {
            continue;
        }
        parts.push(Part::Own(visibility));
        if visibility == Visibility::Shared {
            match filter.member_status.status() {
                Some(status) => parts.push(Part::Shared(status)),
                None => parts.extend(MemberStatus::ALL.iter().copied().map(Part::Shared)),
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::Membership;

    fn of(
        is_admin: bool,
        project: &str,
        visibility: VisibilityFilter,
        member_status: Membership,
    ) -> Vec<Part> {
        let filter = ImageFilter { visibility, member_status, ..ImageFilter::default() };
        parts(&filter, &Scope { is_admin, project: project.to_owned() })
    }

    #[test]
    fn each_caller_has_the_parts_of_its_list() {
        use MemberStatus::{Accepted, Pending, Rejected};
        use Visibility::{Community, Private, Public, Shared};
        let of = |is_admin, project, visibility| {
            let mut parts = of(is_admin, project, visibility, Membership::Accepted);
            parts.sort_by_key(|part| format!("{part:?}"));
            parts
        };
        let [all, own] = [Part::All, Part::Own];
        let shared = Part::Shared;
        let admin = [all(Private), all(Public), all(Shared)];
        assert_eq!(of(true, "", VisibilityFilter::Default), admin);
        assert_eq!(of(true, "p", VisibilityFilter::Default), [&admin[..], &[own(Community)]].concat());
        assert_eq!(of(true, "p", VisibilityFilter::All), [&[all(Community)], &admin[..]].concat());
        let mine = [own(Private), own(Shared), shared(Accepted)];
        assert_eq!(
            of(false, "p", VisibilityFilter::Default),
            [&[all(Public), own(Community)], &mine[..]].concat()
        );
        assert_eq!(
            of(false, "p", VisibilityFilter::All),
            [&[all(Community), all(Public)], &mine[..]].concat()
        );
        assert_eq!(of(false, "p", VisibilityFilter::Only(Shared)), mine[1..]);
        assert_eq!(of(false, "", VisibilityFilter::Default), [all(Public)]);
        assert_eq!(of(false, "", VisibilityFilter::Only(Private)), []);
        let statuses = super::tests::of(false, "p", VisibilityFilter::Only(Shared), Membership::All);
        assert_eq!(statuses[1..].len(), 3);
        for status in [Pending, Accepted, Rejected] {
            assert!(statuses.contains(&shared(status)));
        }
    }
}
