//! Callers, as Keystone's middleware or the proxy in front of the service identifies them.

/// A caller: user, project and roles. Keystone adds implied roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) project: &'static str,
    pub(crate) roles: &'static str,
}

/// The owner of most images.
pub(crate) const OWNER: Who = Who { project: "p", roles: "member,reader" };

/// An admin.
pub(crate) const ADMIN: Who = Who { project: "a", roles: "admin,manager,member,reader" };

/// All callers; more frequent ones are listed more than once.
pub(crate) const ALL: [Who; 12] = [
    OWNER,
    OWNER,
    OWNER,
    OWNER,
    ADMIN,
    ADMIN,
    Who { project: "q", roles: "member,reader" },
    Who { project: "q", roles: "member,reader" },
    Who { project: "p", roles: "reader" },
    Who { project: "q", roles: "reader" },
    Who { project: "p", roles: "manager,member,reader" },
    Who { project: "p", roles: "service" },
];

impl Who {
    pub(crate) fn headers(self) -> Vec<(&'static str, String)> {
        [
            ("x-identity-status", "Confirmed"),
            ("x-user-id", "u"),
            ("x-project-id", self.project),
            ("x-roles", self.roles),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }
}
