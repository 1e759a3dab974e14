//! The macro that makes the structs, their defaults and the table of keys from one list, so that
//! none of them can forget a key.

use super::keys::Config;
use toml::de::DeValue;

/// What a number may be; both ends belong to it. `unit` is the plural word shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub min: u64,
    pub max: u64,
    pub unit: &'static str,
}

impl Bounds {
    /// For what is no number.
    pub const NONE: Bounds = Bounds { min: 0, max: u64::MAX, unit: "" };
}

/// One key of the file.
pub struct Key {
    /// Its name within its section.
    pub name: &'static str,
    /// What it is for; one string for each line.
    pub doc: &'static [&'static str],
    /// What its value may be, in words.
    pub kind: fn() -> String,
    /// Reads a value of the file into its place.
    pub set: fn(&mut Config, &DeValue<'_>) -> Result<(), String>,
    /// Its value in this configuration, as TOML.
    pub show: fn(&Config) -> String,
}

/// A table of the file. The first one has no name: it is what stands above all tables.
pub struct Section {
    /// As in `[name]`.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static [&'static str],
    /// In the order in which they are shown.
    pub keys: &'static [Key],
}

macro_rules! bounds {
    () => {
        $crate::config::schema::Bounds::NONE
    };
    ($min:literal .. $max:literal $unit:literal) => {
        $crate::config::schema::Bounds { min: $min, max: $max, unit: $unit }
    };
}

macro_rules! key {
    ([$($path:tt)+], $key:ident, $ty:ty, [$($doc:literal)*], [$($bounds:tt)*]) => {
        $crate::config::schema::Key {
            name: stringify!($key),
            doc: &[$($doc),*],
            kind: || <$ty as $crate::config::value::Value>::kind(&bounds!($($bounds)*)),
            set: |config, value| {
                config.$($path)+ =
                    <$ty as $crate::config::value::Value>::read(value, &bounds!($($bounds)*))?;
                Ok(())
            },
            show: |config| $crate::config::value::Value::show(&config.$($path)+),
        }
    };
}

/// `key: type = default, min..max "unit";` under a doc comment, in sections.
macro_rules! settings {
    (
        { $( $(#[doc = $tdoc:literal])* $tkey:ident : $tty:ty = $tdefault:expr $(, $tmin:literal .. $tmax:literal $tunit:literal)? ; )* }
        $(
            $(#[doc = $sdoc:literal])*
            $section:ident $Section:ident
            { $( $(#[doc = $doc:literal])* $key:ident : $ty:ty = $default:expr $(, $min:literal .. $max:literal $unit:literal)? ; )* }
        )*
    ) => {
        /// All that can be configured; [`Default`] is what an empty file means.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $( $(#[doc = $tdoc])* pub $tkey: $tty, )*
            $( $(#[doc = $sdoc])* pub $section: $Section, )*
        }
        impl Default for Config {
            fn default() -> Config {
                Config { $( $tkey: $tdefault, )* $( $section: $Section::default(), )* }
            }
        }
        $(
            $(#[doc = $sdoc])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section {
                $( $(#[doc = $doc])* pub $key: $ty, )*
            }
            impl Default for $Section {
                fn default() -> $Section {
                    $Section { $( $key: $default, )* }
                }
            }
        )*
        /// Every key there is, in the order in which they are shown.
        pub const SECTIONS: &[$crate::config::schema::Section] = &[
            $crate::config::schema::Section {
                name: "",
                doc: &[],
                keys: &[ $( key!([$tkey], $tkey, $tty, [$($tdoc)*], [$($tmin .. $tmax $tunit)?]), )* ],
            },
            $( $crate::config::schema::Section {
                name: stringify!($section),
                doc: &[$($sdoc),*],
                keys: &[ $( key!([$section . $key], $key, $ty, [$($doc)*], [$($min .. $max $unit)?]), )* ],
            }, )*
        ];
    };
}
pub(super) use {bounds, key, settings};
