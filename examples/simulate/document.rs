//! Files in YAML or JSON, read so that everything that is wrong with one can be told at once, with its place.
//!
//! The text becomes a tree in which every value knows its line. A type is then read from the tree; a value that does not
//! fit is noted and taken out, and the type is read once more.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::value::StringDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_saphyr::{MessageFormatter, Spanned, UserMessageFormatter};

/// A file that could be read as YAML.
pub(crate) struct Document {
    path: PathBuf,
    root: Node,
}

/// Something that is wrong with a file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    file: PathBuf,
    place: Option<(u64, u64)>,
    field: String,
    text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.text)
    }
}

impl Problem {
    /// Something that is wrong with a file whose lines are not known.
    #[allow(
        dead_code,
        reason = "another program shares this file, and always knows the line"
    )]
    pub(crate) fn of(file: &Path, field: &str, text: String) -> Self {
        Self {
            file: file.into(),
            place: None,
            field: field.into(),
            text,
        }
    }
}

impl Document {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Problem> {
        let problem = |place, text| Problem {
            file: path.into(),
            place,
            field: String::new(),
            text,
        };
        let text = fs::read_to_string(path).map_err(|it| problem(None, format!("cannot be read: {it}")))?;
        // As in YAML 1.2: `yes`, `on` and `y` are words.
        let options = serde_saphyr::options! { strict_booleans: true };
        let root = serde_saphyr::from_str_with_options(&text, options).map_err(|it| {
            let place = it.location().map(|it| (it.line(), it.column()));
            let why = UserMessageFormatter
                .format_message(it.without_snippet())
                .into_owned();
            problem(place, format!("this is not YAML (or JSON): {why}"))
        })?;
        Ok(Self {
            path: path.into(),
            root,
        })
    }

    /// Whether there is a field of this name at the top.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.root.value.child(field).is_some()
    }

    /// What stands under a field at the top; the whole document for none.
    pub(crate) fn part<'d>(&'d self, field: &'d str) -> Part<'d> {
        let child = if field.is_empty() {
            None
        } else {
            self.root.value.child(field)
        };
        Part {
            document: self,
            name: if child.is_some() { field } else { "" },
            node: child.unwrap_or(&self.root),
        }
    }
}

/// A part of a document that stands for one value.
pub(crate) struct Part<'d> {
    document: &'d Document,
    name: &'d str,
    node: &'d Node,
}

impl Part<'_> {
    /// The value, or everything that keeps it from being one.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut taken: Vec<Vec<Step>> = Vec::new();
        let mut node = self.node.clone();
        loop {
            let wrong = match T::deserialize(Reader(&node)) {
                Ok(value) if problems.is_empty() => return Ok(value),
                Ok(_) => return Err(problems),
                Err(wrong) => wrong,
            };
            let mut path = wrong.path;
            path.reverse();
            if !is_aftermath(&path, &wrong.text, &taken) {
                problems.push(self.problem(&words(&path), wrong.text));
            }
            if path.is_empty() || !node.value.take(&path) {
                return Err(problems);
            }
            taken.push(path);
        }
    }

    /// Something that is wrong with a field, given as its path.
    pub(crate) fn problem(&self, field: &str, text: String) -> Problem {
        let place = self.node.find(field);
        let dot = if self.name.is_empty() || field.is_empty() || field.starts_with('[') {
            ""
        } else {
            "."
        };
        Problem {
            file: self.document.path.clone(),
            place: Some((place.referenced.line(), place.referenced.column())),
            field: format!("{}{dot}{field}", self.name),
            text,
        }
    }
}

type Node = Spanned<Value>;

/// A value without a type.
#[derive(Clone)]
enum Value {
    Nothing,
    Bool(bool),
    Whole(i64),
    Large(u64),
    Number(f64),
    Text(String),
    List(Vec<(usize, Node)>),
    Fields(Vec<(String, Node)>),
}

impl Value {
    fn child(&self, field: &str) -> Option<&Node> {
        match self {
            Self::Fields(fields) => fields
                .iter()
                .find(|(name, _)| name == field)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// Takes out what is at the end of a path, so that the rest can be read. False: there is no such thing.
    fn take(&mut self, path: &[Step]) -> bool {
        let Some((first, rest)) = path.split_first() else {
            return false;
        };
        match (self, first) {
            (Self::List(items), Step::Item(at)) => {
                let Some(found) = items.iter().position(|(it, _)| it == at) else {
                    return false;
                };
                if rest.is_empty() {
                    items.remove(found);
                    return true;
                }
                items[found].1.value.take(rest)
            }
            (Self::Fields(fields), Step::Field(name)) => {
                let Some(found) = fields.iter().position(|(it, _)| it == name) else {
                    return false;
                };
                if rest.is_empty() {
                    fields.remove(found);
                    return true;
                }
                fields[found].1.value.take(rest)
            }
            _ => false,
        }
    }
}

trait Find {
    fn find(&self, path: &str) -> &Node;
}

impl Find for Node {
    /// What is at a path, or the nearest that is around it. Names may contain dots: the longest that fits counts.
    fn find(&self, path: &str) -> &Node {
        let path = path.strip_prefix('.').unwrap_or(path);
        let inside = match &self.value {
            Value::List(items) => items.iter().find_map(|(at, node)| {
                let rest = path.strip_prefix(&format!("[{at}]"))?;
                Some((node, rest))
            }),
            Value::Fields(fields) => {
                let fitting = fields.iter().filter_map(|(name, node)| {
                    let rest = path.strip_prefix(name.as_str())?;
                    (rest.is_empty() || rest.starts_with(['.', '['])).then_some((name.len(), node, rest))
                });
                fitting
                    .max_by_key(|(length, ..)| *length)
                    .map(|(_, node, rest)| (node, rest))
            }
            _ => None,
        };
        inside.map_or(self, |(node, rest)| node.find(rest))
    }
}

/// Whether something is only wrong because of what was taken out before.
fn is_aftermath(path: &[Step], text: &str, taken: &[Vec<Step>]) -> bool {
    let missing = text
        .strip_prefix("missing field `")
        .and_then(|it| it.strip_suffix('`'));
    taken
        .iter()
        .filter_map(|it| it.strip_prefix(path))
        .any(|rest| match (missing, rest) {
            (Some(missing), [Step::Field(name)]) => missing == name,
            (Some(_), _) => false,
            (None, _) => true,
        })
}

/// A step on the way from the top to a value.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Item(usize),
}

fn words(path: &[Step]) -> String {
    path.iter().fold(String::new(), |text, step| match step {
        Step::Field(name) if text.is_empty() => name.clone(),
        Step::Field(name) => format!("{text}.{name}"),
        Step::Item(at) => format!("{text}[{at}]"),
    })
}

// Text to tree

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Whole(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Large(value), Value::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push((list.len(), item));
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = map.next_entry()? {
            fields.push(entry);
        }
        Ok(Value::Fields(fields))
    }
}

