//! Metadata values, and how much of them is kept.

use std::collections::HashMap;
use std::io::Read;

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::cursor::{Cursor, TEXT_BUDGET};
use super::error::{Fault, GgufError};

/// Arrays of numbers up to this length are kept whole: per-layer values never exceed llama.cpp's 512 layers.
const WHOLE: u64 = 1024;
/// Of longer arrays, and of arrays of texts, this many items are kept for display.
const SHOWN: u64 = 16;
/// Longest text inside an array. Tokens are far shorter.
const ITEM_BUDGET: u64 = 1 << 20;
/// Most keys. Real models have under a hundred.
pub const MAX_KEYS: u64 = 16_384;
/// Longest key (the format's own rule is 65535; llama.cpp's longest known key has 60 bytes).
const MAX_KEY: u64 = 1024;

/// Type of a metadata value (`enum gguf_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// 8 bits
    U8,
    /// 8 bits, signed
    I8,
    /// 16 bits
    U16,
    /// 16 bits, signed
    I16,
    /// 32 bits
    U32,
    /// 32 bits, signed
    I32,
    /// single precision
    F32,
    /// one byte
    Bool,
    /// length and bytes
    Text,
    /// items of one other type
    Array,
    /// 64 bits
    U64,
    /// 64 bits, signed
    I64,
    /// double precision
    F64,
}

impl ValueType {
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::Text,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    fn by_id(id: u32) -> Option<Self> {
        Self::ALL.get(id as usize).copied()
    }

    /// As shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "bool",
            Self::Text => "string",
            Self::Array => "array",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }

    /// Bytes of one value; `None` where it varies.
    fn size(self) -> Option<u64> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Text | Self::Array => None,
        }
    }
}

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any unsigned integer
    Unsigned(u64),
    /// Any signed integer
    Signed(i64),
    /// Any float
    Float(f64),
    /// True or false
    Bool(bool),
    /// A text; bytes that are not UTF-8 are replaced
    Text(String),
    /// Items of one type
    Array(Array),
}

/// An array, of which long ones keep only their beginning.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Type of the items
    pub item: ValueType,
    /// Number of items in the file
    pub len: u64,
    /// All of them, or the first few
    pub items: Vec<Value>,
}

impl Array {
    /// Whether every item was kept.
    pub fn is_whole(&self) -> bool {
        self.items.len() as u64 == self.len
    }
}

impl Value {
    /// As a number that cannot be negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Unsigned(n) => Some(*n),
            Self::Signed(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// As a number of any kind.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Unsigned(n) => Some(*n as f64),
            Self::Signed(n) => Some(*n as f64),
            Self::Float(x) => Some(*x),
            _ => None,
        }
    }

    /// As a text.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// As an array.
    pub fn as_array(&self) -> Option<&Array> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unsigned(n) => out.serialize_u64(*n),
            Self::Signed(n) => out.serialize_i64(*n),
            Self::Float(x) => out.serialize_f64(*x),
            Self::Bool(b) => out.serialize_bool(*b),
            Self::Text(text) => out.serialize_str(text),
            Self::Array(array) if array.is_whole() => {
                let mut seq = out.serialize_seq(Some(array.items.len()))?;
                for item in &array.items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Array(array) => {
                let mut map = out.serialize_map(Some(3))?;
                map.serialize_entry("type", array.item.name())?;
                map.serialize_entry("length", &array.len)?;
                map.serialize_entry("first", &array.items)?;
                map.end()
            }
        }
    }
}

/// Keys and values in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    pairs: Vec<(String, Value)>,
    index: HashMap<String, usize>,
}

impl Metadata {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.index.get(key).and_then(|at| self.pairs.get(*at)).map(|(_, value)| value)
    }

    /// Pairs in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.pairs.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.index.contains_key(key)
    }

    pub(super) fn push(&mut self, key: String, value: Value) {
        self.index.insert(key.clone(), self.pairs.len());
        self.pairs.push((key, value));
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(self.iter())
    }
}

/// Told about every item of every array while it passes by, since most are not kept.
pub(super) trait Watch {
    /// A text of an array.
    fn text(&mut self, key: &str, index: u64, text: &[u8]) -> Result<(), String>;
    /// A number of an array of 32-bit integers.
    fn number(&mut self, key: &str, index: u64, number: i64);
    /// Whether numbers of this key are wanted; others are passed over unread.
    fn wants(&self, key: &str) -> bool;
}

/// Reads the `nth` key.
pub(super) fn read_key<R: Read>(cursor: &mut Cursor<R>, nth: u64) -> Result<String, GgufError> {
    let at = cursor.at();
    let what = format!("Key {nth}");
    let bytes = cursor.kept_string(MAX_KEY, &what)?;
    if bytes.is_empty() {
        return Err(GgufError::at(Fault::BadKey, at, format!("{what} is empty")));
    }
    match String::from_utf8(bytes) {
        Ok(key) if !key.chars().any(char::is_control) => Ok(key),
        _ => Err(GgufError::at(Fault::BadKey, at, format!("{what} is not plain text"))),
    }
}

