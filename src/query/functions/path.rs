//! Paths into JSON text, and what is found there, as it is written.

use std::borrow::Cow;

use datafusion::common::{Result, exec_datafusion_err};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// One step of a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// `.name`, `["name"]`
    Member(String),
    /// `[2]`; counted from the end where it is negative.
    Index(i64),
    /// `[*]`, `.*`
    All,
}

/// Reads a path: `$.a["b.c"][0]`. Without `$` it is taken as it is in Presto's older form, `a.b[0]`.
pub(super) fn path(text: &str) -> Result<Vec<Step>> {
    let wrong = || exec_datafusion_err!("{text:?} is no JSON path: write it as $.name[\"other name\"][0]");
    let mut rest = text.trim();
    for mode in ["strict ", "lax "] {
        rest = rest.strip_prefix(mode).unwrap_or(rest);
    }
    let mut steps = Vec::new();
    let mut named = match rest.strip_prefix('$') {
        Some(after) => {
            rest = after;
            false
        }
        None => true,
    };
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            rest = bracket(inside.trim_start(), &mut steps).ok_or_else(wrong)?;
        } else {
            rest = match rest.strip_prefix('.') {
                Some(after) => after,
                None if named => rest,
                None => return Err(wrong()),
            };
            if let Some(quoted) = rest.strip_prefix('"') {
                let (name, after) = quoted.split_once('"').ok_or_else(wrong)?;
                steps.push(Step::Member(name.to_owned()));
                rest = after;
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                steps.push(match name {
                    "" => return Err(wrong()),
                    "*" => Step::All,
                    name => Step::Member(name.to_owned()),
                });
                rest = after;
            }
        }
        named = false;
    }
    Ok(steps)
}

/// What stands in brackets; returns what comes after them.
fn bracket<'a>(inside: &'a str, steps: &mut Vec<Step>) -> Option<&'a str> {
    for quote in ['"', '\''] {
        let Some(quoted) = inside.strip_prefix(quote) else { continue };
        let mut name = String::new();
        let mut chars = quoted.char_indices();
        loop {
            match chars.next()? {
                (at, char) if char == quote => {
                    steps.push(Step::Member(name));
                    return quoted[at + 1..].trim_start().strip_prefix(']');
                }
                (_, '\\') => name.push(chars.next()?.1),
                (_, char) => name.push(char),
            }
        }
    }
    let (number, after) = inside.split_once(']')?;
    steps.push(match number.trim() {
        "*" => Step::All,
        number => Step::Index(number.trim_start_matches('#').parse().ok()?),
    });
    Some(after)
}

/// A path as DuckDB reads it: `$…` as above, `/a/0` a JSON pointer, a number an index, else the name of a member.
pub(super) fn duckdb_path(text: &str) -> Result<Vec<Step>> {
    if text.starts_with('$') {
        return path(text);
    }
    let step = |step: &str| match step.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::Member(step.replace("~1", "/").replace("~0", "~")),
    };
    Ok(match text.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(step).collect(),
        None => vec![text.parse().map_or_else(|_| Step::Member(text.to_owned()), Step::Index)],
    })
}

/// The verbatim JSON at `steps`, none of which is [`Step::All`].
pub(super) fn find<'a>(json: &'a str, steps: &[Step]) -> Option<&'a str> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let found = Find { steps }.deserialize(&mut deserializer).ok()??;
    deserializer.end().ok()?;
    Some(found)
}

/// Walks to a value and skips everything else.
struct Find<'s> {
    steps: &'s [Step],
}

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<&'de str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.steps.is_empty() {
            return Ok(Some(<&RawValue>::deserialize(deserializer)?.get()));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(IsName(self.steps.first()))? {
            if wanted && found.is_none() {
                found = map.next_value_seed(Find { steps: &self.steps[1..] })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        match self.steps.first() {
            Some(Step::Index(index)) if *index >= 0 => {
                let mut found = None;
                for at in 0.. {
                    let element = if at == *index {
                        let element = seq.next_element_seed(Find { steps: &self.steps[1..] })?;
                        found = element.flatten();
                        element.is_some()
                    } else {
                        seq.next_element::<IgnoredAny>()?.is_some()
                    };
                    if !element {
                        break;
                    }
                }
                Ok(found)
            }
            Some(Step::Index(index)) => {
                let mut elements: Vec<&'de RawValue> = Vec::new();
                while let Some(element) = seq.next_element()? {
                    elements.push(element);
                }
                let back = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
                let element = elements.len().checked_sub(back).map(|at| elements[at].get());
                Ok(element.and_then(|element| find(element, &self.steps[1..])))
            }
            _ => {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(None)
            }
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether a key is the step's.
struct IsName<'s>(Option<&'s Step>);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<bool, E> {
        Ok(matches!(self.0, Some(Step::Member(member)) if member == name))
    }
}

/// The elements of an array, or the values of an object, verbatim.
struct Elements {
    objects: bool,
}

impl<'de> DeserializeSeed<'de> for Elements {
    type Value = Vec<&'de str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = seq.next_element::<&RawValue>()? {
            all.push(element.get());
        }
        Ok(all)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if !self.objects {
            return Err(A::Error::custom("an object"));
        }
        let mut all = Vec::new();
        while let Some((_, value)) = map.next_entry::<IgnoredAny, &RawValue>()? {
            all.push(value.get());
        }
        Ok(all)
    }
}

/// The elements of a JSON array, verbatim; none where it is something else.
pub(super) fn array(json: &str) -> Option<Vec<&str>> {
    list(json, false)
}

