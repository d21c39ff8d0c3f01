//! The token for development: `USER:PROJECT:ROLE,ROLE`, or a word that stands for an operator.

use percent_encoding::percent_decode_str;

use common::text;

/// What clients without a token send: the word that people choose, and keystoneauth's for `auth_type: none`.
const OPERATORS: [&str; 2] = ["x", "notused"];

/// Whom a token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// An operator.
    Operator,
    /// A user in a project with roles, separated by commas.
    Caller { user_id: String, project_id: String, roles: String },
}

impl Token {
    /// Reads the value of `X-Auth-Token`, plain or percent-encoded (as python-glanceclient sends it); the error says
    /// what is wrong without repeating the token, which may be a secret from somewhere else.
    pub(super) fn parse(value: &[u8]) -> Result<Self, String> {
        let encoded = std::str::from_utf8(value).map_err(|_| "is not visible ASCII")?;
        let token = percent_decode_str(encoded).decode_utf8().map_err(|_| "is not visible ASCII")?;
        if OPERATORS.contains(&&*token) {
            return Ok(Self::Operator);
        }
        if !token.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err("is not visible ASCII".to_owned());
        }
        let parts: Vec<_> = token.split(':').collect();
        let [user_id, project_id, roles] = parts[..] else {
            return Err(format!("has {} colons", parts.len() - 1));
        };
        for (name, part) in [("user", user_id), ("project", project_id), ("roles", roles)] {
            text::optional_name(part).map_err(|problem| format!("is wrong: {name} {problem}"))?;
        }
        if project_id.is_empty() && roles.is_empty() {
            return Err("names neither a project nor roles".to_owned());
        }
        let (user_id, project_id) = (user_id.to_owned(), project_id.to_owned());
        Ok(Self::Caller { user_id, project_id, roles: roles.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_understood_as_clients_send_it() {
        let alice = Token::Caller {
            user_id: "alice".into(),
            project_id: "demo".into(),
            roles: "member,reader".into(),
        };
        for token in
            ["alice:demo:member,reader", "alice%3Ademo%3Amember%2Creader", "%61lice%3ademo:member,reader"]
        {
            assert_eq!(Token::parse(token.as_bytes()), Ok(alice.clone()), "{token}");
        }
        for token in ["x", "notused", "%78"] {
            assert_eq!(Token::parse(token.as_bytes()), Ok(Token::Operator), "{token}");
        }
    }

    #[test]
    fn anything_else_is_nobody() {
        let long = format!("u:{}:member", "p".repeat(256));
        for (token, problem) in [
            ("", "0 colons"),
            ("X", "0 colons"),
            ("gAAAAABnonsense", "0 colons"),
            ("u:p", "1 colons"),
            ("u:p:a:b", "3 colons"),
            ("u%3Ap%3Aa%3Ab", "3 colons"),
            ("u::", "neither a project nor roles"),
            ("::", "neither a project nor roles"),
            ("%C3%BC:p:member", "visible ASCII"),
            ("%FF:p:member", "visible ASCII"),
            ("u:p:member%0A", "visible ASCII"),
            (&long, "256 characters"),
        ] {
            let said = Token::parse(token.as_bytes()).unwrap_err();
            assert!(said.contains(problem), "{token}: {said}");
        }
        assert!(Token::parse(b"\xFC:p:member").is_err());
    }
}
