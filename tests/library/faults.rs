//! One test a fault: the file is refused, with the right word, quickly, and without memory for what it promises.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use inferscope::library::{Fault, GgufError, Header, read_header, read_model};
use inferscope::protocol::{EngineError, ErrorKind};

use crate::support::gguf::{Gguf, Kv, Tiny, string};

fn read(bytes: &[u8]) -> Result<Header, GgufError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    fs::write(&path, bytes).unwrap();
    let begun = Instant::now();
    let result = read_model(&path);
    assert!(begun.elapsed() < Duration::from_secs(2), "took {:?}", begun.elapsed());
    result
}

#[track_caller]
fn refused(bytes: &[u8], fault: Fault) -> GgufError {
    let error = read(bytes).expect_err("was accepted");
    assert_eq!(error.fault, fault, "{error}");
    assert!(!error.message.ends_with('.') && !error.message.is_empty(), "{error}");
    error
}

fn tiny() -> Gguf {
    Tiny::default().gguf()
}

/// The tiny model with a key set.
fn with(key: &str, value: Kv) -> Vec<u8> {
    let mut file = tiny();
    file.set(key, value);
    file.bytes()
}

#[test]
fn the_unharmed_file_is_accepted() {
    let header = read(&tiny().bytes()).unwrap();
    assert_eq!((header.version, header.alignment), (3, 32));
    let info = header.info();
    assert_eq!((info.arch.as_str(), info.quant.as_str(), info.name.as_str()), ("llama", "F16", "Tiny Test"));
    assert_eq!((info.n_layer, info.n_embd, info.n_head, info.n_head_kv, info.n_ctx_train), (2, 64, 2, 1, 2048));
    assert!(info.n_vocab > 300 && info.has_chat_template);
    assert!((16.0..16.5).contains(&info.bpw), "{}", info.bpw);
    let mut older = tiny();
    older.version = 2;
    assert_eq!(read(&older.bytes()).unwrap().version, 2);
}

#[test]
fn i01_magic_version_and_byte_order() {
    let mut file = tiny();
    file.magic = *b"GGUX";
    assert_eq!(refused(&file.bytes(), Fault::NotGguf).offset, Some(0));
    refused(b"GG", Fault::NotGguf);
    refused(b"", Fault::Truncated);
    for version in [0, 1, 4] {
        let mut file = tiny();
        file.version = version;
        assert_eq!(refused(&file.bytes(), Fault::UnsupportedVersion).offset, Some(4));
    }
    let mut file = tiny();
    file.version = 3u32.swap_bytes();
    assert!(refused(&file.bytes(), Fault::BigEndian).message.contains("big-endian"));
}

#[test]
fn i02_counts_without_end() {
    for count in [u64::MAX, i64::MAX as u64, 1 << 40] {
        let mut file = tiny();
        file.n_kv = Some(count);
        assert_eq!(refused(&file.bytes(), Fault::OverBudget).offset, Some(16));
        let mut file = tiny();
        file.n_tensors = Some(count);
        assert_eq!(refused(&file.bytes(), Fault::OverBudget).offset, Some(8));
    }
    let mut file = Gguf { n_tensors: Some(60_000), ..Gguf::default() };
    file.set("general.architecture", Kv::Str("llama".into()));
    refused(&file.bytes(), Fault::Truncated);
}

#[test]
fn i03_keys() {
    let mut file = Gguf::default();
    file.kv.push((Vec::new(), Kv::U32(1)));
    assert!(refused(&file.bytes(), Fault::BadKey).message.contains("Key 0"));
    // 24 bytes of header, the length of a key, and five bytes more
    let mut endless = Gguf { n_kv: Some(1), ..Gguf::default() }.bytes();
    endless.extend(u64::MAX.to_le_bytes());
    endless.extend(b"abcde");
    assert_eq!(endless.len(), 37);
    refused(&endless, Fault::Truncated);
    let mut file = tiny();
    let again = file.kv[3].clone();
    file.kv.push(again);
    let error = refused(&file.bytes(), Fault::DuplicateKey);
    assert!(error.message.contains("general.file_type"), "{error}");
    for bad in [&b"a\0b"[..], b"a\nb", b"\xff\xfe"] {
        let mut file = Gguf::default();
        file.kv.push((bad.to_vec(), Kv::U32(1)));
        refused(&file.bytes(), Fault::BadKey);
    }
}

