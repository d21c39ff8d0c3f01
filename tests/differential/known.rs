//! Intended differences: how what docs/compatibility.md lists under "Different on purpose" shows here.

use crate::{answer::Answer, compare::Difference, queries::decoded, steps::Step};

/// A step with different answers.
pub(crate) struct Case<'a> {
    pub(crate) step: &'a Step,
    pub(crate) glance: &'a Answer,
    pub(crate) ours: &'a Answer,
    pub(crate) differences: &'a [Difference],
    /// Whether there are images for which each service chose its own id.
    pub(crate) has_own_ids: bool,
}

/// An intended difference.
pub(crate) struct Known {
    /// What it is.
    pub(crate) reason: &'static str,
    /// Whether a case is one.
    pub(crate) is: fn(&Case<'_>) -> bool,
    /// Whether it occurs at most once in 10,000 requests.
    pub(crate) is_rare: bool,
}

const fn known(reason: &'static str, is: fn(&Case<'_>) -> bool) -> Known {
    Known { reason, is, is_rare: false }
}

const fn rare(reason: &'static str, is: fn(&Case<'_>) -> bool) -> Known {
    Known { reason, is, is_rare: true }
}

/// All intended differences; the first that matches counts.
pub(crate) const KNOWN: &[Known] = &[
    known("Glance fails (500)", |case| case.glance.status == 500 && case.ours.status < 500),
    known("a token with only the role service sees one image by its id", |case| {
        case.step.who.roles == "service" && matches!(case.glance.status, 403 | 404)
    }),
    known("a PATCH of a property named `delete` or `base` is lost or refused", |case| {
        case.is_patch() && (case.says("/base\"") || case.says("/delete\""))
    }),
    known("4-byte characters are refused", |case| case.glance.status == 400 && case.says("\u{1F980}")),
    known("errors are plain text to who does not say what is read", |case| {
        case.ours.status >= 400
            && case.differs_in(&["content-type", "content-range"])
            && case.differences.iter().any(|one| one.ours.as_deref() == Some("text/html"))
            && case
                .step
                .request
                .headers
                .iter()
                .all(|(name, value)| *name != "accept" || value == "application/octet-stream")
    }),
    known("what is wrong with a request is told before who asks, and whether the image is there", |case| {
        matches!(case.statuses(), (403 | 404 | 409, 400)) && case.step.request.method != "GET"
    }),
    known("what only the service sets is told before other faults", |case| {
        matches!(case.statuses(), (400 | 404 | 409, 403)) && case.answers("cannot be set or removed")
    }),
    rare("who may change a member is told before whether there is one", |case| {
        case.statuses() == (404, 403) && case.step.request.target.contains("/members/")
    }),
    rare("of several faults of a PATCH, another one is told", |case| {
        matches!(case.statuses(), (403, 409) | (409, 403)) && case.is_patch() && case.says("},{")
    }),
    rare("who may list images is told before what is wrong with the filters", |case| {
        case.is_list() && case.statuses() == (400, 403)
    }),
    known("a marker that is not seen is as one that is not there", |case| {
        case.is_list()
            && case.statuses() == (403, 400)
            && case.pairs().any(|pair| pair.starts_with("marker="))
    }),
    known("a `Range` that makes no sense is refused, of an image without data, too", |case| {
        case.ends("/file") && matches!(case.statuses(), (400 | 416, 200 | 204))
    }),
    known("416 does not say how many bytes there are", |case| {
        case.ours.status == 416 && case.differs_in(&["content-range"])
    }),
    known("a single store's Glance does not look at `X-Image-Meta-Store`", |case| {
        matches!(case.statuses(), (204 | 415, 400))
            && case.step.request.headers.iter().any(|(name, _)| *name == "x-image-meta-store")
    }),
    known("data that are not of the image's disk_format are refused", |case| {
        case.ends("/file") && case.statuses() == (415, 204)
    }),
    known("an owner, and a format of an image with data, cannot be set to what they are", |case| {
        case.statuses() == (403, 200) && case.is_patch() && (case.says("_format\"") || case.says("owner"))
    }),
    rare("an owner can be dropped by who must not give the image away", |case| {
        case.statuses() == (200, 403)
            && case.is_patch()
            && (case.says("\"add\",\"path\":\"/owner\",\"value\":null")
                || case.says("\"add\":\"/owner\",\"value\":null"))
    }),
    rare("who must not give an image away is told that before a property is looked for", |case| {
        case.statuses() == (403, 409) && case.is_patch() && case.says("/owner\"")
    }),
    known("blank tags are kept", |case| {
        matches!(case.statuses(), (200 | 201 | 204, 400)) && (case.ends("/tags/%20") || case.says("\"\"]"))
    }),
    rare("a property with an empty name", |case| {
        case.statuses() == (200, 400) && case.is_patch() && case.says("\"/\"")
    }),
    known("a member can be a number", |case| case.ends("/members") && case.says("{\"member\":1}")),
    known("min_disk and min_ram are shown as they were written, 1000.0", |case| {
        case.shows(Difference::is_of_form)
    }),
    known("a name that is empty is kept beside none", |case| {
        case.shows(Difference::is_of_empty_name) || case.glance.is_good() && case.lists_empty_names()
    }),
    known("the virtual size of no data is not known", |case| case.shows(Difference::is_of_no_data)),
    known("os_hash_algo and os_hash_value are taken, and lost, by a POST", |case| {
        case.statuses() == (201, 403) && case.says("\"os_hash_")
    }),
    rare("`bytes=-0` is all of the data as a part", |case| {
        case.statuses() == (206, 416)
            && case.step.request.headers.iter().any(|(_, value)| value == "bytes=-0")
    }),
    known("a change that changes nothing moves updated_at", |case| {
        case.is_list() && case.pairs().any(|pair| pair.starts_with("sort") && pair.contains("updated_at"))
    }),
    known("schemas describe what is shown in their own words", |case| {
        case.step.request.target.starts_with("/v2/schemas/image") && case.differs_in(&["properties"])
    }),
    rare("an empty text can be the owner", |case| {
        matches!(case.statuses(), (200 | 201, 400)) && case.names_no_owner()
    }),
    rare("a `Content-Range` of an answer goes beyond the data", |case| {
        case.ends("/file") && case.ours.status == 206 && case.differs_in(&["content-range"])
    }),
    rare("ids that each chose for itself have an order of their own", |case| {
        case.is_list() && case.has_own_ids && case.pairs().any(|pair| is_sorted_by_id(&pair))
    }),
    known("`/v2` and `/v2/` are no versions", |case| case.step.request.target.trim_end_matches('/') == "/v2"),
    known("the health check says nothing", |case| case.ends("/healthcheck")),
    known("`stores` is an attribute of several stores alone", |case| case.says("stores")),
    known("an empty value of a filter matches nothing that is null", |case| {
        case.is_list() && case.pairs().any(|pair| pair.ends_with(['=', ',']) || pair.ends_with("in:"))
    }),
    known("a name with a colon is no value of a filter", |case| {
        case.statuses() == (400, 200) && case.pairs().any(|pair| pair == "name=c: d")
    }),
    known("`protected=False` is refused", |case| {
        case.statuses() == (400, 200) && case.pairs().any(|pair| pair == "protected=False")
    }),
    known(
        "a number that is none, and a value that is none in a filter before its last, are ignored",
        |case| case.is_list() && case.statuses() == (200, 400),
    ),
    known("of a query with a name twice, links keep the last, and the first may be a property", |case| {
        case.is_list() && case.has_twice()
    }),
    known("`next` is there though nothing follows", |case| {
        case.is_list()
            && case.differences.iter().any(Difference::is_of_end)
            && case.differences.iter().all(|one| one.is_of_end() || one.is_of_shown())
    }),
    known("pages lose or repeat images whose sort values are null", |case| {
        case.is_list()
            && case.differs_in(&["images", "next"])
            && case.pairs().any(|pair| pair.starts_with("marker="))
    }),
];

