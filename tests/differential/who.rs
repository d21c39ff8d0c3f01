//! Who asks, as Keystone's middleware or the proxy in front of the service says.

/// A caller: user, project and roles. Keystone adds to each role those that it implies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) project: &'static str,
    pub(crate) roles: &'static str,
}

/// Who owns most images.
pub(crate) const OWNER: Who = Who { project: "p", roles: "member,reader" };

/// Who may do everything.
pub(crate) const ADMIN: Who = Who { project: "a", roles: "admin,manager,member,reader" };

/// Everybody; those who come more often are there more often.
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