/// Writes `head` into a file that claims to be 9 GB long and holds nothing.
fn sparse(head: &[u8]) -> GgufError {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sparse.gguf");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(head).unwrap();
    file.set_len(9 << 30).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let before = resident();
    let begun = Instant::now();
    let error = read_model(&path).expect_err("was accepted");
    assert!(begun.elapsed() < Duration::from_secs(5), "took {:?}", begun.elapsed());
    assert!(resident().saturating_sub(before) < 64 << 20, "grew by {} bytes", resident().saturating_sub(before));
    error
}

/// Bytes of this process in memory; other tests run beside this one, so it is an upper bound.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).map_or(0, |pages| pages * 4096)
}

#[test]
fn i04_lengths_that_a_sparse_file_would_allow() {
    let head = |value: Vec<u8>| {
        let mut bytes = Gguf { n_kv: Some(1), ..Gguf::default() }.bytes();
        bytes.extend(string(b"tokenizer.ggml.tokens"));
        bytes.extend(value);
        bytes
    };
    let text = [&8u32.to_le_bytes()[..], &(2u64 << 30).to_le_bytes()].concat();
    assert_eq!(sparse(&head(text)).fault, Fault::OverBudget);
    let array = |item: u32| [&9u32.to_le_bytes()[..], &item.to_le_bytes(), &(1u64 << 30).to_le_bytes()].concat();
    assert_eq!(sparse(&head(array(0))).fault, Fault::OverBudget, "bytes");
    assert_eq!(sparse(&head(array(8))).fault, Fault::BadVocabulary, "texts");
}

#[test]
fn i05_a_million_tiny_keys() {
    let mut bytes = Gguf { n_kv: Some(1_000_000), ..Gguf::default() }.bytes();
    for n in 0..1_000_000u32 {
        bytes.extend(string(&n.to_be_bytes()));
        bytes.extend([0, 0, 0, 0, 1]);
    }
    refused(&bytes, Fault::OverBudget);
}

#[test]
fn i06_types_and_alignment() {
    let nested = [&9u32.to_le_bytes()[..], &1u64.to_le_bytes()].concat();
    refused(&with("x", Kv::Raw(9, nested)), Fault::BadValue);
    for id in [13, 99, u32::MAX] {
        refused(&with("x", Kv::Raw(id, vec![0; 8])), Fault::BadValue);
    }
    for bad in [0, 1, 4, 13, 48, 1 << 31] {
        refused(&with("general.alignment", Kv::U32(bad)), Fault::BadAlignment);
    }
    refused(&with("general.alignment", Kv::I32(32)), Fault::BadAlignment);
    let mut wide = tiny();
    wide.alignment = 4096;
    wide.set("general.alignment", Kv::U32(4096));
    assert_eq!(read(&wide.bytes()).unwrap().data_offset % 4096, 0);
}

#[test]
fn i07_shapes_beyond_counting() {
    for dims in
        [vec![i64::MAX as u64, 2], vec![1 << 32, 1 << 32], vec![u64::MAX], vec![1 << 21, 1 << 21, 1 << 21], vec![i64::MAX as u64 - 31]]
    {
        let mut file = tiny();
        file.tensor_mut("output_norm.weight").dims = dims;
        refused(&file.bytes(), Fault::BadShape);
    }
    // a row that is not whole blocks
    let mut file = tiny();
    file.tensor_mut("output_norm.weight").ty = 12;
    assert!(refused(&file.bytes(), Fault::BadShape).message.contains("256"));
    for ty in [4, 31, 43, u32::MAX] {
        let mut file = tiny();
        file.tensor_mut("output_norm.weight").ty = ty;
        refused(&file.bytes(), Fault::UnknownTensorType);
    }
}

#[test]
fn i08_places_outside_and_on_top_of_each_other() {
    let place = |offset: u64| {
        let mut file = tiny();
        file.tensors[1].offset = Some(offset);
        file.bytes()
    };
    refused(&place(0), Fault::Overlap);
    refused(&place(17), Fault::BadOffset);
    refused(&place(u64::MAX - 31), Fault::BadOffset);
    refused(&place(1 << 40), Fault::BadOffset);
    let mut file = tiny();
    let last = file.tensors.len() - 1;
    file.tensors[last].data.truncate(64);
    let error = refused(&file.bytes(), Fault::Incomplete);
    assert!(error.message.contains(" of ") && error.message.contains("bytes"), "{error}");
}

