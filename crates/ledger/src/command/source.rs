//! Where an order may be allocated from: `"LONDON"`, or `{"group":"EU-STORES"}`.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A location, or the locations of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A site's code.
    Location(String),
    /// A group's name: its sites by rank, then by age.
    Group(String),
}

impl From<String> for Source {
    fn from(code: String) -> Self {
        Self::Location(code)
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Location(code) if serializer.is_human_readable() => serializer.serialize_str(code),
            // In fingerprints a location and a group of one name are two things.
            Self::Location(code) => serializer.serialize_newtype_variant("Source", 0, "location", code),
            Self::Group(name) => serializer.serialize_newtype_variant("Source", 1, "group", name),
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Source;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a location's code, or {\"group\": its name}")
            }

            fn visit_str<E: Error>(self, code: &str) -> Result<Source, E> {
                Ok(Source::Location(code.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Source, A::Error> {
                let mut group = None;
                while let Some(field) = map.next_key::<String>()? {
                    if field != "group" {
                        return Err(Error::unknown_field(&field, &["group"]));
                    }
                    if group.replace(map.next_value()?).is_some() {
                        return Err(Error::duplicate_field("group"));
                    }
                }
                group.map(Source::Group).ok_or_else(|| Error::missing_field("group"))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_its_code_and_a_group_an_object() {
        let read = |text: &str| serde_json::from_str::<Source>(text);
        let (london, group) = (Source::from("LONDON".to_owned()), Source::Group("LONDON".to_owned()));
        assert_eq!(
            (read("\"LONDON\"").unwrap(), read(r#"{"group":"LONDON"}"#).unwrap()),
            (london.clone(), group.clone())
        );
        for source in [&london, &group] {
            assert_eq!(read(&serde_json::to_string(source).unwrap()).unwrap(), *source);
        }
        assert_ne!(postcard::to_stdvec(&london).unwrap(), postcard::to_stdvec(&group).unwrap());
        for (text, problem) in [
            ("7", "expected a location's code, or {\"group\": its name}"),
            ("{}", "missing field `group`"),
            (r#"{"groups":"EU"}"#, "unknown field `groups`"),
            (r#"{"group":"EU","group":"US"}"#, "duplicate field `group`"),
        ] {
            assert!(read(text).unwrap_err().to_string().contains(problem), "{text}");
        }
    }
}
