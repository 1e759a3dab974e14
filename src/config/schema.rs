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
    /// Reads a value of the file into its place. The text is the name of a section that may be there
    /// several times, else "".
    pub set: fn(&mut Config, &str, &DeValue<'_>) -> Result<(), String>,
    /// Its value in this configuration, as TOML; the default when there is no section of this name.
    pub show: fn(&Config, &str) -> String,
}

/// A table of the file. The first one has no name: it is what stands above all tables.
pub struct Section {
    /// As in `[name]`; it may have dots.
    pub name: &'static str,
    /// When it may be there several times, as `[name.NAME]`.
    pub many: Option<Many>,
    /// What it is for.
    pub doc: &'static [&'static str],
    /// In the order in which they are shown.
    pub keys: &'static [Key],
}

/// A section that may be there several times.
pub struct Many {
    /// It is there, with defaults until something is read.
    pub make: fn(&mut Config, &str),
    /// The names it has in this configuration.
    pub names: fn(&Config) -> Vec<String>,
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
    ($place:tt, $key:ident, $ty:ty, [$($doc:literal)*], [$($bounds:tt)*]) => {
        $crate::config::schema::Key {
            name: stringify!($key),
            doc: &[$($doc),*],
            kind: || <$ty as $crate::config::value::Value>::kind(&bounds!($($bounds)*)),
            set: |config, of, value| {
                let read = <$ty as $crate::config::value::Value>::read(value, &bounds!($($bounds)*))?;
                set!($place, $key, config, of, read);
                Ok(())
            },
            show: |config, of| show!($place, $key, config, of),
        }
    };
}

macro_rules! set {
    ([top], $key:ident, $config:ident, $of:ident, $read:ident) => {{
        let _ = $of; // it is there once
        $config.$key = $read;
    }};
    ([many $section:ident $Section:ident], $key:ident, $config:ident, $of:ident, $read:ident) => {
        $config.$section.entry($of.to_owned()).or_default().$key = $read
    };
    ([$section:ident $Section:ident], $key:ident, $config:ident, $of:ident, $read:ident) => {{
        let _ = $of; // it is there once
        $config.$section.$key = $read;
    }};
}

macro_rules! show {
    ([top], $key:ident, $config:ident, $of:ident) => {{
        let _ = $of; // it is there once
        $crate::config::value::Value::show(&$config.$key)
    }};
    ([many $section:ident $Section:ident], $key:ident, $config:ident, $of:ident) => {
        match $config.$section.get($of) {
            Some(section) => $crate::config::value::Value::show(&section.$key),
            None => $crate::config::value::Value::show(&$Section::default().$key),
        }
    };
    ([$section:ident $Section:ident], $key:ident, $config:ident, $of:ident) => {{
        let _ = $of; // it is there once
        $crate::config::value::Value::show(&$config.$section.$key)
    }};
}

macro_rules! section_type {
    (many $Section:ident) => { std::collections::BTreeMap<String, $Section> };
    ($Section:ident) => { $Section };
}

macro_rules! section_many {
    (many $section:ident) => {
        Some($crate::config::schema::Many {
            make: |config, of| {
                config.$section.entry(of.to_owned()).or_default();
            },
            names: |config| config.$section.keys().cloned().collect(),
        })
    };
    ($section:ident) => {
        None
    };
}

macro_rules! section_name {
    ($section:ident) => {
        stringify!($section)
    };
    ($section:ident $name:literal) => {
        $name
    };
}

/// `key: type = default, min..max "unit";` under a doc comment, in sections. `[many]` before a section: it
/// may be there several times, each with a name. `["a.b"]`: its name in the file.
macro_rules! settings {
    (@keys $place:tt $( [$key:ident $ty:ty [$($doc:literal)*] [$($bounds:tt)*]] )*) => {
        &[ $( key!($place, $key, $ty, [$($doc)*], [$($bounds)*]), )* ]
    };
    (
        { $( $(#[doc = $tdoc:literal])* $tkey:ident : $tty:ty = $tdefault:expr $(, $tmin:literal .. $tmax:literal $tunit:literal)? ; )* }
        $(
            $(#[doc = $sdoc:literal])*
            $([$($form:ident)? $($name:literal)?])? $section:ident $Section:ident
            { $( $(#[doc = $doc:literal])* $key:ident : $ty:ty = $default:expr $(, $min:literal .. $max:literal $unit:literal)? ; )* }
        )*
    ) => {
        /// All that can be configured; [`Default`] is what an empty file means.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $( $(#[doc = $tdoc])* pub $tkey: $tty, )*
            $( $(#[doc = $sdoc])* pub $section: section_type!($($($form)?)? $Section), )*
        }
        impl Default for Config {
            fn default() -> Config {
                Config { $( $tkey: $tdefault, )* $( $section: Default::default(), )* }
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
                many: None,
                doc: &[],
                keys: &[ $( key!([top], $tkey, $tty, [$($tdoc)*], [$($tmin .. $tmax $tunit)?]), )* ],
            },
            $( $crate::config::schema::Section {
                name: section_name!($section $($($name)?)?),
                many: section_many!($($($form)?)? $section),
                doc: &[$($sdoc),*],
                keys: settings!(@keys [$($($form)?)? $section $Section] $( [$key $ty [$($doc)*] [$($min .. $max $unit)?]] )*),
            }, )*
        ];
    };
}
pub(super) use {bounds, key, section_many, section_name, section_type, set, settings, show};
