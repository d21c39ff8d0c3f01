//! The bodies of errors: HTML or plain text as in OpenStack's services, or JSON.

use std::fmt::Write as _;

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::Problem;
use crate::status::Detail;

/// The form in which a caller reads errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Html,
    Json,
    Plain,
}

impl Form {
    /// The form that `Accept` asks for: HTML before JSON before plain text. HTML if it asks for nothing: openstacksdk
    /// sends an empty `Accept` with a PATCH, and shows no message from plain text.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let (html, json) = (quality(accept, "text", "html"), quality(accept, "application", "json"));
        match () {
            () if html > 0.0 && html >= json => Self::Html,
            () if json > 0.0 => Self::Json,
            () if quality(accept, "text", "plain") > 0.0 => Self::Plain,
            () => Self::Html,
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=UTF-8",
            Self::Json => "application/json",
            Self::Plain => "text/plain; charset=UTF-8",
        }
    }

    pub(super) fn render(self, problem: &Problem, status: StatusCode, domain: &str) -> String {
        match self {
            Self::Html => as_html(problem, status),
            Self::Json => as_json(problem, status, domain),
            Self::Plain => as_text(problem, status),
        }
    }
}

/// How much a type is wanted, 0 to 1, according to the most specific range that includes it (RFC 9110, `Accept`).
fn quality(accept: &str, kind: &str, subtype: &str) -> f32 {
    let mut found = (0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let Some((main, sub)) = parts.next().and_then(|range| range.split_once('/')) else { continue };
        let exactness = match (main, sub) {
            ("*", "*") => 1,
            (main, "*") if main.eq_ignore_ascii_case(kind) => 2,
            (main, sub) if main.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => 3,
            _ => continue,
        };
        let wanted = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(1.0));
        if exactness > found.0 {
            found = (exactness, wanted);
        }
    }
    found.1
}

fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

fn as_json(problem: &Problem, status: StatusCode, domain: &str) -> String {
    let Problem { sentence, description, .. } = problem;
    let metadata: serde_json::Map<_, _> =
        description.metadata.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let mut error = json!({
        "code": status.as_u16(),
        "title": title(status),
        "message": sentence,
        "reason": description.reason,
        "domain": domain,
        "metadata": metadata,
    });
    if let Detail::BadRequest(violations) = &description.detail {
        let violations: Vec<_> = violations
            .iter()
            .map(|violation| json!({"field": violation.field, "description": violation.problem}))
            .collect();
        error["violations"] = json!(violations);
    }
    json!({ "error": error }).to_string()
}

/// The body that OpenStack's services answer with; its clients parse it line by line.
fn as_html(problem: &Problem, status: StatusCode) -> String {
    let heading = format!("{} {}", status.as_u16(), title(status));
    let mut text = escape(&problem.sentence);
    if let Detail::BadRequest(violations) = &problem.description.detail
        && violations.len() > 1
    {
        for violation in violations {
            let (field, problem) = (escape(&violation.field), escape(&violation.problem));
            let _ = write!(text, "<br />\n  {field}: {problem}");
        }
    }
    format!(
        "<html>\n <head>\n  <title>{heading}</title>\n </head>\n <body>\n  <h1>{heading}</h1>\n  \
         {text}<br /><br />\n\n\n\n </body>\n</html>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Like [`as_html`], without the markup.
fn as_text(problem: &Problem, status: StatusCode) -> String {
    let mut text = format!("{} {}\n\n{}\n", status.as_u16(), title(status), problem.sentence);
    if let Detail::BadRequest(violations) = &problem.description.detail
        && violations.len() > 1
    {
        for violation in violations {
            let _ = writeln!(text, "  {}: {}", violation.field, violation.problem);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use common::violations::Violations;

    #[test]
    fn the_form_is_what_is_asked_for() {
        use Form::{Html, Json, Plain};
        for (accept, form) in [
            ("application/json", Json),
            ("application/json; charset=utf-8", Json),
            ("application/json, text/html;q=0.5", Json),
            ("application/*", Json),
            ("text/html;q=0, */*", Json),
            ("application/json, text/html", Html),
            ("text/html, application/json", Html),
            ("application/json;q=0, */*;q=0.1", Html),
            ("TEXT/HTML", Html),
            ("text/*", Html),
            ("*/*", Html),
            ("text/plain", Plain),
            ("text/plain, text/html;q=0", Plain),
            ("application/octet-stream", Html),
            ("application/json;q=0", Html),
            ("", Html),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(Form::of(&headers), form, "{accept}");
        }
        assert_eq!(Form::of(&HeaderMap::new()), Html);
    }

    #[test]
    fn html_holds_nothing_of_the_caller_unescaped() {
        let mut violations = Violations::one("<a>", "\"b\" & c");
        violations.add("d", "<script>");
        let problem = Problem::from(violations);
        let html = as_html(&problem, StatusCode::BAD_REQUEST);
        assert!(html.contains("<title>400 Bad Request</title>"));
        assert!(html.contains("&lt;a&gt;: &quot;b&quot; &amp; c<br />\n  d: &lt;script&gt;<br /><br />"));
        let text = as_text(&problem, StatusCode::BAD_REQUEST);
        assert!(text.starts_with("400 Bad Request\n\n2 violations") && text.ends_with("\n  d: <script>\n"));
    }
}
