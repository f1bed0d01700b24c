//! Why a file was refused.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::protocol::{EngineError, ErrorKind};

macro_rules! faults {
    ($($name:ident $word:literal $about:literal)*) => {
        /// What is wrong with a file, as a word that a script can match.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Fault {
            $(#[doc = $about] $name,)*
        }

        impl Fault {
            /// The machine-readable word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

faults! {
    Missing "missing" "no such file"
    Unreadable "unreadable" "the system refused to read it"
    NotAFile "not_a_file" "a folder, a pipe or a device"
    NotGguf "not_gguf" "the first bytes are not GGUF's"
    BigEndian "big_endian" "written for a big-endian machine"
    UnsupportedVersion "unsupported_version" "neither GGUF v2 nor v3"
    Truncated "truncated" "ends within the header"
    Incomplete "incomplete" "ends before the weights do"
    OverBudget "over_budget" "declares more than any sane model needs"
    BadKey "bad_key" "a metadata key breaks the rules"
    DuplicateKey "duplicate_key" "a metadata key occurs twice"
    BadValue "bad_value" "a metadata value has an impossible type or length"
    BadAlignment "bad_alignment" "`general.alignment` is not a sane power of two"
    BadTensorName "bad_tensor_name" "a tensor's name breaks the rules"
    DuplicateTensor "duplicate_tensor" "two tensors share a name"
    BadShape "bad_shape" "a tensor's shape is impossible"
    UnknownTensorType "unknown_tensor_type" "a tensor's type does not exist"
    BadOffset "bad_offset" "a tensor is not where it must be"
    Overlap "overlap" "two tensors share bytes"
    BadSplit "bad_split" "a part of a split model is missing or is not the first"
    NotAModel "not_a_model" "a projector, an adapter, an importance matrix or a bare vocabulary"
    MissingKey "missing_key" "a model needs this key"
    BadArchitecture "bad_architecture" "an architecture value that the engine could not survive"
    BadVocabulary "bad_vocabulary" "a vocabulary that the engine could not survive"
}

/// A refused file: what is wrong, in a word and in a sentence, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GgufError {
    /// The kind of fault
    pub fault: Fault,
    /// One sentence without a final stop
    pub message: String,
    /// The byte at which it was noticed
    pub offset: Option<u64>,
    /// The file; empty until a reader that knows it adds it
    pub path: PathBuf,
}

impl GgufError {
    /// A fault at a byte.
    pub fn at(fault: Fault, offset: u64, message: impl Into<String>) -> Self {
        Self { fault, message: message.into(), offset: Some(offset), path: PathBuf::new() }
    }

    /// A fault of the file as a whole.
    pub fn whole(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into(), offset: None, path: PathBuf::new() }
    }

    /// Says which file.
    #[must_use]
    pub fn in_file(mut self, path: &Path) -> Self {
        if self.path.as_os_str().is_empty() {
            self.path = path.into();
        }
        self
    }

    /// What the user can do about it, as one sentence; empty when there is nothing to say.
    pub fn hint(&self) -> &'static str {
        match self.fault {
            Fault::Missing => "Check the name, or rescan the model folders",
            Fault::Unreadable => "Check the permissions of the file and its folder",
            Fault::NotAFile | Fault::NotGguf => "Choose a GGUF model file",
            Fault::BigEndian | Fault::UnsupportedVersion => "Convert the model again with a current llama.cpp",
            Fault::Truncated | Fault::Incomplete => "Download or copy the file again",
            Fault::BadSplit => "Put all parts in one folder and open the first",
            Fault::NotAModel => "Choose the model that this file belongs to",
            _ => "The file is damaged or was not made by a known tool: get it from a source you trust",
        }
    }
}

impl From<GgufError> for EngineError {
    fn from(error: GgufError) -> Self {
        let kind = match error.fault {
            Fault::Missing | Fault::Unreadable => ErrorKind::FileMissing,
            _ => ErrorKind::InvalidFile,
        };
        let hint = error.hint();
        let engine = Self::new(kind, error.message).hint(hint);
        if error.path.as_os_str().is_empty() { engine } else { engine.path(error.path) }
    }
}