/// Whether a query pair sorts by ids.
fn is_sorted_by_id(pair: &str) -> bool {
    pair.starts_with("sort") && pair.split(['=', ',', ':']).any(|key| key == "id")
}

impl Case<'_> {
    const fn statuses(&self) -> (u16, u16) {
        (self.glance.status, self.ours.status)
    }

    fn is_patch(&self) -> bool {
        self.step.request.method == "PATCH"
    }

    /// Whether the body of the request contains that text.
    fn says(&self, text: &str) -> bool {
        self.step.request.text().contains(text)
    }

    /// Whether our answer contains that text.
    fn answers(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.ours.body).contains(text)
    }

    /// Whether the request sets an empty owner.
    fn names_no_owner(&self) -> bool {
        self.says("\"owner\":\"\"") || self.says("/owner\",\"value\":\"\"")
    }

    fn ends(&self, path: &str) -> bool {
        self.step.request.target.ends_with(path)
    }

    fn is_list(&self) -> bool {
        self.step.request.target.starts_with("/v2/images?")
    }

    fn pairs(&self) -> impl Iterator<Item = String> {
        let (_, query) = self.step.request.target.split_once('?').unwrap_or_default();
        query.split('&').map(decoded)
    }

    fn has_twice(&self) -> bool {
        let mut names: Vec<_> = self
            .pairs()
            .map(|pair| pair.split_once('=').map_or(pair.clone(), |(name, _)| name.to_owned()))
            .collect();
        let all = names.len();
        names.sort();
        names.dedup();
        names.len() < all
    }

    /// Whether an image is shown differently in this way, and in no other than that images are shown differently.
    fn shows(&self, is_one: fn(&Difference) -> bool) -> bool {
        self.differences.iter().any(is_one) && self.differences.iter().all(Difference::is_of_shown)
    }

    fn differs_in(&self, names: &[&str]) -> bool {
        self.differences.iter().all(|difference| names.contains(&difference.name.as_str()))
    }

    /// Whether it is a list in which, or by whose order, names stand that are empty.
    fn lists_empty_names(&self) -> bool {
        self.is_list()
            && self.pairs().any(|pair| pair.starts_with("sort") && pair.contains("name"))
            && String::from_utf8_lossy(&self.glance.body).contains("\"name\": \"\"")
    }
}