pub(super) fn list(json: &str, objects: bool) -> Option<Vec<&str>> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let elements = Elements { objects }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(elements)
}

/// The value at a path that may have [`Step::All`] in it, which gives an array of all that match.
pub(super) fn extracted<'a>(json: &'a str, steps: &[Step]) -> Option<Cow<'a, str>> {
    let Some(all) = steps.iter().position(|step| *step == Step::All) else {
        return find(json, steps).map(Cow::Borrowed);
    };
    let elements = list(find(json, &steps[..all])?, true)?;
    let matches = elements.into_iter().filter_map(|element| extracted(element, &steps[all + 1..]));
    Some(Cow::Owned(format!("[{}]", matches.collect::<Vec<_>>().join(","))))
}

/// A string without its quotes, a number or a boolean as it stands; null and what is nested are none.
pub(super) fn scalar_of(json: &str) -> Option<Cow<'_, str>> {
    match json.bytes().next()? {
        b'"' => unquoted(json),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// As [`scalar_of`], and what is nested as its JSON.
pub(super) fn text_of(json: &str) -> Option<Cow<'_, str>> {
    match json.bytes().next()? {
        b'{' | b'[' => Some(Cow::Borrowed(json)),
        _ => scalar_of(json),
    }
}

fn unquoted(json: &str) -> Option<Cow<'_, str>> {
    match json.get(1..json.len() - 1) {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
    }
}

/// A path as text.
pub(super) fn written(steps: &[Step]) -> String {
    let steps = steps.iter().map(|step| match step {
        Step::Member(name) => format!("[\"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\"")),
        Step::Index(at) => format!("[{at}]"),
        Step::All => "[*]".to_owned(),
    });
    format!("${}", steps.collect::<String>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_read_in_every_spelling() {
        let member = |name: &str| Step::Member(name.to_owned());
        for (text, steps) in [
            ("$", vec![]),
            ("$.a.b", vec![member("a"), member("b")]),
            ("$['a']", vec![member("a")]),
            ("$[\"x-amz-acl\"][0]", vec![member("x-amz-acl"), Step::Index(0)]),
            ("$.\"aws:s3:arn\".b", vec![member("aws:s3:arn"), member("b")]),
            ("$.a[*].b", vec![member("a"), Step::All, member("b")]),
            ("$.a.*", vec![member("a"), Step::All]),
            ("a.b[1]", vec![member("a"), member("b"), Step::Index(1)]),
            ("[-1]", vec![Step::Index(-1)]),
            ("lax $.a", vec![member("a")]),
            (r#"$["a\"b]"]"#, vec![member("a\"b]")]),
        ] {
            assert_eq!(path(text).unwrap(), steps, "{text}");
        }
        for wrong in ["$a", "$.", "$.a..b", "$[", "$[x]", "$[\"a]", "$.a[0", "$.\"a"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
        assert_eq!(duckdb_path("a.b").unwrap(), [member("a.b")]);
        assert_eq!(duckdb_path("/a/0/x~1y").unwrap(), [member("a"), Step::Index(0), member("x/y")]);
        assert_eq!(duckdb_path("0").unwrap(), [Step::Index(0)]);
    }

    #[test]
    fn a_value_is_found_as_it_is_written() {
        let json = r#" {"a": {"b": [1, 2.50, {"c": "x\u00e9\"y"}]}, "a": 7, "n": null, "": true} "#;
        let found = |text: &str| extracted(json, &path(text).unwrap()).map(Cow::into_owned);
        for (path, expected) in [
            ("$.a.b[1]", Some("2.50")),
            ("$.a.b[-1].c", Some(r#""x\u00e9\"y""#)),
            ("$.a.b[3]", None),
            ("$.a.b.c", None),
            ("$.a[0]", None),
            ("$.n", Some("null")),
            ("$.n.x", None),
            ("$[\"\"]", Some("true")),
            ("$.a.b[*].c", Some(r#"["x\u00e9\"y"]"#)),
            ("$.missing[*]", None),
        ] {
            assert_eq!(found(path).as_deref(), expected, "{path}");
        }
        for broken in ["", "{", r#"{"a":1"#, r#"{"a":1}x"#, "{a:1}", r#"{"a":tru}"#] {
            assert_eq!(find(broken, &[Step::Member("a".to_owned())]), None, "{broken}");
        }
    }

    proptest! {
        #[test]
        fn a_path_is_read_as_it_is_written(
            steps in proptest::collection::vec(
                prop_oneof![".*".prop_map(Step::Member), any::<i64>().prop_map(Step::Index), Just(Step::All)], 0..5),
        ) {
            prop_assert_eq!(path(&written(&steps)).unwrap(), steps);
        }

        #[test]
        fn what_is_put_under_a_path_is_found_there(
            steps in proptest::collection::vec(
                prop_oneof![".*".prop_map(Step::Member), (0..3_i64).prop_map(Step::Index)], 0..5),
            text in ".*",
        ) {
            let value = serde_json::to_string(&text).unwrap();
            let json = steps.iter().rev().fold(value, |value, step| match step {
                Step::Member(name) => format!("{{\"?\": 0, {}: {value}}}", serde_json::to_string(name).unwrap()),
                Step::Index(at) => format!("[{} {value}]", "[],".repeat(*at as usize)),
                Step::All => value,
            });
            prop_assume!(!steps.contains(&Step::Member("?".to_owned())));
            let found = find(&json, &steps).unwrap();
            prop_assert_eq!(scalar_of(found).unwrap(), text);
        }
    }
}
