//! Who may see and change an image: the defaults of Glance's policy (current release).

use chassis::caller::Caller;
use common::id::Id;

use super::{Image, Visibility};
use crate::error::Error;

/// What a caller may do with an image; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// The caller must not learn that the image exists.
    Nothing,
    /// The caller sees the image when it asks for it by id; lists show less.
    Sees,
    /// The caller manages the image, and sees its history: it is an operator, or belongs to the owning project.
    Manages,
}

/// What access to an image depends on, at one point in its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyTarget<'a> {
    /// The owning project, or empty.
    pub owner: &'a str,
    /// Who may see it; `None` if only those who manage it may, as with a deleted image and with history.
    pub visibility: Option<Visibility>,
    /// Whether it is shared with the caller's project.
    pub is_shared: bool,
}

impl<'a> PolicyTarget<'a> {
    /// An image, which is or is not shared with the caller's project.
    #[must_use]
    pub fn of(image: &'a Image, is_shared: bool) -> Self {
        Self { owner: &image.owner, visibility: Some(image.visibility), is_shared }
    }

    /// Something that only those see who manage the image: operators, and the owning project.
    #[must_use]
    pub const fn owned_by(owner: &'a str) -> Self {
        Self { owner, visibility: None, is_shared: false }
    }
}

/// What `caller` may do with the target.
fn access(caller: &Caller, target: PolicyTarget<'_>) -> Access {
    if caller.is_admin || caller.is_of(target.owner) {
        return Access::Manages;
    }
    let is_seen = match target.visibility {
        Some(Visibility::Public | Visibility::Community) => true,
        // Glance: a shared image without an owner is visible to everybody.
        Some(Visibility::Shared) => target.is_shared || target.owner.is_empty(),
        None | Some(Visibility::Private) => false,
    };
    if is_seen { Access::Sees } else { Access::Nothing }
}

/// What `caller` may do with an earlier state of an image: the lesser of what it could do `then` and may do `now`. This one
/// rule decides all access to the past: with [`Access::Sees`], the caller may read the image as it was; with
/// [`Access::Manages`], also its history.
///
/// An image counts as shared with a member since the revision that it had when the member was last added. A deleted image
/// is visible to those who managed it last.
#[must_use]
pub fn past(caller: &Caller, now: PolicyTarget<'_>, then: PolicyTarget<'_>) -> Access {
    access(caller, now).min(access(caller, then))
}

/// Whether `caller` sees the image when it asks for it by id; lists show less. `is_member` says whether the image is shared
/// with the caller's project.
#[must_use]
pub fn sees(caller: &Caller, image: &Image, is_member: bool) -> bool {
    access(caller, PolicyTarget::of(image, is_member)) >= Access::Sees
}

/// Whether `caller` manages the image: it is an operator, or belongs to the owning project.
#[must_use]
pub fn manages(caller: &Caller, image: &Image) -> bool {
    access(caller, PolicyTarget::owned_by(&image.owner)) == Access::Manages
}

/// Whether `caller` may list images at all.
pub fn check_list(caller: &Caller) -> Result<(), Error> {
    if caller.is_reader() {
        return Ok(());
    }
    Err(Error::NotPermitted { action: "list images".to_owned(), needs: "the role reader" })
}

/// Whether `caller`, who sees the image, may change it.
pub fn check_change(caller: &Caller, image: &Image) -> Result<(), Error> {
    if manages(caller, image) && caller.is_member() {
        return Ok(());
    }
    Err(Error::NotPermitted { action: format!("change image {}", image.id), needs: OWNER })
}

/// Whether `caller`, who sees the image, may read its data.
pub fn check_download(caller: &Caller, image: &Image) -> Result<(), Error> {
    if caller.is_member() {
        return Ok(());
    }
    Err(Error::NotPermitted { action: format!("download image {}", image.id), needs: "the role member" })
}

/// Whether `caller` may read the history of an image, which names users, and values that have been removed since.
pub fn check_history(caller: &Caller, id: Id, now: PolicyTarget<'_>) -> Result<(), Error> {
    match access(caller, now) {
        Access::Manages => Ok(()),
        Access::Sees => {
            Err(Error::NotPermitted { action: format!("read the history of image {id}"), needs: OWNER })
        }
        Access::Nothing => Err(Error::NotFound(id)),
    }
}

/// Whether `caller` may change `image` to `next`, or, without an `image`, register `next`.
pub fn check_next(caller: &Caller, image: Option<&Image>, next: &Image) -> Result<(), Error> {
    if caller.is_admin {
        return Ok(());
    }
    if !caller.is_member() {
        let action = "register an image".to_owned();
        return Err(Error::NotPermitted { action, needs: "the role member" });
    }
    if image.is_none() && caller.project().is_none() {
        let action = "register an image that nobody owns, and everybody would see".to_owned();
        return Err(Error::NotPermitted { action, needs: "a project, or the role admin" });
    }
    let owner = image.map_or(caller.actor.project_id.as_str(), |image| &image.owner);
    if next.owner != owner {
        let action = format!("make {:?} the owner of an image", next.owner);
        return Err(Error::NotPermitted { action, needs: ADMIN });
    }
    let was_public = image.is_some_and(|image| image.visibility == Visibility::Public);
    if next.visibility == Visibility::Public && !was_public {
        return Err(Error::NotPermitted { action: "make an image public".to_owned(), needs: ADMIN });
    }
    Ok(())
}

