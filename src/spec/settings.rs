//! Structs of settings: one row for each flag and key.

/// A struct whose fields are flags and keys of a file alike, each given or not.
///
/// A row holds the help text, clap's attribute, the type and, after `=`, the default. A switch also has, after `or`,
/// the flag that turns it off. From the rows come the struct, `defaults`, `keys` and `negated`.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        pub struct $type:ident {
            $(
                $(#[doc = $help:literal])+
                #[arg($($arg:tt)*)]
                $field:ident: $value:ty $(= $default:expr)?
                $(, or
                    $(#[doc = $off_help:literal])+
                    #[arg($($off_arg:tt)*)]
                    $off:ident
                )?;
            )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "cli", derive(clap::Args))]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $type {
            $(
                $(#[doc = $help])+
                #[cfg_attr(feature = "cli", arg($($arg)*))]
                pub $field: Option<$value>,
                $(
                    $(#[doc = $off_help])+
                    #[cfg_attr(feature = "cli", arg($($off_arg)*))]
                    #[serde(skip)]
                    pub $off: bool,
                )?
            )+
        }

        impl $type {
            /// Every default that depends on neither other values nor the data.
            pub fn defaults() -> Self {
                $type { $( $field: settings!(@default $($default)?), $($off: false,)? )+ }
            }

            /// These values, and those of `other` that are not among them.
            pub fn over(self, other: Self) -> Self {
                let (own, other) = (self.negated(), other.negated());
                $type { $( $field: own.$field.or(other.$field), $($off: false,)? )+ }
            }

            /// Every key of a configuration file: the long flags without the negations `--no-…`.
            pub fn keys() -> Vec<String> {
                [$(stringify!($field)),+].map(|field| field.replace('_', "-")).into()
            }

            /// The same settings without negations: a switch that its negation turns off is off.
            fn negated(&self) -> Self {
                $type {
                    $(
                        $field: self.$field.clone() $( .filter(|_| !self.$off).or(self.$off.then_some(false)) )?,
                        $($off: false,)?
                    )+
                }
            }
        }
    };
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
}

pub(super) use settings;
