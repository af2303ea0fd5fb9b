//! What a revision is called: by its content, or by a name that somebody gave it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

/// The identity of a version of the workload: 1 to 128 printable ASCII characters without white space.
///
/// Two rollouts with the same revision roll out the same thing. Either somebody names it (an image digest, a commit),
/// or its content does: [`Revision::of`]. Cheap to clone. In JSON and YAML it is a string, which is checked when read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(Arc<str>);

impl Revision {
    /// A revision by name, 1 to 128 printable ASCII characters without white space.
    ///
    /// # Errors
    /// [`NoRevision`] for anything else.
    pub fn new(name: &str) -> Result<Self, NoRevision> {
        if name.is_empty() || name.len() > 128 || !name.bytes().all(|it| it.is_ascii_graphic()) {
            return Err(NoRevision::new(name));
        }
        Ok(Self(Arc::from(name)))
    }

    /// The revision of a content, e.g. of a pod template: 32 lower-case hexadecimal digits.
    ///
    /// These are the first 128 bits of the SHA-256 of the [`canonical`] text, so that the order of keys, white space
    /// and the spelling of strings and numbers do not matter, and everything else does. 128 bits leave no chance for
    /// two contents to meet by accident; 32 digits fit into a Kubernetes label value, which ends at 63 characters.
    ///
    /// The same content has the same revision in every release: stored states rely on it. The content is the value, not
    /// the text it was read from: `serde_json` reads some numbers with decimals one bit off unless its feature
    /// `float_roundtrip` is on, and so has another content then.
    ///
    /// For a template with ASCII keys and whole numbers, `jq -cjS . template.json | sha256sum | cut -c1-32` tells the
    /// same.
    pub fn of(content: &Value) -> Self {
        let mut hash = Hashed(Sha256::new());
        // A hash takes any text, so nothing can be left out.
        let _ = write_value(&mut hash, content);
        let mut name = String::with_capacity(32);
        for byte in hash.0.finalize().iter().take(16) {
            let _ = write!(name, "{byte:02x}");
        }
        Self(Arc::from(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Revision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl de::Visitor<'_> for Name {
            type Value = Revision;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a revision as text, 1 to 128 printable ASCII characters without white space")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Revision, E> {
                Revision::new(name).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Name)
    }
}

/// A text that cannot be the name of a revision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no revision (expected 1 to 128 printable ASCII characters without white space)")]
pub struct NoRevision {
    /// The text, of which at most 40 characters are kept.
    pub name: String,
}

impl NoRevision {
    fn new(name: &str) -> Self {
        const KEPT: usize = 40;
        Self {
            name: match name.char_indices().nth(KEPT) {
                Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
                None => name.to_string(),
            },
        }
    }
}

/// The canonical text of a JSON value: the one of all its texts that everybody would write.
///
/// [RFC 8785](https://www.rfc-editor.org/rfc/rfc8785), JSON Canonicalization Scheme: no white space, keys sorted by
/// their UTF-16 code units, strings with as few escapes as possible, numbers as ECMAScript writes them (`1e+30`,
/// `0.002`; `4.50` and `4.5` are one number, and so are `100`, `100.0` and `1e2`).
///
/// It differs in one point. To the RFC every number is a double, so that 9007199254740993 and 9007199254740992 get the
/// same text. Here whole numbers that were written as such, from -2^63 to 2^64 - 1, keep all their digits. Up to 2^53,
/// where I-JSON ([RFC 7493](https://www.rfc-editor.org/rfc/rfc7493) section 2.2) ends, both say the same.
///
/// Values are followed to any depth on the stack. Whatever `serde_json` reads ends at 128 levels; keep to a few
/// thousand when building them by hand.
pub fn canonical(content: &Value) -> String {
    let mut text = String::new();
    // A string takes any text, so nothing can be left out.
    let _ = write_value(&mut text, content);
    text
}

/// SHA-256 of all that is written.
struct Hashed(Sha256);

impl Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text);
        Ok(())
    }
}