/// What a caller needs for the action that was refused.
pub(crate) const ADMIN: &str = "the role admin";
pub(crate) const OWNER: &str = "the role member in the project that owns it, or the role admin";

#[cfg(test)]
mod tests {
    use chassis::caller::Actor;
    use common::{clock, id::Id};

    use super::*;

    fn caller(project: &str, roles: &[&str]) -> Caller {
        let actor = Actor { user_id: "u".into(), project_id: project.into() };
        let roles: Vec<_> = roles.iter().map(|role| (*role).to_owned()).collect();
        Caller { actor, is_admin: roles.contains(&"admin".to_owned()), roles, token: None }
    }

    fn image(owner: &str, visibility: Visibility) -> Image {
        Image { owner: owner.into(), visibility, ..Image::blank(Id::random(), clock::now()) }
    }

    #[test]
    fn an_image_is_seen_as_its_visibility_says() {
        use Visibility::{Community, Private, Public, Shared};
        let stranger = caller("other", &["member"]);
        let seen = |visibility, is_member| sees(&stranger, &image("owner", visibility), is_member);
        assert!(seen(Public, false) && seen(Community, false) && seen(Shared, true));
        assert!(!seen(Shared, false) && !seen(Private, true));
        for visibility in [Public, Community, Private, Shared] {
            assert!(sees(&caller("owner", &["reader"]), &image("owner", visibility), false));
            assert!(sees(&caller("other", &["admin"]), &image("owner", visibility), false));
            assert_eq!(sees(&stranger, &image("", visibility), false), visibility != Private);
        }
        assert!(!sees(&caller("", &["member"]), &image("owner", Private), false));
    }

    #[test]
    fn the_past_is_what_was_seen_then_and_may_be_seen_now() {
        use Access::{Manages, Nothing, Sees};
        let callers = [caller("owner", &["reader"]), caller("other", &["member"]), caller("", &["member"])];
        let targets = [
            (
                PolicyTarget { owner: "owner", visibility: Some(Visibility::Private), is_shared: true },
                [Manages, Nothing, Nothing],
            ),
            (
                PolicyTarget { owner: "owner", visibility: Some(Visibility::Shared), is_shared: false },
                [Manages, Nothing, Nothing],
            ),
            (
                PolicyTarget { owner: "owner", visibility: Some(Visibility::Shared), is_shared: true },
                [Manages, Sees, Sees],
            ),
            (
                PolicyTarget { owner: "owner", visibility: Some(Visibility::Public), is_shared: false },
                [Manages, Sees, Sees],
            ),
            (
                PolicyTarget { owner: "", visibility: Some(Visibility::Private), is_shared: false },
                [Nothing; 3],
            ),
            (PolicyTarget { owner: "", visibility: Some(Visibility::Shared), is_shared: false }, [Sees; 3]),
            (PolicyTarget::owned_by("owner"), [Manages, Nothing, Nothing]),
            (PolicyTarget::owned_by("other"), [Nothing, Manages, Nothing]),
            (PolicyTarget::owned_by(""), [Nothing; 3]),
        ];
        for (index, caller) in callers.iter().enumerate() {
            for (now, may) in targets {
                for (then, could) in targets {
                    assert_eq!(past(caller, now, then), may[index].min(could[index]), "{now:?} {then:?}");
                    assert_eq!(past(&super::tests::caller("ops", &["admin"]), now, then), Manages);
                }
            }
        }
    }

    #[test]
    fn only_the_owner_and_operators_change_it() {
        let image = image("owner", Visibility::Public);
        check_change(&caller("owner", &["member"]), &image).unwrap();
        check_change(&caller("other", &["admin"]), &image).unwrap();
        for refused in [caller("owner", &["reader"]), caller("other", &["member"]), caller("", &["member"])] {
            check_change(&refused, &image).unwrap_err();
        }
        check_change(&caller("other", &["member"]), &super::tests::image("", Visibility::Public))
            .unwrap_err();
    }

    #[test]
    fn only_operators_publish_and_give_away() {
        let (mine, public) = (image("p", Visibility::Shared), image("p", Visibility::Public));
        let given = image("q", Visibility::Shared);
        let (member, admin) = (caller("p", &["member"]), caller("p", &["admin"]));
        for (before, next) in [(None, &public), (Some(&mine), &public), (None, &given), (Some(&mine), &given)]
        {
            check_next(&member, before, next).unwrap_err();
            check_next(&admin, before, next).unwrap();
        }
        check_next(&member, Some(&public), &public).unwrap();
        check_next(&member, None, &mine).unwrap();
        check_next(&caller("p", &["reader"]), None, &mine).unwrap_err();
        let nobodys = self::image("", Visibility::Shared);
        check_next(&caller("", &["member"]), None, &nobodys).unwrap_err();
        check_next(&caller("", &["admin"]), None, &nobodys).unwrap();
    }
}
