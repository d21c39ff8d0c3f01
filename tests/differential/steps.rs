//! The next random request.

use serde_json::json;

use crate::{
    answer::Request,
    bodies,
    dice::Dice,
    queries::{self, encode},
    who::{ADMIN, ALL, OWNER, Who},
};

/// Projects that images are shared with.
const PROJECTS: [&str; 4] = ["q", "q", "p", "r s"];

/// Paths other than images, and paths that do not exist.
const PATHS: [&str; 26] = [
    "/",
    "/versions",
    "/v2",
    "/v2/",
    "/v2.0/images",
    "/v2.17/images",
    "/v2.99/images",
    "//v2/images",
    "/v2//images",
    "/v1/images",
    "/v2/nope",
    "/v2/images/",
    "/v2/schemas/image",
    "/v2/schemas/images",
    "/v2/schemas/member",
    "/v2/schemas/members",
    "/v2/schemas/nope",
    "/v2/info/import",
    "/v2/info/stores",
    "/v2/info/usage",
    "/v2/tasks",
    "/v2/images/nope",
    "/v2/images/nope/file",
    "/v2/images/nope/members",
    "/healthcheck",
    "/v3/images",
];

/// A request, and whether it may change something.
pub(crate) struct Step {
    pub(crate) who: Who,
    pub(crate) request: Request,
    /// The image that it is about.
    pub(crate) image: Option<String>,
}

/// The next step; `images` exist, `gone` have been deleted.
pub(crate) fn next(dice: &mut Dice, images: &[String], gone: &[String]) -> Step {
    let who = if dice.percent(60) { *dice.pick(&[OWNER, OWNER, ADMIN]) } else { *dice.pick(&ALL) };
    let kind = dice.below(100);
    let (request, image) = if images.is_empty() || images.len() < 3 && kind < 60 || kind < 12 {
        let id = if dice.percent(4) && !gone.is_empty() { dice.pick(gone).clone() } else { dice.id() };
        (create(dice, &id), Some(id))
    } else if kind < 37 {
        let ids: Vec<_> = images.iter().chain(gone.last()).cloned().collect();
        (get(format!("/v2/images?{}", queries::list(dice, &ids))), None)
    } else if kind < 41 {
        (get((dice.word(&PATHS)).to_owned()), None)
    } else {
        let is_gone = dice.percent(3) && !gone.is_empty();
        let id = if is_gone { dice.pick(gone) } else { dice.pick(images) }.clone();
        (about(dice, kind, &id), Some(id))
    };
    let mut request = request;
    request.headers.extend(who.headers());
    if dice.percent(30) {
        let accept =
            *dice.pick(&["application/json", "text/plain", "text/html", "*/*", "application/octet-stream"]);
        request.headers.push(("accept", accept.to_owned()));
    }
    Step { who, request, image }
}

fn create(dice: &mut Dice, id: &str) -> Request {
    let id = if dice.percent(5) { None } else { Some(id) };
    with_json("POST", "/v2/images".to_owned(), &bodies::image(dice, id))
}

/// A step about one image.
fn about(dice: &mut Dice, kind: usize, id: &str) -> Request {
    let image = format!("/v2/images/{id}");
    match kind {
        41..60 => {
            let (media_type, body) = bodies::patch(dice);
            let mut request = with_json("PATCH", image, &body);
            request.headers = vec![("content-type", media_type.to_owned())];
            request
        }
        60..67 => get(image),
        67..70 => bare("DELETE", image),
        70..79 => upload(dice, &image),
        79..84 => download(dice, &image),
        84..88 => {
            let tag = encode(dice.word(&["x", "y", "a b", "x", " "]));
            bare(dice.word(&["PUT", "PUT", "DELETE"]), format!("{image}/tags/{tag}"))
        }
        88..97 => member(dice, &image),
        _ => bare("POST", format!("{image}/actions/{}", dice.word(&["deactivate", "reactivate", "nope"]))),
    }
}

fn member(dice: &mut Dice, image: &str) -> Request {
    let project = dice.word(&PROJECTS);
    let (members, member) = (format!("{image}/members"), format!("{image}/members/{}", encode(project)));
    match dice.below(10) {
        0..3 => with_json(
            "POST",
            members,
            dice.pick(&[
                json!({"member": project}),
                json!({"member": project}),
                json!({"member": ""}),
                json!({}),
                json!({"member": 1}),
            ]),
        ),
        3 | 4 => get(members),
        5 => get(member),
        6..9 => with_json(
            "PUT",
            member,
            dice.pick(&[
                json!({"status": "accepted"}),
                json!({"status": "accepted"}),
                json!({"status": "rejected"}),
                json!({"status": "nope"}),
                json!({}),
            ]),
        ),
        _ => bare("DELETE", member),
    }
}

fn upload(dice: &mut Dice, image: &str) -> Request {
    let mut body: Vec<u8> =
        (0..dice.below(300)).map(|byte| b'a' + u8::try_from(byte % 26).unwrap_or(0)).collect();
    if dice.percent(5) {
        body.clear();
    }
    let mut headers = Vec::new();
    if !dice.percent(4) {
        headers.push(("content-type", "application/octet-stream".to_owned()));
    }
    if dice.percent(5) {
        headers.push(("x-image-meta-store", "nope".to_owned()));
    }
    if dice.percent(5) {
        headers.push(("x-openstack-image-size", body.len().to_string()));
    }
    Request { method: "PUT", target: format!("{image}/file"), headers, body }
}

fn download(dice: &mut Dice, image: &str) -> Request {
    let mut request = get(format!("{image}/file"));
    let kind = dice.below(4);
    if kind < 2 {
        let range = dice.word(&[
            "bytes=0-3",
            "bytes=2-",
            "bytes=-2",
            "bytes=100000-",
            "bytes=3-1",
            "bytes=0-0",
            "bytes=0-1,3-4",
            "lines=1-2",
            "bytes=x",
            "bytes=0-99999",
            "bytes=-0",
            "bytes=-99999",
        ]);
        request.headers.push(("range", range.to_owned()));
    } else if kind == 2 {
        let range = dice.word(&[
            "bytes 0-3/*",
            "bytes 2-5/10",
            "bytes 2-/*",
            "bytes 100000-100001/*",
            "bytes 3-1/*",
            "bytes 0-99999/*",
            "nonsense",
            "bytes */10",
            "bytes 0-0/*",
        ]);
        request.headers.push(("content-range", range.to_owned()));
    }
    request
}

fn get(target: String) -> Request {
    bare("GET", target)
}

fn bare(method: &'static str, target: String) -> Request {
    Request { method, target, ..Request::default() }
}

/// A request with a body.
pub(crate) fn with_json(method: &'static str, target: String, body: &serde_json::Value) -> Request {
    let headers = vec![("content-type", "application/json".to_owned())];
    Request { method, target, headers, body: body.to_string().into_bytes() }
}
