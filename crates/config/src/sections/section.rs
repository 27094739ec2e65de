//! How a section is declared: each option once, with its meaning, type, default and bounds.

/// Declares the sections and [`Config`](crate::Config) around them.
///
/// An option is one entry:
///
/// ```text
/// /// What it means, in the words of the sample file.
/// name: Type = "default as in a file", min 1, max 10, former "section.name";
/// ```
///
/// The type, any [`Value`](crate::value::Value), says what is accepted; without a default the
/// option is unset. `pending true` marks an option that is checked but that nothing acts on yet.
macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])*
        $field:ident: $section:ident = $section_name:literal {
            $(
                $(#[doc = $doc:literal])*
                $name:ident: $type:ty $(= $default:literal)? $(, $key:ident $value:literal)*;
            )*
        }
    )*) => {
        $(
            $(#[doc = $section_doc])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $section {
                $($(#[doc = $doc])* pub $name: $type,)*
            }

            impl $section {
                fn specs() -> Vec<$crate::options::table::Spec> {
                    vec![$(
                        $crate::options::table::Spec::honoured::<$type>(
                            $section_name,
                            stringify!($name),
                            &[$($doc),*],
                        )
                        $(.default($default))?
                        $(.$key($value))*,
                    )*]
                }

                fn read(reader: &mut $crate::reader::Reader) -> Option<Self> {
                    // Every option is read, so that one start shows all errors.
                    $(let $name = reader.value::<$type>($section_name, stringify!($name));)*
                    Some(Self { $($name: $name?,)* })
                }
            }

            impl Default for $section {
                fn default() -> Self {
                    let specs = Self::specs();
                    Self {
                        $($name: $crate::reader::default(&specs, stringify!($name)),)*
                    }
                }
            }
        )*

        /// The settings of a server: one field for each section of `keystone.conf`.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Config {
            $($(#[doc = $section_doc])* pub $field: $section,)*
            pub(crate) origin: $crate::Origin,
        }

        impl Config {
            /// The options that this release honours, in the order of their declaration.
            pub(crate) fn specs() -> Vec<$crate::options::table::Spec> {
                [$($section::specs()),*].concat()
            }

            /// What the sections are for, in the order of their declaration.
            pub(crate) fn section_docs() -> &'static [(&'static str, &'static [&'static str])] {
                &[$(($section_name, &[$($section_doc),*])),*]
            }

            pub(crate) fn read(reader: &mut $crate::reader::Reader) -> Option<Self> {
                $(let $field = $section::read(reader);)*
                Some(Self { $($field: $field?,)* origin: Default::default() })
            }
        }
    };
}
pub(crate) use sections;
