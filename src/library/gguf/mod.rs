//! A safe, budgeted reader of GGUF headers for files from anywhere.
//!
//! llama.cpp aborts the whole process on some bad files, so every file is read here first. The rules are those of the format and of
//! llama.cpp's own reader (`ggml/src/gguf.cpp`), made stricter where a sane model cannot tell the difference: budgets for what is read and
//! what is kept, names that are plain text, alignments a machine could want. Tensor data is never touched.

mod check;
mod cursor;
mod error;
mod info;
mod split;
mod tensors;
pub mod types;
mod value;
mod vocab;

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use cursor::Cursor;
pub use cursor::{KEEP_BUDGET, READ_BUDGET, TEXT_BUDGET};
pub use error::{Fault, GgufError};
pub use info::Kind;
pub use split::shard_name;
pub use tensors::{MAX_TENSORS, TensorInfo};
pub use types::TensorType;
pub use value::{Array, MAX_KEYS, Metadata, Value, ValueType};
use vocab::{Verdict, VocabWatch};

/// What the file says about itself, checked.
#[derive(Clone, Debug)]
pub struct Header {
    /// The file; the first part of a split model
    pub path: PathBuf,
    /// GGUF version, 2 or 3
    pub version: u32,
    /// Tensor data begins at multiples of this, in bytes
    pub alignment: u64,
    /// Keys and values, in the order of the file
    pub metadata: Metadata,
    /// Tensors of all parts, in the order of the files
    pub tensors: Vec<TensorInfo>,
    /// Where tensor data begins in the first file, in bytes
    pub data_offset: u64,
    /// Bytes on disk, all parts together
    pub file_size: u64,
    /// Other parts of a split model, with their sizes
    pub shards: Vec<(PathBuf, u64)>,
    verdict: Verdict,
}

/// Reads and checks the header of a GGUF file, and of the other parts of a split model.
///
/// Pipes, devices and folders are refused without waiting for them. At most [`READ_BUDGET`] bytes are read and [`KEEP_BUDGET`] kept.
///
/// # Errors
/// What is wrong with the file, in a word and a sentence, with the byte where that shows.
pub fn read_header(path: &Path) -> Result<Header, GgufError> {
    let mut header = read_one(path)?;
    split::join(&mut header)?;
    Ok(header)
}

/// [`read_header`], and the checks that a model must pass before the engine sees it: architecture values within the bounds llama.cpp
/// asserts, a sound vocabulary, weights present.
///
/// # Errors
/// As [`read_header`], and what an engine could not survive.
pub fn read_model(path: &Path) -> Result<Header, GgufError> {
    let header = read_header(path)?;
    header.check_model()?;
    Ok(header)
}

/// Reads a header from any stream of `len` bytes: what [`read_header`] does once it has opened the file. Split models are not joined.
///
/// # Errors
/// As [`read_header`].
pub fn read_stream(input: impl Read, len: u64) -> Result<Header, GgufError> {
    let mut cursor = Cursor::new(input, len);
    let version = read_preamble(&mut cursor)?;
    let (n_tensors, n_kv) = read_counts(&mut cursor)?;
    let mut watch = VocabWatch::default();
    let metadata = read_metadata(&mut cursor, n_kv, &mut watch)?;
    let alignment = alignment(&metadata)?;
    let tensors = tensors::read_infos(&mut cursor, n_tensors)?;
    let data_offset = if n_tensors == 0 { cursor.at() } else { cursor.at().next_multiple_of(alignment) };
    tensors::check_places(&tensors, data_offset, alignment, len)?;
    Ok(Header {
        path: PathBuf::new(),
        version,
        alignment,
        metadata,
        tensors,
        data_offset,
        file_size: len,
        shards: Vec::new(),
        verdict: watch.verdict(),
    })
}

fn read_one(path: &Path) -> Result<Header, GgufError> {
    let file = open_regular(path).map_err(|e| e.in_file(path))?;
    let len = file.metadata().map_err(|e| unreadable(&e).in_file(path))?.len();
    // metadata is a run of small reads; the buffer makes them one system call each 64 KiB
    let mut header = read_stream(BufReader::with_capacity(64 << 10, file), len).map_err(|e| e.in_file(path))?;
    header.path = path.into();
    Ok(header)
}

