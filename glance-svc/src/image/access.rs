//! Who may see and change an image: the defaults of Glance's policy (current release).

use common::caller::Caller;

use super::{Image, Visibility};
use crate::error::Error;

/// Whether `caller` sees the image when it names it; lists show less. `is_member`: whether it is shared with the
/// caller's project.
#[must_use]
pub fn sees(caller: &Caller, image: &Image, is_member: bool) -> bool {
    caller.is_admin
        // Glance: what nobody owns, everybody sees.
        || image.owner.is_empty()
        || caller.is_of(&image.owner)
        || match image.visibility {
            Visibility::Public | Visibility::Community => true,
            Visibility::Shared => is_member,
            Visibility::Private => false,
        }
}

/// Whether `caller` manages the image: it is an operator, or of the project that owns it.
#[must_use]
pub fn manages(caller: &Caller, image: &Image) -> bool {
    caller.is_admin || caller.is_of(&image.owner)
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
    use common::{caller::Actor, clock, id::Id};

    use super::*;

    fn caller(project: &str, roles: &[&str]) -> Caller {
        let actor = Actor { user_id: "u".into(), project_id: project.into() };
        let roles: Vec<_> = roles.iter().map(|role| (*role).to_owned()).collect();
        Caller { actor, is_admin: roles.contains(&"admin".to_owned()), roles }
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
            assert!(sees(&stranger, &image("", visibility), false));
        }
        assert!(!sees(&caller("", &["member"]), &image("owner", Private), false));
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