#[test]
fn i09_cut_short_at_every_edge() {
    let (layout, bytes) = tiny().layout_and_bytes();
    let edges = [0, 4, 8, 16, 24].into_iter().chain(layout.kv).chain(layout.infos).chain([layout.data]).chain(layout.tensors);
    for edge in edges.flat_map(|edge| [edge.saturating_sub(1), edge, edge + 1]) {
        let error = read(&bytes[..edge]).expect_err("was accepted");
        assert!(matches!(error.fault, Fault::Truncated | Fault::Incomplete | Fault::NotGguf), "at {edge}: {error}");
        if edge > layout.data {
            assert_eq!(error.message, format!("The file is incomplete: {edge} of {} bytes", bytes.len()));
        }
    }
    // what follows the last tensor is padding: a file that ends with the tensor is whole
    assert!(read(&bytes).is_ok());
}

#[test]
fn i10_dimensions_and_names() {
    for dims in [vec![], vec![0], vec![64, 0], vec![1, 1, 1, 1, 64]] {
        let mut file = tiny();
        file.tensor_mut("output_norm.weight").dims = dims;
        refused(&file.bytes(), Fault::BadShape);
    }
    let named = |name: &[u8]| {
        let mut file = tiny();
        file.tensor_mut("output_norm.weight").name = name.to_vec();
        file.bytes()
    };
    refused(&named(&[b'n'; 64]), Fault::BadTensorName);
    refused(&named(b""), Fault::BadTensorName);
    refused(&named(b"a\0b"), Fault::BadTensorName);
    refused(&named(b"\xff"), Fault::BadTensorName);
    assert!(read(&named(&[b'n'; 63])).is_ok());
    refused(&named(b"token_embd.weight"), Fault::DuplicateTensor);
}

#[test]
fn i11_architecture_values_that_llama_cpp_asserts() {
    for (key, value) in [
        ("llama.block_count", Kv::U32(0)),
        ("llama.block_count", Kv::U32(513)),
        ("llama.block_count", Kv::U32(1_000_000)),
        ("llama.block_count", Kv::Str("two".into())),
        ("llama.attention.head_count", Kv::U32(0)),
        ("llama.attention.head_count", Kv::U32(65)),
        ("llama.attention.head_count", Kv::ArrU32(vec![2, 2, 2])),
        ("llama.attention.head_count_kv", Kv::U32(3)),
        ("llama.attention.head_count_kv", Kv::ArrI32(vec![1, -1])),
        ("llama.embedding_length", Kv::U32(0)),
        ("llama.context_length", Kv::U32(0)),
        ("llama.attention.key_length", Kv::U32(0)),
        ("llama.expert_count", Kv::U32(4)),
        ("llama.expert_count", Kv::U32(5000)),
        ("llama.expert_used_count", Kv::U32(2)),
        ("llama.rope.scaling.type", Kv::Str("twisted".into())),
        ("general.architecture", Kv::Str("../etc".into())),
    ] {
        let error = refused(&with(key, value), Fault::BadArchitecture);
        let word = key.rsplit('.').next().unwrap();
        assert!(
            error.message.contains(word) || error.message.contains("expert") || error.message.contains("architecture"),
            "{key}: {error}"
        );
    }
    let per_layer = read(&with("llama.attention.head_count_kv", Kv::ArrU32(vec![1, 2]))).unwrap();
    assert_eq!(per_layer.info().n_head_kv, 2);
}

#[test]
fn i12_missing_keys_tensors_and_kinds() {
    for key in ["general.architecture", "llama.block_count", "llama.context_length", "llama.embedding_length"] {
        let mut file = tiny();
        file.unset(key);
        refused(&file.bytes(), Fault::MissingKey);
    }
    let mut empty = tiny();
    empty.tensors.clear();
    refused(&empty.bytes(), Fault::NotAModel);
    for kind in ["adapter", "mmproj", "imatrix"] {
        refused(&with("general.type", Kv::Str(kind.into())), Fault::NotAModel);
    }
    refused(&with("general.architecture", Kv::Str("clip".into())), Fault::NotAModel);
}

