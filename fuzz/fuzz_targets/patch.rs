//! Patches of images, in both formats: each is parsed or refused, applied or refused, and the result is an image that could
//! have been registered.
#![no_main]

use common::{
    clock,
    id::{Id, NIL},
    violations::Violations,
};
use glance_svc::{
    http::patch::{Format, parse},
    image::{
        Attribute, Image, Status,
        patch::{Operation, Patch},
        properties::{Quota, check},
        update::validate,
    },
};
use libfuzzer_sys::fuzz_target;

/// How many properties an image may have.
const QUOTA: Quota = Quota(4);

fuzz_target!(|body: &[u8]| {
    let Ok(body) = serde_json::from_slice(body) else { return };
    for (_, format) in Format::ALL {
        let Ok(patch) = parse(format, &body) else { continue };
        for image in [queued(), active()] {
            change(&image, &patch);
        }
    }
});

/// An image without its data.
fn queued() -> Image {
    Image::blank(Id::from(NIL), clock::now())
}

/// An image with data and as many properties as it may have.
fn active() -> Image {
    let mut image = Image { status: Status::Active, size: Some(1), ..queued() };
    image.disk_format = "raw".to_owned();
    image.container_format = "bare".to_owned();
    image.properties.extend(["a", "b", "c", "d"].map(|name| (name.to_owned(), "v".to_owned())));
    image
}

fn change(image: &Image, patch: &Patch) {
    let mut next = image.clone();
    if patch.apply(&mut next).is_err() {
        return;
    }
    if patch.operations.iter().all(|operation| matches!(operation, Operation::Set(_))) {
        let mut again = next.clone();
        patch.apply(&mut again).expect("what sets values is never refused");
        assert_eq!(again, next);
    }
    let Ok(changed) = validate(image, next, QUOTA) else { return };
    check_image(&changed);
    assert_eq!(validate(&changed, changed.clone(), QUOTA).ok().as_ref(), Some(&changed));
}

fn check_image(image: &Image) {
    let mut violations = check(&image.properties, "properties");
    for attribute in Attribute::ALL {
        attribute.check(image, &mut violations);
    }
    assert_eq!(violations, Violations::default());
    assert!(QUOTA.check(&image.properties).is_ok());
}