/// Reads the value of `key`.
pub(super) fn read_value<R: Read>(cursor: &mut Cursor<R>, key: &str, watch: &mut impl Watch) -> Result<(ValueType, Value), GgufError> {
    let at = cursor.at();
    let ty = read_type(cursor, key)?;
    if ty != ValueType::Array {
        return Ok((ty, read_single(cursor, ty, key)?));
    }
    let item = read_type(cursor, key)?;
    let len = cursor.u64()?;
    if item == ValueType::Array {
        return Err(GgufError::at(Fault::BadValue, at, format!("The value of {key} is an array of arrays, which GGUF does not have")));
    }
    // a text takes 8 bytes at least; checked before anything is read, so that a promised length costs nothing
    let least = len.saturating_mul(item.size().unwrap_or(8));
    if least > cursor.left() {
        let message = format!("The value of {key} claims {len} items of type {}, the file has {} bytes left", item.name(), cursor.left());
        return Err(GgufError::at(Fault::Truncated, at, message));
    }
    let items = match item.size() {
        Some(size) => read_numbers(cursor, key, item, len, size, watch)?,
        None => read_texts(cursor, key, len, watch)?,
    };
    Ok((ty, Value::Array(Array { item, len, items })))
}

fn read_type<R: Read>(cursor: &mut Cursor<R>, key: &str) -> Result<ValueType, GgufError> {
    let at = cursor.at();
    let id = cursor.u32()?;
    ValueType::by_id(id)
        .ok_or_else(|| GgufError::at(Fault::BadValue, at, format!("The value of {key} has type {id}, which does not exist")))
}

fn read_numbers<R: Read>(
    cursor: &mut Cursor<R>,
    key: &str,
    item: ValueType,
    len: u64,
    size: u64,
    watch: &mut impl Watch,
) -> Result<Vec<Value>, GgufError> {
    let kept = if len <= WHOLE { len } else { SHOWN };
    cursor.keep(kept * size_of::<Value>() as u64)?;
    let mut items = Vec::new();
    let watched = watch.wants(key) && matches!(item, ValueType::U32 | ValueType::I32);
    for index in 0..if watched { len } else { kept } {
        let value = read_single(cursor, item, key)?;
        if watched {
            let number = match value {
                Value::Signed(n) => n,
                Value::Unsigned(n) => i64::try_from(n).unwrap_or(i64::MAX),
                _ => continue,
            };
            watch.number(key, index, number);
        }
        if index < kept {
            items.push(value);
        }
    }
    if !watched {
        cursor.skip((len - kept) * size)?;
    }
    Ok(items)
}

fn read_texts<R: Read>(cursor: &mut Cursor<R>, key: &str, len: u64, watch: &mut impl Watch) -> Result<Vec<Value>, GgufError> {
    let wanted = watch.wants(key);
    let what = format!("A text in {key}");
    let (mut items, mut buffer) = (Vec::new(), Vec::new());
    for index in 0..len {
        let at = cursor.at();
        let n = cursor.string_length(ITEM_BUDGET, &what)?;
        if !wanted && index >= SHOWN {
            cursor.skip(n)?;
            continue;
        }
        cursor.fill(&mut buffer, n)?;
        if wanted {
            watch.text(key, index, &buffer).map_err(|message| GgufError::at(Fault::BadVocabulary, at, message))?;
        }
        if index < SHOWN {
            cursor.keep(n + size_of::<Value>() as u64)?;
            items.push(Value::Text(String::from_utf8_lossy(&buffer).into_owned()));
        }
    }
    Ok(items)
}

fn read_single<R: Read>(cursor: &mut Cursor<R>, ty: ValueType, key: &str) -> Result<Value, GgufError> {
    Ok(match ty {
        ValueType::U8 => Value::Unsigned(u8::from_le_bytes(cursor.bytes()?).into()),
        ValueType::I8 => Value::Signed(i8::from_le_bytes(cursor.bytes()?).into()),
        ValueType::U16 => Value::Unsigned(u16::from_le_bytes(cursor.bytes()?).into()),
        ValueType::I16 => Value::Signed(i16::from_le_bytes(cursor.bytes()?).into()),
        ValueType::U32 => Value::Unsigned(cursor.u32()?.into()),
        ValueType::I32 => Value::Signed(i32::from_le_bytes(cursor.bytes()?).into()),
        ValueType::F32 => Value::Float(f32::from_le_bytes(cursor.bytes()?).into()),
        ValueType::Bool => Value::Bool(cursor.bytes::<1>()? != [0]),
        ValueType::U64 => Value::Unsigned(cursor.u64()?),
        ValueType::I64 => Value::Signed(i64::from_le_bytes(cursor.bytes()?)),
        ValueType::F64 => Value::Float(f64::from_le_bytes(cursor.bytes()?)),
        ValueType::Text => {
            let bytes = cursor.kept_string(TEXT_BUDGET, &format!("The text of {key}"))?;
            Value::Text(String::from_utf8_lossy(&bytes).into_owned())
        }
        ValueType::Array => {
            return Err(GgufError::at(Fault::BadValue, cursor.at(), format!("The value of {key} is an array of arrays")));
        }
    })
}
