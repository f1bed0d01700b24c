//! Models that come in several files: `NAME-00001-of-00003.gguf` (llama.cpp's `gguf-split`).

use std::path::{Path, PathBuf};

use super::error::{Fault, GgufError};
use super::value::Value;
use super::{Header, read_one};

/// Most parts of a split model.
const MAX_PARTS: u64 = 1000;

/// Takes the name of a part apart: what comes before the number, which part it is (from 1), of how many.
pub fn shard_name(path: &Path) -> Option<(String, u32, u32)> {
    let stem = path.file_stem()?.to_str()?;
    let (rest, total) = stem.rsplit_once("-of-")?;
    let (prefix, nth) = rest.rsplit_once('-')?;
    let number = |digits: &str| (digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?;
    Some((prefix.into(), number(nth)?, number(total)?))
}

/// Adds what the other parts hold to the header of the first.
pub(super) fn join(header: &mut Header) -> Result<(), GgufError> {
    let number = |key: &str| header.metadata.get(key).and_then(Value::as_u64);
    let count = number("split.count").unwrap_or(0);
    if count < 2 {
        return Ok(());
    }
    let path = header.path.clone();
    let bad = |message: String| GgufError::whole(Fault::BadSplit, message).in_file(&path);
    let nth = number("split.no").unwrap_or(0);
    if count > MAX_PARTS || nth >= count {
        return Err(bad(format!("The file says that it is part {} of {count}", nth.saturating_add(1))));
    }
    if nth != 0 {
        return Err(bad(format!("This is part {} of {count} of a split model", nth + 1)));
    }
    let Some((prefix, 1, total)) = shard_name(&path).filter(|(_, _, total)| u64::from(*total) == count) else {
        return Err(bad(format!("This is part 1 of {count}, and its name does not say so: the engine cannot find the other parts")));
    };
    for part in 2..=total {
        let sibling: PathBuf = path.with_file_name(format!("{prefix}-{part:05}-of-{total:05}.gguf"));
        let other = read_one(&sibling).map_err(|error| match error.fault {
            Fault::Missing => bad(format!("Part {part} of {total} is missing")),
            _ => error,
        })?;
        header.file_size = header.file_size.saturating_add(other.file_size);
        header.tensors.extend(other.tensors);
        header.shards.push((sibling, other.file_size));
    }
    Ok(())
}
