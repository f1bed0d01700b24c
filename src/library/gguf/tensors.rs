//! Tensor descriptions: names, shapes, types, places.

use std::collections::HashSet;
use std::io::Read;

use super::cursor::Cursor;
use super::error::{Fault, GgufError};
use super::types::TensorType;

/// Most tensors. Real models have up to a few thousand.
pub const MAX_TENSORS: u64 = 65_536;
/// `GGML_MAX_NAME`, with the ending zero
const MAX_NAME: u64 = 64;
/// `GGML_MAX_DIMS`
const MAX_DIMS: u32 = 4;

/// One tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// `blk.0.attn_q.weight`
    pub name: String,
    /// One to four sizes; the first is the length of a row
    pub dims: Vec<u64>,
    /// How it is stored
    pub ty: &'static TensorType,
    /// From the start of the data section of its file, in bytes
    pub offset: u64,
    /// Bytes it takes, without padding
    pub bytes: u64,
    /// Number of weights
    pub elements: u64,
}

impl TensorInfo {
    /// Weights in a row.
    pub fn columns(&self) -> u64 {
        self.dims.first().copied().unwrap_or(0)
    }

    /// Rows, over all further dimensions.
    pub fn rows(&self) -> u64 {
        self.elements.checked_div(self.columns()).unwrap_or(0)
    }

    /// Dimensions larger than one count, as `ggml_n_dims` counts them.
    pub fn n_dims(&self) -> usize {
        self.dims.iter().rposition(|d| *d > 1).map_or(1, |at| at + 1)
    }
}

/// Reads the descriptions of `n` tensors.
pub(super) fn read_infos<R: Read>(cursor: &mut Cursor<R>, n: u64) -> Result<Vec<TensorInfo>, GgufError> {
    // a description takes 32 bytes at least: a promised number that cannot be true costs nothing
    if n.saturating_mul(32) > cursor.left() {
        let message = format!("The file declares {n} tensors and has only {} bytes left for them", cursor.left());
        return Err(GgufError::at(Fault::Truncated, cursor.at(), message));
    }
    let mut names = HashSet::new();
    let mut tensors = Vec::new();
    for nth in 0..n {
        let at = cursor.at();
        let tensor = read_info(cursor, nth)?;
        if !names.insert(tensor.name.clone()) {
            return Err(GgufError::at(Fault::DuplicateTensor, at, format!("Tensor {nth} ({}) occurs twice", tensor.name)));
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn read_info<R: Read>(cursor: &mut Cursor<R>, nth: u64) -> Result<TensorInfo, GgufError> {
    let name = read_name(cursor, nth)?;
    let at = cursor.at();
    let shape = |message: String| GgufError::at(Fault::BadShape, at, message);
    let n_dims = cursor.u32()?;
    if n_dims == 0 || n_dims > MAX_DIMS {
        return Err(shape(format!("Tensor {name} has {n_dims} dimensions; one to {MAX_DIMS} are possible")));
    }
    let mut dims = Vec::new();
    let mut elements = 1u64;
    for _ in 0..n_dims {
        let dim = cursor.u64()?;
        if dim == 0 || dim > i64::MAX as u64 {
            return Err(shape(format!("Tensor {name} has a dimension of {dim}")));
        }
        elements = elements
            .checked_mul(dim)
            .filter(|n| *n <= i64::MAX as u64)
            .ok_or_else(|| shape(format!("The dimensions of tensor {name} multiply to more than a machine can count")))?;
        dims.push(dim);
    }
    let at = cursor.at();
    let id = cursor.u32()?;
    let ty = TensorType::by_id(id)
        .ok_or_else(|| GgufError::at(Fault::UnknownTensorType, at, format!("Tensor {name} has type {id}, which does not exist")))?;
    let offset = cursor.u64()?;
    let columns = dims.first().copied().unwrap_or(0);
    if !columns.is_multiple_of(ty.block) {
        let message =
            format!("Rows of tensor {name} have {columns} weights, which is not a multiple of {}'s block of {}", ty.name, ty.block);
        return Err(GgufError::at(Fault::BadShape, at, message));
    }
    let bytes = (elements / ty.block)
        .checked_mul(ty.bytes)
        .filter(|n| *n <= i64::MAX as u64)
        .ok_or_else(|| GgufError::at(Fault::BadShape, at, format!("Tensor {name} is larger than a machine can address")))?;
    Ok(TensorInfo { name, dims, ty, offset, bytes, elements })
}

fn read_name<R: Read>(cursor: &mut Cursor<R>, nth: u64) -> Result<String, GgufError> {
    let at = cursor.at();
    let bad = |why: &str| GgufError::at(Fault::BadTensorName, at, format!("The name of tensor {nth} {why}"));
    let bytes = cursor.kept_string(MAX_NAME - 1, &format!("The name of tensor {nth}")).map_err(|error| match error.fault {
        Fault::OverBudget => bad("is longer than 63 bytes"),
        _ => error,
    })?;
    match String::from_utf8(bytes) {
        Ok(name) if name.is_empty() => Err(bad("is empty")),
        Ok(name) if name.chars().any(char::is_control) => Err(bad("holds control characters")),
        Ok(name) => Ok(name),
        Err(_) => Err(bad("is not plain text")),
    }
}

/// Checks that tensors lie one behind the other as llama.cpp demands, and within the file.
pub(super) fn check_places(tensors: &[TensorInfo], data_offset: u64, alignment: u64, file_size: u64) -> Result<(), GgufError> {
    let mut expected = 0u64;
    let mut needed = data_offset;
    for tensor in tensors.iter() {
        let name = &tensor.name;
        if tensor.offset != expected {
            let (fault, why) = if !tensor.offset.is_multiple_of(alignment) {
                (Fault::BadOffset, format!("begins at {}, which is not a multiple of the alignment {alignment}", tensor.offset))
            } else if tensor.offset < expected {
                (Fault::Overlap, format!("begins at {}, inside the tensor before it, which ends at {expected}", tensor.offset))
            } else {
                (Fault::BadOffset, format!("begins at {} instead of {expected}, where the tensor before it ends", tensor.offset))
            };
            return Err(GgufError::whole(fault, format!("Tensor {name} {why}")));
        }
        let too_far = || GgufError::whole(Fault::BadOffset, format!("Tensor {name} ends farther than a machine can address"));
        needed = data_offset.checked_add(expected).and_then(|n| n.checked_add(tensor.bytes)).ok_or_else(too_far)?;
        expected = expected.checked_add(tensor.bytes).and_then(|n| n.checked_next_multiple_of(alignment)).ok_or_else(too_far)?;
    }
    if needed > file_size {
        let message = format!("The file is incomplete: {file_size} of {needed} bytes");
        return Err(GgufError::at(Fault::Incomplete, file_size, message));
    }
    Ok(())
}