/// RFC 8785 section 3.2.
fn write_value(out: &mut impl Write, value: &Value) -> fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Bool(true) => out.write_str("true"),
        Value::Bool(false) => out.write_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            let mut before = "[";
            for item in items {
                out.write_str(before)?;
                write_value(out, item)?;
                before = ",";
            }
            out.write_str(if items.is_empty() { "[]" } else { "]" })
        }
        Value::Object(members) => {
            // Sorted here and not left to the map: its order is that of UTF-8, or of insertion with a feature that any
            // crate may turn on for all.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            let mut before = "{";
            for (key, member) in &sorted {
                out.write_str(before)?;
                write_string(out, key)?;
                out.write_str(":")?;
                write_value(out, member)?;
                before = ",";
            }
            out.write_str(if sorted.is_empty() { "{}" } else { "}" })
        }
    }
}

/// RFC 8785 section 3.2.2.2.
fn write_string(out: &mut impl Write, text: &str) -> fmt::Result {
    let escaped = |it: char| it < ' ' || it == '"' || it == '\\';
    out.write_str("\"")?;
    for piece in text.split_inclusive(escaped) {
        let plain = piece.strip_suffix(escaped).unwrap_or(piece);
        out.write_str(plain)?;
        match piece.chars().next_back().filter(|it| escaped(*it)) {
            None => {}
            Some('\u{8}') => out.write_str("\\b")?,
            Some('\t') => out.write_str("\\t")?,
            Some('\n') => out.write_str("\\n")?,
            Some('\u{c}') => out.write_str("\\f")?,
            Some('\r') => out.write_str("\\r")?,
            Some(it @ ('"' | '\\')) => write!(out, "\\{it}")?,
            Some(it) => write!(out, "\\u{:04x}", u32::from(it))?,
        }
    }
    out.write_str("\"")
}

/// RFC 8785 section 3.2.2.3, but whole numbers with all their digits.
fn write_number(out: &mut impl Write, number: &Number) -> fmt::Result {
    if let Some(it) = number.as_u64() {
        write!(out, "{it}")
    } else if let Some(it) = number.as_i64() {
        write!(out, "{it}")
    } else if let Some(it) = number.as_f64().filter(|it| it.is_finite()) {
        write_float(out, it)
    } else {
        // Beyond all doubles: only where a crate turned on arbitrary precision, which keeps the text.
        write!(out, "{number}")
    }
}

