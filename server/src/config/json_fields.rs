//! Reads JSON objects field by field, so that every mistake in a file is found in one go and with its line.
//!
//! A derived deserializer stops at the first mistake. Here serde splits an object into its fields as raw slices of the
//! source text; the distance of a slice from the start of the text gives the line.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::finding::Finding;

/// The text being read, with the findings so far.
pub(super) struct Source<'a> {
    text: &'a str,
    /// Where lines end, so that a file of many regions is not counted through for each of them.
    line_ends: Vec<usize>,
    pub(super) findings: Vec<Finding>,
}

/// One value and where it stands, for instance at `regions[1].start_key`.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) path: String,
    raw: &'a str,
}

/// The fields of one object that have not been asked for yet.
pub(super) struct Fields<'a> {
    place: Place<'a>,
    rest: Vec<(String, &'a RawValue)>,
    known: Vec<&'static str>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Source { text, line_ends, findings: Vec::new() }
    }

    /// The 1-based line on which `part`, a slice of the text, begins.
    pub(super) fn line(&self, place: &Place<'_>) -> usize {
        let offset = (place.raw.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        1 + self.line_ends.partition_point(|end| *end < offset)
    }

    pub(super) fn report(&mut self, place: &Place<'_>, problem: impl fmt::Display) {
        let line = self.line(place);
        self.findings.push(Finding { line, field: place.path.clone(), problem: problem.to_string() });
    }

    /// The whole text as one value, or `None` with the syntax error reported.
    pub(super) fn whole(&mut self) -> Option<Place<'a>> {
        match serde_json::from_str::<&RawValue>(self.text) {
            Ok(raw) => Some(Place { path: String::new(), raw: raw.get() }),
            Err(error) => {
                let problem = format!("this is no JSON: {error}");
                self.findings.push(Finding { line: error.line(), field: String::new(), problem });
                None
            }
        }
    }

    /// The fields of the object at `place`; reports anything but an object, and fields given twice.
    pub(super) fn object(&mut self, place: &Place<'a>) -> Option<Fields<'a>> {
        let mut reader = serde_json::Deserializer::from_str(place.raw);
        let Ok(all) = reader.deserialize_map(FieldList) else {
            self.report(place, format_args!("an object {{…}} belongs here, not {}", shorten(place.raw)));
            return None;
        };
        let mut rest: Vec<(String, &'a RawValue)> = Vec::with_capacity(all.len());
        for (name, raw) in all {
            if rest.iter().any(|(earlier, _)| *earlier == name) {
                self.report(&place.field(&name, raw), "this field is given twice");
            } else {
                rest.push((name, raw));
            }
        }
        Some(Fields { place: place.clone(), rest, known: Vec::new() })
    }

    /// The elements of the array at `place`; reports anything but an array.
    pub(super) fn array(&mut self, place: &Place<'a>) -> Vec<Place<'a>> {
        match serde_json::from_str::<Vec<&'a RawValue>>(place.raw) {
            Ok(all) => all
                .into_iter()
                .enumerate()
                .map(|(i, raw)| Place { path: format!("{}[{i}]", place.path), raw: raw.get() })
                .collect(),
            Err(_) => {
                self.report(place, format_args!("a list […] belongs here, not {}", shorten(place.raw)));
                Vec::new()
            }
        }
    }

    /// The text at `place`; reports anything else.
    pub(super) fn string(&mut self, place: &Place<'a>) -> Option<String> {
        let read = serde_json::from_str(place.raw).ok();
        if read.is_none() {
            self.report(place, format_args!("a text in quotes belongs here, not {}", shorten(place.raw)));
        }
        read
    }

    /// The whole number at `place`, from `min` to `max`; reports anything else.
    pub(super) fn number(&mut self, place: &Place<'a>, min: u64, max: u64) -> Option<u64> {
        match serde_json::from_str::<u64>(place.raw) {
            Ok(number) if (min..=max).contains(&number) => Some(number),
            _ => {
                let found = shorten(place.raw);
                self.report(place, format_args!("a whole number from {min} to {max} belongs here, not {found}"));
                None
            }
        }
    }
}

impl<'a> Place<'a> {
    fn field(&self, name: &str, raw: &'a RawValue) -> Place<'a> {
        let path = if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) };
        Place { path, raw: raw.get() }
    }
}

impl<'a> Fields<'a> {
    /// Takes a field that may be absent; `null` counts as absent.
    pub(super) fn optional(&mut self, name: &'static str) -> Option<Place<'a>> {
        self.known.push(name);
        let at = self.rest.iter().position(|(given, _)| given == name)?;
        let (_, raw) = self.rest.remove(at);
        (raw.get() != "null").then(|| self.place.field(name, raw))
    }

    /// Takes a field that must be there; reports its absence.
    pub(super) fn required(&mut self, name: &'static str, source: &mut Source<'a>) -> Option<Place<'a>> {
        let found = self.optional(name);
        if found.is_none() {
            source.report(&self.place, format_args!("the field {name:?} is missing"));
        }
        found
    }

    /// Reports every field that nobody asked for.
    pub(super) fn finish(self, source: &mut Source<'a>) {
        for (name, raw) in &self.rest {
            let problem = format!("unknown field {name:?}; known here: {}", self.known.join(", "));
            source.report(&self.place.field(name, raw), problem);
        }
    }
}

/// Keeps the fields in order and keeps those given twice, which a map would hide.
struct FieldList;

impl<'de> Visitor<'de> for FieldList {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}

/// Enough of the source to recognise it, on one line.
fn shorten(raw: &str) -> String {
    const SHOWN_CHARS: usize = 40;
    let line: String = raw.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
