//! Enums whose variants have names.

/// An enum whose variants have names, for the command line and for files: one row for each variant.
///
/// From the rows come the variants, `ALL`, `name` and the names that serde reads and writes.
macro_rules! named {
    (
        $(#[$meta:meta])*
        pub enum $type:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $name:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(serde::Serialize, serde::Deserialize)]
        pub enum $type {
            $( $(#[$variant_meta])* #[serde(rename = $name)] $variant, )+
        }

        impl $type {
            /// Every variant, in the order of the list.
            pub const ALL: [$type; [$($name),+].len()] = [$($type::$variant),+];

            /// The names of `ALL`.
            pub const NAMES: [&'static str; [$($name),+].len()] = [$($name),+];

            /// The name on the command line and in files.
            pub fn name(self) -> &'static str {
                match self {
                    $( $type::$variant => $name, )+
                }
            }
        }
    };
}

pub(super) use named;
