//! Any YAML, with the line of every key and value.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::DuplicateKeyPolicy;

/// How deep values may lie in each other. Each level takes its part of the stack, and without optimisation a large one: 64
/// mappings overflow the 2 MiB of a thread.
const DEEPEST: usize = 32;

/// A value of a document, and the line on which it begins, counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) line: u64,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    /// Text, numbers and booleans, as text.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its line, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: u64,
    pub(super) value: Node,
}

impl Node {
    /// All documents of a file. A key may stand twice: [`Node::repeated`] tells.
    pub(super) fn documents(text: &str) -> Result<Vec<Self>, serde_saphyr::Error> {
        // Whatever is written out may be read: it is aliases that make much of little, and these are bounded on their own.
        let options = serde_saphyr::options! {
            with_snippet: false,
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            budget: serde_saphyr::budget! {
                max_depth: DEEPEST,
                max_nodes: text.len().max(250_000),
                max_events: text.len().saturating_mul(2).max(1_000_000),
            },
        };
        serde_saphyr::from_multiple_with_options::<Spanned<Value>>(text, options)
            .map(|it| it.into_iter().map(Self::from).collect())
    }

    /// The keys that stand more than once in their mapping.
    pub(super) fn repeated(&self) -> Vec<&Entry> {
        let mut keys = BTreeSet::new();
        let here = self.entries().iter().filter(|it| !keys.insert(it.key.as_str()));
        let mut found: Vec<&Entry> = here.collect();
        let inner = self.entries().iter().map(|it| &it.value);
        for inner in inner.chain(self.items()) {
            found.extend(inner.repeated());
        }
        found
    }

    pub(super) fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value {
            entries
        } else {
            &[]
        }
    }

    pub(super) fn items(&self) -> &[Self] {
        if let Value::List(items) = &self.value {
            items
        } else {
            &[]
        }
    }

    pub(super) fn scalar(&self) -> Option<&str> {
        if let Value::Scalar(text) = &self.value {
            Some(text)
        } else {
            None
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|it| it.key == key)
    }

    pub(super) fn find(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|it| &it.value)
    }

    /// What kind of value it is, for errors.
    pub(super) const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        Self {
            line: spanned.referenced.line(),
            value: spanned.value,
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_string()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Spanned<Value>>()? {
            items.push(item.into());
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<Value>>()? {
            let line = key.referenced.line();
            let Value::Scalar(key) = key.value else {
                return Err(de::Error::custom(format!("line {line}: a key must be a text")));
            };
            let value = map.next_value::<Spanned<Value>>()?.into();
            entries.push(Entry { key, line, value });
        }
        Ok(Value::Map(entries))
    }
}
