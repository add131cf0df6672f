//! How settings are declared: what `known.rs` is written in.

/// Declares the settings as statics and the list of them; the doc comment is what users read.
macro_rules! settings {
    ($(
        #[doc = $about:literal]
        $name:ident: $value:ty {
            key: $key:literal, $(flag: $flag:literal,)? variables: [$($variable:literal),+],
            parse: $parse:expr, $(takes: $takes:ident,)? allowed: $allowed:expr, fallback: $fallback:expr,
            $(secret: $secret:literal,)? used_by: [$($user:ident),+] $(,)?
        }
    )+) => {
        $(
            #[doc = $about]
            pub(crate) static $name: $crate::config::Setting<$value> = $crate::config::Setting {
                facts: $crate::config::Facts {
                    key: $key,
                    about: $about.trim_ascii(),
                    flag: $crate::config::declared::optional!($($flag)?),
                    variables: &[$($variable),+],
                    takes: $crate::config::declared::form!($($takes)?),
                    allowed: $allowed,
                    fallback: $fallback,
                    secret: false $(|| $secret)?,
                    used_by: &[$($user),+],
                },
                parse: $parse,
            };
        )+
        /// Every setting, in the order of `config show`.
        pub(crate) static KNOWN: &[&dyn $crate::config::setting::Known] = &[$(&$name),+];
    };
}

/// A flag, or none.
macro_rules! optional {
    () => {
        None
    };
    ($flag:literal) => {
        Some($flag)
    };
}

/// How a value is written in a file: as text unless it is said.
macro_rules! form {
    () => {
        $crate::config::Form::Text
    };
    ($form:ident) => {
        $crate::config::Form::$form
    };
}

pub(super) use {form, optional, settings};