#[test]
fn i13_vocabularies() {
    let tokens = |change: &dyn Fn(&mut Vec<String>, &mut Vec<i32>)| {
        let vocab = crate::support::gguf::Vocab::get();
        let (mut tokens, mut types) = (vocab.tokens.clone(), vocab.types.clone());
        change(&mut tokens, &mut types);
        let mut file = tiny();
        file.set("tokenizer.ggml.tokens", Kv::ArrStr(tokens)).set("tokenizer.ggml.token_type", Kv::ArrI32(types));
        file.bytes()
    };
    refused(&tokens(&|tokens, _| tokens[5] = tokens[6].clone()), Fault::BadVocabulary);
    refused(&tokens(&|_, types| types.truncate(10)), Fault::BadVocabulary);
    refused(&with("tokenizer.ggml.tokens", Kv::ArrU32(vec![1, 2])), Fault::BadVocabulary);
    for bad in ["<0x-1>", "<0x1>", "a byte"] {
        let bytes = tokens(&|tokens, types| {
            tokens[300] = bad.into();
            types[300] = 6;
        });
        assert!(refused(&bytes, Fault::BadVocabulary).message.contains("300"));
    }
    let good = tokens(&|tokens, types| {
        tokens[300] = "<0xfF>".into();
        types[300] = 6;
    });
    assert!(read(&good).is_ok());
    // two empty tokens do not collide: llama.cpp names them after their index
    assert!(read(&tokens(&|tokens, _| (tokens[5], tokens[6]) = (String::new(), String::new()))).is_ok());
    // llama.cpp puts up with these; the user is told
    let odd = read(&with("tokenizer.ggml.eos_token_id", Kv::U32(1 << 30))).unwrap();
    assert!(odd.warnings()[0].contains("eos"));
    let odd = read(&with("tokenizer.ggml.merges", Kv::ArrStr(vec!["a b".into(), "ab".into()]))).unwrap();
    assert!(odd.warnings()[0].contains("Merge 1"));
    assert!(read(&tiny().bytes()).unwrap().warnings().is_empty());
}

#[test]
#[cfg(unix)]
fn i24_things_that_are_not_files() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.gguf");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let begun = Instant::now();
    for path in [pipe.as_path(), dir.path(), Path::new("/dev/zero")] {
        assert_eq!(read_header(path).unwrap_err().fault, Fault::NotAFile);
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    let missing = dir.path().join("none.gguf");
    let error = EngineError::from(read_header(&missing).unwrap_err());
    assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::FileMissing, Some(missing.as_path())));
    assert!(error.to_string().ends_with("none.gguf"), "the path comes last: {error}");
}

#[test]
fn split_models_are_read_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let whole = tiny();
    let at = whole.tensors.len() / 2;
    let part = |n: u32| dir.path().join(format!("Tiny-F16-{n:05}-of-00002.gguf"));
    let split = |no: u16, tensors: &[_]| {
        let mut file = Gguf::default();
        if no == 0 {
            file.kv.clone_from(&whole.kv);
        }
        file.set("split.no", Kv::Raw(2, no.to_le_bytes().to_vec())).set("split.count", Kv::Raw(2, 2u16.to_le_bytes().to_vec()));
        file.tensors = tensors.to_vec();
        file
    };
    split(0, &whole.tensors[..at]).write(part(1));
    assert_eq!(read_model(&part(1)).unwrap_err().message, "Part 2 of 2 is missing");
    split(1, &whole.tensors[at..]).write(part(2));
    let header = read_model(&part(1)).unwrap();
    let expected = read(&whole.bytes()).unwrap();
    assert_eq!((header.n_params(), header.tensor_bytes(), header.shards.len()), (expected.n_params(), expected.tensor_bytes(), 1));
    assert_eq!(header.file_size, fs::metadata(part(1)).unwrap().len() + fs::metadata(part(2)).unwrap().len());
    assert_eq!(read_model(&part(2)).unwrap_err().fault, Fault::BadSplit);
}

#[test]
fn sampling_that_is_not_applied_is_said() {
    let warned = |key: &str, value: Kv| read(&with(key, value)).unwrap().warnings();
    assert!(warned("general.sampling.top_k", Kv::I32(20)).is_empty());
    for (key, value) in [
        ("general.sampling.mirostat_tau", Kv::F32(5.0)),
        ("general.sampling.temp", Kv::F32(f32::NAN)),
        ("general.sampling.top_p", Kv::F32(1.5)),
        ("general.sampling.penalty_last_n", Kv::I32(-7)),
    ] {
        let found = warned(key, value);
        assert!(
            matches!(&*found, [one] if one.starts_with("general.sampling") && one.contains(" not ") != one.contains("because")),
            "{found:?}"
        );
    }
}

#[test]
fn metadata_is_shown_short() {
    let header = read(&with("general.sampling.temp", Kv::F32(0.5))).unwrap();
    assert_eq!(header.info().sampling.temperature, Some(0.5));
    let json = serde_json::to_value(&header.metadata).unwrap();
    assert_eq!(json["llama.block_count"], 2);
    assert_eq!(json["tokenizer.ggml.tokens"]["type"], "string");
    assert_eq!(json["tokenizer.ggml.tokens"]["length"], u64::from(header.n_vocab()));
    assert_eq!(json["tokenizer.ggml.tokens"]["first"].as_array().unwrap().len(), 16);
}
