//! Which file this is, without reading all of it.
//!
//! A **fingerprint** is the first 16 hexadecimal digits of SHA-256 over the size of the file (8 bytes, little endian), its first MiB (the
//! header of most models) and 64 blocks of 32 KiB, the last of which ends the file and the rest of which are spread evenly before it; then
//! the same for the other parts of a split model. That reads 3 MiB of any file. Two files with the same fingerprint have the same size,
//! the same names and types at the front, and the same weights wherever it was looked: enough to tell conversions, levels and imatrices
//! apart, because each changes weights throughout. It does not notice a change of a few bytes in between: [`sha256`] does.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::gguf::shard_name;

/// Read whole from the front.
const FRONT: u64 = 1 << 20;
/// Bytes of a block further on.
const BLOCK: u64 = 32 << 10;
/// How many of them.
const BLOCKS: u64 = 64;
/// Digits of a fingerprint.
const DIGITS: usize = 16;
/// Most parts of a split model that are looked for.
const MAX_PARTS: u32 = 1000;

/// The fingerprint of a model file (of a split model: its first part, and the others beside it).
///
/// # Errors
/// What the system says when the file or another part of it cannot be read.
pub fn fingerprint(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    sample(path, &mut hash)?;
    if let Some((prefix, 1, total)) = shard_name(path) {
        for part in 2..=total.min(MAX_PARTS) {
            sample(&path.with_file_name(format!("{prefix}-{part:05}-of-{total:05}.gguf")), &mut hash)?;
        }
    }
    let mut digits = hex(&hash.finalize());
    digits.truncate(DIGITS);
    Ok(digits)
}

/// SHA-256 of all bytes of one file, 64 hexadecimal digits, as `sha256sum` prints it. Reads everything: `on_read` is told how many bytes so
/// far and ends it by answering `false`.
///
/// # Errors
/// What the system says, and `Interrupted` when it was ended.
pub fn sha256(path: &Path, mut on_read: impl FnMut(u64) -> bool) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut buffer, mut done) = (Sha256::new(), vec![0_u8; 1 << 20], 0_u64);
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(buffer.get(..n).unwrap_or_default());
        done += n as u64;
        if !on_read(done) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "ended before the whole file was read"));
        }
    }
}

fn sample(path: &Path, hash: &mut Sha256) -> io::Result<()> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    hash.update(size.to_le_bytes());
    let mut buffer = Vec::new();
    let mut add = |file: &mut File, at: u64, length: u64| -> io::Result<()> {
        file.seek(SeekFrom::Start(at))?;
        buffer.clear();
        file.take(length).read_to_end(&mut buffer)?;
        hash.update(&buffer);
        Ok(())
    };
    let sampled = FRONT + BLOCKS * BLOCK;
    if size <= sampled {
        return add(&mut file, 0, sampled);
    }
    add(&mut file, 0, FRONT)?;
    for block in 0..BLOCKS {
        // from behind the front to the last byte; u128, since sizes may be anything
        let span = u128::from(size - FRONT - BLOCK);
        let at = FRONT + u64::try_from(span * u128::from(block) / u128::from(BLOCKS - 1)).unwrap_or(0);
        add(&mut file, at, BLOCK)?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(n: usize) -> Vec<u8> {
        (0..n).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
    }

    #[test]
    fn copies_agree_and_other_files_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let large = bytes(8 << 20);
        for (name, change) in [("a", None), ("b", None), ("front", Some(70_000)), ("last", Some((8 << 20) - 1)), ("throughout", Some(0))] {
            let mut copy = large.clone();
            match change {
                Some(0) => copy.iter_mut().skip(1 << 20).for_each(|byte| *byte ^= 1),
                Some(at) => copy[at] ^= 1,
                None => {}
            }
            std::fs::write(path(name), copy).unwrap();
        }
        let of = |name: &str| fingerprint(&path(name)).unwrap();
        assert_eq!(of("a"), of("b"));
        assert_eq!(of("a").len(), DIGITS);
        for other in ["front", "last", "throughout"] {
            assert_ne!(of("a"), of(other), "{other}");
        }
        std::fs::write(path("longer"), [large.as_slice(), &[0]].concat()).unwrap();
        assert_ne!(of("a"), of("longer"));
        for small in [0, 1, 4096, (3 << 20) - 1, 3 << 20, (3 << 20) + 1] {
            std::fs::write(path("small"), bytes(small)).unwrap();
            let before = of("small");
            if small > 0 {
                let mut other = bytes(small);
                other[small - 1] ^= 1;
                std::fs::write(path("small"), other).unwrap();
                assert_ne!(of("small"), before, "{small}");
            }
        }
        assert_eq!(fingerprint(&path("missing")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn every_part_of_a_split_model_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = |n: u32| dir.path().join(format!("m-{n:05}-of-00002.gguf"));
        std::fs::write(path(1), "one").unwrap();
        std::fs::write(path(2), "two").unwrap();
        let before = fingerprint(&path(1)).unwrap();
        std::fs::write(path(2), "2wo").unwrap();
        assert_ne!(fingerprint(&path(1)).unwrap(), before);
        std::fs::remove_file(path(2)).unwrap();
        assert!(fingerprint(&path(1)).is_err());
    }

    #[test]
    fn the_full_hash_is_the_known_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1
        assert_eq!(sha256(&path, |_| true).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(sha256(&path, |_| false).unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
}