fn unreadable(error: &io::Error) -> GgufError {
    match error.kind() {
        io::ErrorKind::NotFound => GgufError::whole(Fault::Missing, "There is no such file"),
        io::ErrorKind::PermissionDenied => GgufError::whole(Fault::Unreadable, "The system does not allow reading the file"),
        _ => GgufError::whole(Fault::Unreadable, format!("The file cannot be read ({error})")),
    }
}

/// Opens a file only if it is one: never waits for a pipe's writer, never reads a device.
fn open_regular(path: &Path) -> Result<File, GgufError> {
    let refuse = |kind: &str| Err(GgufError::whole(Fault::NotAFile, format!("This is {kind}, not a model file")));
    let check = |metadata: &std::fs::Metadata| {
        if metadata.is_dir() {
            refuse("a folder")
        } else if metadata.is_file() {
            Ok(())
        } else {
            refuse("a pipe or a device")
        }
    };
    check(&std::fs::metadata(path).map_err(|e| unreadable(&e))?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // the name may have become a pipe since it was looked at
        options.custom_flags(libc::O_NONBLOCK);
    }
    let file = options.open(path).map_err(|e| unreadable(&e))?;
    check(&file.metadata().map_err(|e| unreadable(&e))?)?;
    Ok(file)
}

fn read_preamble<R: Read>(cursor: &mut Cursor<R>) -> Result<u32, GgufError> {
    if cursor.left() == 0 {
        return Err(GgufError::at(Fault::Truncated, 0, "The file is empty"));
    }
    if cursor.left() < 4 {
        return Err(GgufError::at(Fault::NotGguf, 0, "This is not a GGUF file: it has fewer than four bytes"));
    }
    match &cursor.bytes::<4>()? {
        b"GGUF" => {}
        b"ggml" | b"lmgg" | b"fmgg" | b"tjgg" | b"algg" => {
            return Err(GgufError::at(Fault::NotGguf, 0, "This is a GGML file of the time before GGUF, which no current engine reads"));
        }
        _ => return Err(GgufError::at(Fault::NotGguf, 0, "This is not a GGUF file: its first four bytes are not GGUF")),
    }
    match cursor.u32()? {
        version @ (2 | 3) => Ok(version),
        version if version != 0 && version & 0xffff == 0 => {
            Err(GgufError::at(Fault::BigEndian, 4, "This GGUF was written for a big-endian machine"))
        }
        version => {
            Err(GgufError::at(Fault::UnsupportedVersion, 4, format!("This is a GGUF of version {version}; versions 2 and 3 can be read")))
        }
    }
}

fn read_counts<R: Read>(cursor: &mut Cursor<R>) -> Result<(u64, u64), GgufError> {
    let mut count = |what: &str, most: u64| {
        let at = cursor.at();
        let n = cursor.u64()?;
        if n > most {
            return Err(GgufError::at(Fault::OverBudget, at, format!("The file declares {n} {what}; no sane model has more than {most}")));
        }
        Ok(n)
    };
    Ok((count("tensors", MAX_TENSORS)?, count("metadata keys", MAX_KEYS)?))
}

fn read_metadata<R: Read>(cursor: &mut Cursor<R>, n_kv: u64, watch: &mut VocabWatch) -> Result<Metadata, GgufError> {
    let mut metadata = Metadata::default();
    for nth in 0..n_kv {
        let at = cursor.at();
        let key = value::read_key(cursor, nth)?;
        if metadata.contains(&key) {
            return Err(GgufError::at(Fault::DuplicateKey, at, format!("Key {nth} ({key}) occurs twice")));
        }
        let value_at = cursor.at();
        let (ty, value) = value::read_value(cursor, &key, watch)?;
        if key == "general.alignment" && ty != ValueType::U32 {
            let message = format!("general.alignment must be a u32 and is {}", ty.name());
            return Err(GgufError::at(Fault::BadAlignment, value_at, message));
        }
        metadata.push(key, value);
    }
    Ok(metadata)
}

fn alignment(metadata: &Metadata) -> Result<u64, GgufError> {
    match metadata.get("general.alignment").and_then(Value::as_u64) {
        None => Ok(32),
        Some(n) if n.is_power_of_two() && (8..=65_536).contains(&n) => Ok(n),
        Some(n) => {
            let message = format!("general.alignment is {n}; it must be a power of two from 8 to 65536");
            Err(GgufError::whole(Fault::BadAlignment, message))
        }
    }
}