impl Difference {
    fn both(&self) -> (String, String) {
        (self.glance.clone().unwrap_or_default(), self.ours.clone().unwrap_or_default())
    }

    fn is_of_end(&self) -> bool {
        self.name == "next" && self.ours.is_none()
    }

    fn is_of_shown(&self) -> bool {
        self.is_of_form() || self.is_of_empty_name() || self.is_of_no_data()
    }

    fn is_of_form(&self) -> bool {
        let (glance, ours) = self.both();
        matches!(self.name.as_str(), "min_disk" | "min_ram")
            && matches!((glance.parse::<f64>(), ours.parse::<f64>()), (Ok(glance), Ok(ours)) if (glance - ours).abs() < 0.5)
    }

    fn is_of_empty_name(&self) -> bool {
        let (glance, ours) = self.both();
        let is_name = matches!(self.name.as_str(), "name" | "owner") && glance == "\"\"" && ours == "null";
        is_name || self.is_of_lists()
    }

    fn is_of_no_data(&self) -> bool {
        let (glance, ours) = self.both();
        self.name == "virtual_size" && glance == "null" && ours == "0" || self.is_of_lists()
    }

    /// Whether it is of what images themselves show differently.
    fn is_of_lists(&self) -> bool {
        let (glance, ours) = self.both();
        let alike = |images: &str| {
            images
                .replace("\"name\":\"\"", "\"name\":null")
                .replace("\"virtual_size\":0,", "\"virtual_size\":null,")
        };
        self.name == "images" && alike(&glance) == alike(&ours)
    }
}
