//! Labels, which stay the text that they are until somebody asks for one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::envelope::Text;

/// The labels of a series.
#[derive(Clone, Copy)]
pub struct Labels<'a>(pub(super) &'a str);

impl<'a> Labels<'a> {
    /// The value of a label; none when the series does not have it.
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut found = None;
        self.each(|label, value| {
            if label == name {
                found = Some(value);
            }
        });
        found
    }

    /// All of them by name.
    pub fn map(&self) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        self.each(|label, value| {
            map.insert(label.into_owned(), value.into_owned());
        });
        map
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        let mut count = 0;
        self.each(|_, _| count += 1);
        count
    }

    fn each(&self, see: impl FnMut(Cow<'a, str>, Cow<'a, str>)) {
        // It is JSON, or it would not have been read. What is no object of texts has no labels.
        let _ = serde_json::Deserializer::from_str(self.0).deserialize_map(Each(see));
    }
}

/// As in a query: `{job="web"}`.
impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.map().iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Each<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, Cow<'de, str>)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Text)? {
            match map.next_value_seed(Text) {
                Ok(value) => (self.0)(name, value),
                Err(error) => {
                    while map
                        .next_entry::<IgnoredAny, IgnoredAny>()
                        .is_ok_and(|it| it.is_some())
                    {}
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}
