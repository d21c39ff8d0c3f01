//! Who may see and change an image: the defaults of Glance's policy (current release).

use chassis::caller::Caller;
use common::id::Id;

use super::{Image, Visibility};
use crate::error::Error;

/// What a caller may do with an image; whoever may do one may do those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// It must not learn that the image is there.
    Nothing,
    /// It sees the image when it names it; lists show less.
    Sees,
    /// It manages the image, and sees its history: it is an operator, or of the project that owns it.
    Manages,
}

/// An image at one time, as far as that decides who may do what with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'a> {
    /// The owning project, or empty.
    pub owner: &'a str,
    /// Who may see it; none where it is for those who manage it alone, as an image that is deleted and its history are.
    pub visibility: Option<Visibility>,
    /// Whether it is shared with the project of the caller.
    pub is_shared: bool,
}

impl<'a> Standing<'a> {
    /// An image, shared with the project of the caller or not.
    #[must_use]
    pub fn of(image: &'a Image, is_shared: bool) -> Self {
        Self { owner: &image.owner, visibility: Some(image.visibility), is_shared }
    }

    /// What only those see who manage the image, which that project owns.
    #[must_use]
    pub const fn managed(owner: &'a str) -> Self {
        Self { owner, visibility: None, is_shared: false }
    }
}

/// What `caller` may do with an image that stands so.
fn access(caller: &Caller, standing: Standing<'_>) -> Access {
    if caller.is_admin || caller.is_of(standing.owner) {
        return Access::Manages;
    }
    let is_seen = match standing.visibility {
        Some(Visibility::Public | Visibility::Community) => true,
        // Glance: what nobody owns is shared with everybody, unless its policy finds it to be private.
        Some(Visibility::Shared) => standing.is_shared || standing.owner.is_empty(),
        None | Some(Visibility::Private) => false,
    };
    if is_seen { Access::Sees } else { Access::Nothing }
}

/// What `caller` may do with an image as it was: what it could do `then` and may do `now`, the lesser of both. The one rule
/// of all that is read of the past: whoever sees it may read the image as it was; whoever manages it, what became of it.
///
/// An image was shared with a member from the revision on that it had when the member was added, last. What is deleted now
/// is for those who managed it last.
#[must_use]
pub fn past(caller: &Caller, now: Standing<'_>, then: Standing<'_>) -> Access {
    access(caller, now).min(access(caller, then))
}

/// Whether `caller` sees the image when it names it; lists show less. `is_member`: whether it is shared with the
/// caller's project.
#[must_use]
pub fn sees(caller: &Caller, image: &Image, is_member: bool) -> bool {
    access(caller, Standing::of(image, is_member)) >= Access::Sees
}

/// Whether `caller` manages the image: it is an operator, or of the project that owns it.
#[must_use]
pub fn manages(caller: &Caller, image: &Image) -> bool {
    access(caller, Standing::managed(&image.owner)) == Access::Manages
}

/// Whether `caller` may list images at all.
pub fn check_list(caller: &Caller) -> Result<(), Error> {
    if caller.is_reader() {
        return Ok(());
    }
    Err(Error::NotPermitted { action: "list images".to_owned(), needs: "the role reader" })
}

/// Whether `caller` may change the image, which it sees.
pub fn check_change(caller: &Caller, image: &Image) -> Result<(), Error> {
    if manages(caller, image) && caller.is_member() {
        return Ok(());
    }
    Err(Error::NotPermitted { action: format!("change image {}", image.id), needs: OWNER })
}

/// Whether `caller` may read the data of the image, which it sees.
pub fn check_download(caller: &Caller, image: &Image) -> Result<(), Error> {
    if caller.is_member() {
        return Ok(());
    }
    Err(Error::NotPermitted { action: format!("download image {}", image.id), needs: "the role member" })
}

/// Whether `caller` may read the history of the image that stands so now: it names users, and values that have been removed
/// since.
pub fn check_history(caller: &Caller, id: Id, now: Standing<'_>) -> Result<(), Error> {
    match access(caller, now) {
        Access::Manages => Ok(()),
        Access::Sees => {
            Err(Error::NotPermitted { action: format!("read the history of image {id}"), needs: OWNER })
        }
        Access::Nothing => Err(Error::NotFound(id)),
    }
}

/// Whether `caller` may make `next` of `image`, or register it.
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

/// What a refused caller would have to be.
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
        let standings = [
            (
                Standing { owner: "owner", visibility: Some(Visibility::Private), is_shared: true },
                [Manages, Nothing, Nothing],
            ),
            (
                Standing { owner: "owner", visibility: Some(Visibility::Shared), is_shared: false },
                [Manages, Nothing, Nothing],
            ),
            (
                Standing { owner: "owner", visibility: Some(Visibility::Shared), is_shared: true },
                [Manages, Sees, Sees],
            ),
            (
                Standing { owner: "owner", visibility: Some(Visibility::Public), is_shared: false },
                [Manages, Sees, Sees],
            ),
            (Standing { owner: "", visibility: Some(Visibility::Private), is_shared: false }, [Nothing; 3]),
            (Standing { owner: "", visibility: Some(Visibility::Shared), is_shared: false }, [Sees; 3]),
            (Standing::managed("owner"), [Manages, Nothing, Nothing]),
            (Standing::managed("other"), [Nothing, Manages, Nothing]),
            (Standing::managed(""), [Nothing; 3]),
        ];
        for (index, caller) in callers.iter().enumerate() {
            for (now, may) in standings {
                for (then, could) in standings {
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