/// `Number::toString` of [ECMA-262](https://tc39.es/ecma262/#sec-numeric-types-number-tostring).
///
/// The digits are those of [`shortest`]. ECMAScript only places the decimal point differently.
fn write_float(out: &mut impl Write, number: f64) -> fmt::Result {
    let scientific = shortest(number);
    let (significand, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, significand) = match significand.strip_prefix('-') {
        Some("0") => ("", "0"),
        Some(positive) => ("-", positive),
        None => ("", significand),
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = significand.replace('.', "");
    out.write_str(sign)?;
    match exponent {
        0..=20 => {
            // How many digits stand before the point; the pattern makes it 1 to 21.
            let point = usize::try_from(exponent).unwrap_or(0).saturating_add(1);
            match digits.split_at_checked(point) {
                Some((whole, "")) => out.write_str(whole),
                Some((whole, fraction)) => write!(out, "{whole}.{fraction}"),
                None => write!(out, "{digits:0<point$}"),
            }
        }
        -6..=-1 => {
            let zeros = usize::try_from(exponent.unsigned_abs())
                .unwrap_or(0)
                .saturating_sub(1);
            write!(out, "0.{:0<zeros$}{digits}", "")
        }
        _ => write!(out, "{significand}e{exponent:+}"),
    }
}

/// As few digits as tell the number from its neighbours, and of those the nearest, in scientific notation.
///
/// When two are equally near, `{:e}` may give either, but RFC 8785 wants the even one, as note 2 of
/// `Number::toString` does: 1424953923781206.25 ends with `.2`. With a precision, `{:e}` rounds to even. Where the
/// neighbours are not equally far, that may be another number, hence the check.
fn shortest(number: f64) -> String {
    let either = format!("{number:e}");
    let digits = either
        .bytes()
        .take_while(|it| *it != b'e')
        .filter(u8::is_ascii_digit)
        .count();
    let even = format!("{number:.*e}", digits.saturating_sub(1));
    if even.parse().is_ok_and(|it: f64| it.to_bits() == number.to_bits()) {
        even
    } else {
        either
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "in a test an overflow is a failure"
)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn of(text: &str) -> String {
        Revision::of(&json(text)).to_string()
    }

    /// The canonical text of the double with these bits.
    fn double(bits: u64) -> String {
        canonical(&Value::Number(Number::from_f64(f64::from_bits(bits)).unwrap()))
    }

    // Names

    #[test]
    fn names() {
        for name in ["a", "v1.2.3", "sha256:0f", "~", &"x".repeat(128)] {
            assert_eq!(Revision::new(name).unwrap().as_str(), name);
        }
        for name in ["", " ", "my app", "a\n", "é", "a\u{7f}", &"x".repeat(129)] {
            assert!(Revision::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_refused_name_is_shown_but_not_all_of_it() {
        assert_eq!(
            Revision::new("my\napp").unwrap_err().to_string(),
            r#""my\napp" is no revision (expected 1 to 128 printable ASCII characters without white space)"#
        );
        assert_eq!(
            Revision::new(&"é".repeat(41)).unwrap_err().name,
            "é".repeat(40) + "…"
        );
        assert_eq!(Revision::new(&"é".repeat(40)).unwrap_err().name, "é".repeat(40));
    }

    #[test]
    fn a_revision_is_stored_as_text_and_checked_when_read() {
        let revision = Revision::new("v1").unwrap();
        assert_eq!(serde_json::to_value(&revision).unwrap(), json!("v1"));
        assert_eq!(
            serde_json::from_str::<Revision>(r#""\u00761""#).unwrap(),
            revision
        );
        assert_eq!(serde_json::from_value::<Revision>(json!("v1")).unwrap(), revision);
        for (text, expected) in [
            (r#""""#, r#""" is no revision"#),
            (r#""my app""#, r#""my app" is no revision"#),
            (
                "1",
                "invalid type: integer `1`, expected a revision as text, 1 to 128 printable ASCII",
            ),
            ("null", "invalid type: null, expected a revision as text"),
        ] {
            let message = serde_json::from_str::<Revision>(text).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    // Canonical text

    /// RFC 8785 sections 3.2.2 (the input), 3.2.3 (the text) and 3.2.4 (its bytes).
    #[test]
    fn the_sample_of_the_rfc() {
        let mut sample = json(
            r#"{
                "numbers": [],
                "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
                "literals": [null, true, false]
            }"#,
        );
        // Not left to the reader of the JSON, which without its feature `float_roundtrip` may miss the last bit.
        sample["numbers"] = [
            "333333333.33333329",
            "1E30",
            "4.50",
            "2e-3",
            "0.000000000000000000000000001",
        ]
        .map(|it| it.parse::<f64>().unwrap())
        .into_iter()
        .collect();
        let text = canonical(&sample);
        assert_eq!(
            text,
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
        let bytes = "7b 22 6c 69 74 65 72 61 6c 73 22 3a 5b 6e 75 6c 6c 2c 74 72 75 65 2c 66 61 6c 73 65 5d 2c 22 6e \
                     75 6d 62 65 72 73 22 3a 5b 33 33 33 33 33 33 33 33 33 2e 33 33 33 33 33 33 33 2c 31 65 2b 33 30 \
                     2c 34 2e 35 2c 30 2e 30 30 32 2c 31 65 2d 32 37 5d 2c 22 73 74 72 69 6e 67 22 3a 22 e2 82 ac 24 \
                     5c 75 30 30 30 66 5c 6e 41 27 42 5c 22 5c 5c 5c 5c 5c 22 2f 22 7d";
        let written: Vec<_> = text.bytes().map(|it| format!("{it:02x}")).collect();
        assert_eq!(written.join(" "), bytes);
    }

    /// RFC 8785 section 3.2.3. In UTF-8 the emoji would come last.
    #[test]
    fn keys_are_sorted_by_their_utf_16() {
        let sample = json(
            r#"{
                "\u20ac": "Euro Sign",
                "\r": "Carriage Return",
                "\ufb33": "Hebrew Letter Dalet With Dagesh",
                "1": "One",
                "\ud83d\ude00": "Emoji: Grinning Face",
                "\u0080": "Control",
                "\u00f6": "Latin Small Letter O With Diaeresis"
            }"#,
        );
        assert_eq!(
            canonical(&sample),
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
             \"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\
             \"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}"
        );
    }

    /// RFC 8785 appendix B, without the two that are no numbers.
    #[test]
    fn doubles_as_in_the_table_of_the_rfc() {
        for (bits, text) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(double(bits), text);
        }
    }

    #[test]
    fn whole_numbers_keep_their_digits() {
        for text in [
            "0",
            "-1",
            "9007199254740991",
            "9007199254740992",
            "9007199254740993",
            "-9007199254740993",
            "-9223372036854775808",
            "18446744073709551615",
        ] {
            assert_eq!(canonical(&json(text)), text);
        }
        assert_eq!(canonical(&json("18446744073709551616")), "18446744073709552000");
    }

    #[test]
    fn one_number_has_one_text() {
        for spellings in [
            &["100", "100.0", "1e2", "1E+2"][..],
            &["0", "-0", "0.0", "-0.0", "0e9"],
            &["4.5", "4.50"],
        ] {
            let texts: BTreeSet<_> = spellings.iter().map(|it| canonical(&json(it))).collect();
            assert_eq!(texts, BTreeSet::from([spellings[0].to_string()]));
        }
    }

    #[test]
    fn strings_are_escaped_as_little_as_possible() {
        for (text, expected) in [
            ("", r#""""#),
            ("\u{8}\t\n\u{c}\r", r#""\b\t\n\f\r""#),
            ("\0\u{b}\u{1f}", r#""\u0000\u000b\u001f""#),
            ("\u{7f}é€😀/<>&'\u{2028}", "\"\u{7f}é€😀/<>&'\u{2028}\""),
            (r#"a"b\c"#, r#""a\"b\\c""#),
        ] {
            assert_eq!(canonical(&json!(text)), expected);
            assert_eq!(canonical(&json!({ text: 1 })), format!("{{{expected}:1}}"));
        }
    }

    #[test]
    fn nothing_inside() {
        assert_eq!(canonical(&json("[ [ ], { }, [ [ ] ] ]")), "[[],{},[[]]]");
    }

    // Content

    const TEMPLATE: &str = r#"{
        "metadata": {"labels": {"app": "web", "team": "shop"}, "annotations": {"note": "für \"später\"\n"}},
        "spec": {
            "terminationGracePeriodSeconds": 30,
            "containers": [{
                "name": "web",
                "image": "registry.example/web@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "args": ["--level", "info"],
                "ports": [{"containerPort": 8080, "name": "http"}],
                "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 2},
                "securityContext": {"readOnlyRootFilesystem": true, "runAsUser": 65532}
            }],
            "volumes": null
        }
    }"#;

    /// A change here makes every stored revision look new: all workloads would roll out once more.
    #[test]
    fn golden_revisions() {
        for (text, revision) in [
            ("null", "74234e98afe7498fb5daf1f36ac2d78a"),
            ("{}", "44136fa355b3678a1146ad16f7e8649e"),
            (r#"{"image":"web:1"}"#, "00ec458011d2178e31f0ae64d2568ae6"),
            (
                r#"{"weights":[0.1,1e21,-2.5e-7],"big":9007199254740993}"#,
                "055d65e9fafbf38056cf3b91e83e3fd6",
            ),
            (TEMPLATE, "9f9f0368a99d44a0182932138f4e9b9f"),
        ] {
            assert_eq!(of(text), revision, "{text}");
        }
    }

    #[test]
    fn a_revision_by_content_is_a_name() {
        let revision = Revision::of(&json(TEMPLATE));
        assert_eq!(Revision::new(revision.as_str()), Ok(revision.clone()));
        assert!(revision.as_str().len() == 32 && revision.as_str().bytes().all(|it| it.is_ascii_hexdigit()));
    }

    #[test]
    fn the_order_of_keys_and_white_space_do_not_matter() {
        let one = r#"{"b":[1,{"y":null,"x":"a b"}],"a":{}}"#;
        let other = "\t{\r\n \"a\" : { } ,\n \"b\" : [ 1 , { \"x\" : \"a\\u0020b\" , \"y\" : null } ] }\n";
        assert_eq!(of(one), of(other));
    }

    #[test]
    fn everything_else_matters() {
        let different = [
            "null",
            "false",
            "0",
            "[]",
            "{}",
            r#""""#,
            r#""null""#,
            r#""0""#,
            "[null]",
            "[[]]",
            "[0,1]",
            "[1,0]",
            "1",
            r#"{"a":null}"#,
            r#"{"a":[]}"#,
            r#"{"":[]}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"a":2,"b":1}"#,
            r#"["a",1]"#,
            r#"["a,1"]"#,
            r#"["a","1"]"#,
            r#""é""#,
            r#""e\u0301""#,
        ];
        let revisions: BTreeSet<_> = different.iter().map(|it| of(it)).collect();
        assert_eq!(revisions.len(), different.len());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[a-z\"\\\\\u{0}-\u{1f}]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|it| it.into_iter().collect()),
            ]
        })
    }

    /// The value as another writer would have it: keys backwards, white space everywhere.
    fn backwards(value: &Value) -> String {
        let members: Vec<_> = match value {
            Value::Array(items) => items.iter().map(backwards).collect(),
            Value::Object(members) => members
                .iter()
                .rev()
                .map(|(key, it)| format!("{} :\t{}", json!(key), backwards(it)))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return value.to_string(),
        };
        let text = members.join(" ,\n");
        if value.is_array() {
            format!("[ {text} ]")
        } else {
            format!("{{ {text} }}")
        }
    }

    fn inside(value: &mut Value) -> Vec<&mut Value> {
        match value {
            Value::Array(items) => items.iter_mut().collect(),
            Value::Object(members) => members.values_mut().collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        }
    }

    /// How many values there are with nothing inside.
    fn leaves(value: &mut Value) -> usize {
        inside(value).into_iter().map(leaves).sum::<usize>().max(1)
    }

    /// Makes the leaf at a place, counted from 0, another one.
    fn change(value: &mut Value, mut place: usize) {
        if inside(value).is_empty() {
            *value = Value::from(canonical(value));
            return;
        }
        for it in inside(value) {
            let count = leaves(it);
            if place < count {
                return change(it, place);
            }
            place -= count;
        }
    }

    proptest! {
        #[test]
        fn order_and_white_space_never_matter(value in values()) {
            // Read twice, as reading a float may be off by its last bit.
            let once = json(&value.to_string());
            prop_assert_eq!(canonical(&json(&backwards(&value))), canonical(&once));
            prop_assert_eq!(Revision::of(&json(&backwards(&value))), Revision::of(&once));
        }

        #[test]
        fn each_leaf_matters(value in values(), place: prop::sample::Index) {
            let mut other = value.clone();
            let place = place.index(leaves(&mut other));
            change(&mut other, place);
            prop_assert_ne!(canonical(&value), canonical(&other));
            prop_assert_ne!(Revision::of(&value), Revision::of(&other));
        }

        #[test]
        fn each_key_matters(value in values(), key: String, other: String) {
            prop_assume!(key != other);
            prop_assert_ne!(Revision::of(&json!({ key: &value })), Revision::of(&json!({ other: &value })));
        }

        #[test]
        fn the_hash_is_that_of_the_canonical_text(value in values()) {
            let hash: Vec<_> = Sha256::digest(canonical(&value)).iter().map(|it| format!("{it:02x}")).collect();
            prop_assert_eq!(Revision::of(&value).to_string(), &hash.concat()[..32]);
        }

        #[test]
        fn doubles_survive_their_text(bits: u64) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite() && bits != 1 << 63);
            prop_assert_eq!(double(bits).parse::<f64>().unwrap().to_bits(), bits);
        }
    }
}
