//! Both services, and the images that they have.

use std::{fmt::Write as _, net::SocketAddr};

use chassis::testing::TestDb;
use harness::{glance::Glance, service::Service};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    answer::{Answer, Request},
    compare::{self, Difference},
    known::{Case, KNOWN},
    steps::{Step, with_json},
    who::ADMIN,
};

/// OpenStack's Glance and glance-svc, with the same images.
pub(crate) struct Pair {
    glance: Glance,
    ours: Service,
    /// The existing images, by Glance's id.
    pub(crate) images: Vec<String>,
    /// Deleted images.
    pub(crate) gone: Vec<String>,
    /// Ids that each service has chosen: Glance's and ours.
    ids: Vec<(String, String)>,
    _db: TestDb,
    _data: TempDir,
}

impl Pair {
    pub(crate) fn start() -> Self {
        let glance = Glance::start().unwrap();
        let (db, data) = (TestDb::sqlite(), tempfile::tempdir().unwrap());
        let data_url = format!("file:{}", data.path().display());
        let arguments = [
            "--listen",
            "127.0.0.1:0",
            "--database-url",
            &db.url,
            "--data-url",
            &data_url,
            "--identity",
            "proxy",
        ];
        let ours = Service::start("glance-svc", arguments).unwrap();
        Self { glance, ours, images: Vec::new(), gone: Vec::new(), ids: Vec::new(), _db: db, _data: data }
    }

    /// Deletes all images from both.
    pub(crate) fn clear(&mut self) {
        for image in std::mem::take(&mut self.images) {
            self.remove(&image);
        }
        self.gone.clear();
        self.ids.clear();
    }

    /// Sends a request to both. `Ok(Some)` is the reason for an intended difference.
    pub(crate) fn ask(&mut self, step: &Step) -> Result<Option<&'static str>, String> {
        let (glance, ours) = self.both(&step.request);
        let created = self.note(step, &glance, &ours);
        let ours = Answer { body: self.by_glances_ids(&ours.body), ..ours };
        let ours = Answer {
            headers: ours
                .headers
                .into_iter()
                .map(|(name, value)| (name, self.by_glances_id(&value)))
                .collect(),
            ..ours
        };
        let differences = compare::differences(&step.request, &glance, &ours);
        if differences.is_empty() {
            return Ok(None);
        }
        // A difference may have left the image in different states: both continue without it.
        let changed = created.or_else(|| step.image.clone().filter(|_| step.request.method != "GET"));
        if let Some(image) = changed {
            self.remove(&image);
            self.images.retain(|other| *other != image);
        }
        let has_own_ids = !self.ids.is_empty();
        let case = Case { step, glance: &glance, ours: &ours, differences: &differences, has_own_ids };
        match KNOWN.iter().find(|known| (known.is)(&case)) {
            Some(known) => Ok(Some(known.reason)),
            None => Err(shown(&case)),
        }
    }

    fn both(&self, request: &Request) -> (Answer, Answer) {
        let glance = request.send(self.glance.address());
        let mut request = request.clone();
        for (theirs, own) in &self.ids {
            request.target = request.target.replace(theirs, own);
            if request.text().contains(theirs) {
                request.body = request.text().replace(theirs, own).into_bytes();
            }
        }
        (glance, request.send(self.address()))
    }

    fn address(&self) -> SocketAddr {
        self.ours.address()
    }

    /// Records which images exist now; returns the one that was created.
    fn note(&mut self, step: &Step, glance: &Answer, ours: &Answer) -> Option<String> {
        let request = &step.request;
        if request.method == "POST" && request.target == "/v2/images" {
            let id = id_of(glance).or_else(|| id_of(ours)).or_else(|| step.image.clone())?;
            if let (Some(theirs), Some(own)) = (id_of(glance), id_of(ours))
                && theirs != own
            {
                self.ids.push((theirs, own));
            }
            if glance.is_good() || ours.is_good() {
                self.images.push(id.clone());
                return Some(id);
            }
        }
        if let ("DELETE", Some(image), true) = (
            request.method,
            &step.image,
            request.target.matches('/').count() == 3 && glance.is_good() && ours.is_good(),
        ) {
            self.images.retain(|other| other != image);
            self.gone.push(image.clone());
        }
        None
    }

    fn by_glances_ids(&self, body: &[u8]) -> Vec<u8> {
        if self.ids.is_empty() {
            body.to_vec()
        } else {
            self.by_glances_id(&String::from_utf8_lossy(body)).into_bytes()
        }
    }

    fn by_glances_id(&self, text: &str) -> String {
        self.ids.iter().fold(text.to_owned(), |text, (theirs, own)| text.replace(own, theirs))
    }

    /// Deletes an image from both, whatever state it is in.
    fn remove(&self, image: &str) {
        let patch = json!([{"op": "replace", "path": "/protected", "value": false}]);
        let mut unprotect = with_json("PATCH", format!("/v2/images/{image}"), &patch);
        unprotect.headers = vec![("content-type", "application/openstack-images-v2.1-json-patch".to_owned())];
        let delete =
            Request { method: "DELETE", target: format!("/v2/images/{image}"), ..Request::default() };
        for mut request in [unprotect, delete] {
            request.headers.extend(ADMIN.headers());
            self.both(&request);
        }
    }
}

fn id_of(answer: &Answer) -> Option<String> {
    let image: Value = serde_json::from_slice(&answer.body).ok()?;
    Some(image.get("id")?.as_str()?.to_owned())
}

/// A difference, as shown in the test's output.
fn shown(case: &Case<'_>) -> String {
    let request = &case.step.request;
    let headers: Vec<_> = request.headers.iter().skip_while(|(name, _)| name.starts_with("x-i")).collect();
    let clip = |text: String| text.chars().take(600).collect::<String>();
    let mut shown = format!(
        "{:?} {} {} {headers:?}\n  {}",
        case.step.who,
        request.method,
        request.target,
        clip(request.text())
    );
    for Difference { name, glance, ours } in case.differences {
        let show = |value: &Option<String>| clip(value.clone().unwrap_or_else(|| "-".into()));
        let _ = write!(shown, "\n  {name}:\n    Glance {}\n    ours   {}", show(glance), show(ours));
    }
    for answer in [case.glance, case.ours] {
        if !answer.is_good() {
            let _ = write!(shown, "\n  {}", clip(String::from_utf8_lossy(&answer.body).replace('\n', " ")));
        }
    }
    shown
}
