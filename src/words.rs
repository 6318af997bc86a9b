//! One macro for closed vocabularies: enums whose variants are known to files, records and people by name.
//!
//! Records store the name and not the variant's position, so inserting a variant can never turn old bytes into another
//! word.

/// Declares an enum of words with `ALL`, `name`, `Display`, `FromStr` and serde by name.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $Type:ident { $($(#[$doc:meta])* $Variant:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        $vis enum $Type { $($(#[$doc])* $Variant,)+ }

        impl $Type {
            /// Every word, in the order of declaration.
            pub const ALL: &'static [$Type] = &[$($Type::$Variant,)+];

            /// The word as it is written everywhere.
            pub fn name(self) -> &'static str {
                match self { $($Type::$Variant => $name,)+ }
            }
        }

        impl std::fmt::Display for $Type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $Type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok($Type::$Variant),)+
                    _ => {
                        let all: Vec<&str> = $Type::ALL.iter().map(|word| word.name()).collect();
                        Err(format!("\"{text}\" is none of {}", all.join(", ")))
                    }
                }
            }
        }

        impl TryFrom<String> for $Type {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> { text.parse() }
        }

        impl From<$Type> for String {
            fn from(word: $Type) -> String { word.name().into() }
        }
    };
}

pub(crate) use words;
