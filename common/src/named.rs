//! Values with a name: states, visibilities, operations.

use std::fmt;

/// A value with a name.
pub trait Named: Copy + fmt::Display + 'static {
    /// Every value.
    const ALL: &'static [Self];

    /// The value of that name, in either case.
    fn from_name(name: &str) -> Option<Self>;
}

/// Defines an enum whose values have one lower-case name, in the database as in OpenStack's API; they are shown in upper case,
/// as gRPC has them.
#[macro_export]
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[$variant_doc])* $variant,)+ }

        impl $type {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name, in lower case.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value of that name, in either case.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str().eq_ignore_ascii_case(name))
            }
        }

        impl $crate::named::Named for $type {
            const ALL: &'static [Self] = Self::ALL;

            fn from_name(name: &str) -> Option<Self> {
                Self::from_name(name)
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                formatter.pad(&self.as_str().to_ascii_uppercase())
            }
        }
    };
}