// Tree to type

/// A value that does not fit, and the way to it, the last step first.
#[derive(Debug)]
struct Wrong {
    path: Vec<Step>,
    text: String,
}

impl Wrong {
    fn under(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self {
            path: Vec::new(),
            text: text.to_string(),
        }
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format!(
            "{found} does not fit here, expected {}",
            plain(&expected.to_string())
        ))
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format!(
            "{found} does not fit here, expected {}",
            plain(&expected.to_string())
        ))
    }
}

/// What is expected, for people who do not write Rust.
fn plain(expected: &str) -> &str {
    match expected {
        "f64" => "a number",
        "u8" | "u32" | "u64" => "a whole number, 0 or more",
        it if it.starts_with("struct ") => "fields with values",
        it => it,
    }
}

#[derive(Clone, Copy)]
struct Reader<'n>(&'n Node);

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.0.value {
            Value::Nothing => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Whole(value) => visitor.visit_i64(*value),
            Value::Large(value) => visitor.visit_u64(*value),
            Value::Number(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_str(value),
            Value::List(items) => visitor.visit_seq(Items(items.iter())),
            Value::Fields(fields) => visitor.visit_map(Fields {
                rest: fields.iter(),
                now: None,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0.value {
            Value::Nothing => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match &self.0.value {
            Value::Text(name) => visitor.visit_enum(Choice { name, node: None }),
            Value::Fields(fields) if fields.len() == 1 => {
                let (name, node) = &fields[0];
                visitor.visit_enum(Choice {
                    name,
                    node: Some(node),
                })
            }
            _ => Err(de::Error::custom(format!(
                "expected exactly one of {}",
                variants.join(", ")
            ))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Items<'n>(std::slice::Iter<'n, (usize, Node)>);

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some((at, node)) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(Reader(node))
            .map(Some)
            .map_err(|it| it.under(Step::Item(*at)))
    }
}

struct Fields<'n> {
    rest: std::slice::Iter<'n, (String, Node)>,
    now: Option<&'n (String, Node)>,
}

impl<'de> de::MapAccess<'de> for Fields<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.now = self.rest.next();
        let Some((name, _)) = self.now else {
            return Ok(None);
        };
        let key: StringDeserializer<Wrong> = name.clone().into_deserializer();
        seed.deserialize(key)
            .map(Some)
            .map_err(|it| it.under(Step::Field(name.clone())))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let Some((name, node)) = self.now else {
            return Err(de::Error::custom("a field without a name"));
        };
        seed.deserialize(Reader(node))
            .map_err(|it| it.under(Step::Field(name.clone())))
    }
}

struct Choice<'n> {
    name: &'n str,
    node: Option<&'n Node>,
}

impl<'n> Choice<'n> {
    fn content(&self) -> Result<Reader<'n>, Wrong> {
        self.node
            .map(Reader)
            .ok_or_else(|| de::Error::custom(format!("`{}` needs a value", self.name)))
    }
}

impl<'de> de::EnumAccess<'de> for Choice<'_> {
    type Error = Wrong;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Wrong> {
        let name: StringDeserializer<Wrong> = self.name.to_owned().into_deserializer();
        // An unknown name with a value is a field of that name.
        let wrong = |it: Wrong| {
            if self.node.is_some() {
                it.under(Step::Field(self.name.to_owned()))
            } else {
                it
            }
        };
        Ok((seed.deserialize(name).map_err(wrong)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Choice<'_> {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        match self.node.map(|it| &it.value) {
            None | Some(Value::Nothing) => Ok(()),
            Some(_) => Err(de::Error::custom(format!(
                "`{}` has no value: write it alone",
                self.name
            ))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Wrong> {
        let name = Step::Field(self.name.to_owned());
        seed.deserialize(self.content()?).map_err(|it| it.under(name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        let name = Step::Field(self.name.to_owned());
        self.content()?
            .deserialize_any(visitor)
            .map_err(|it| it.under(name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let name = Step::Field(self.name.to_owned());
        self.content()?
            .deserialize_any(visitor)
            .map_err(|it| it.under(name))
    }
}
