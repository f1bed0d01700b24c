//! `inspect`: what a file's header says, checked in safe code. llama.cpp is not involved.

use serde_json::{Value, json};

use super::args::InspectArgs;
use super::error::CliError;
use super::names;
use super::output::{Output, table};
use crate::library::{self, Fault, Header};
use crate::measure::format;

/// Values longer than this are cut in the table; JSON has them whole.
const SHOWN: usize = 80;

/// Runs the command; the exit status.
///
/// # Errors
/// What is wrong with the file: status 1 when it was read and is not valid.
pub fn run(args: &InspectArgs, out: Output) -> Result<u8, CliError> {
    let path = names::resolve(&args.file)?;
    let (header, unusable) = match library::read_model(&path) {
        Ok(header) => (header, None),
        // A projector or an importance matrix is a valid file, only not a model.
        Err(error) if error.fault == Fault::NotAModel => (library::read_header(&path)?, Some(error.message)),
        Err(error) => return Err(error.into()),
    };
    let value = document(&header, unusable.as_deref(), args.list_tensors)?;
    out.result(&value, || words(&header, unusable.as_deref(), &value, args.list_tensors))?;
    Ok(0)
}

fn document(header: &Header, unusable: Option<&str>, list_tensors: bool) -> Result<Value, CliError> {
    let info = header.info();
    let metadata = serde_json::to_value(&header.metadata).map_err(|e| CliError::output(&e.into()))?;
    let mut value = json!({
        "valid": true,
        "path": header.path,
        "kind": header.kind().words(),
        "unusable": unusable,
        "arch": info.arch,
        "name": info.name,
        "quant": info.quant,
        "n_params": info.n_params,
        "bpw": info.bpw,
        "n_layer": info.n_layer,
        "n_ctx_train": info.n_ctx_train,
        "n_embd": info.n_embd,
        "n_head": info.n_head,
        "n_head_kv": info.n_head_kv,
        "n_vocab": info.n_vocab,
        "size": info.size,
        "version": header.version,
        "alignment": header.alignment,
        "data_offset": header.data_offset,
        "tensors": header.tensors.len(),
        "shards": header.shards.iter().map(|(path, size)| json!({"path": path, "size": size})).collect::<Vec<_>>(),
        "types": header.shares().into_iter().map(|(ty, share)| json!({"type": ty.name, "share": share})).collect::<Vec<_>>(),
        "sampling": info.sampling,
        "warnings": header.warnings(),
        "fallback_note": header.fallback_note(),
        "metadata": metadata,
        "chat_template": header.chat_template(),
    });
    if list_tensors && let Some(fields) = value.as_object_mut() {
        let list = header.tensors.iter().map(|t| json!({"name": t.name, "type": t.ty.name, "elements": t.elements, "bytes": t.bytes}));
        fields.insert("tensor_list".into(), list.collect());
    }
    Ok(value)
}

fn words(header: &Header, unusable: Option<&str>, value: &Value, list_tensors: bool) -> String {
    let info = header.info();
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    row("name", info.name.clone());
    row("what", format!("{}, {}, {}", header.kind().words(), info.arch, info.quant));
    row("weights", format!("{}, {} bits each", format::params(info.n_params), format::bits_per_weight(info.bpw)));
    row("size", format!("{} in {} tensors", format::bytes(info.size), header.tensors.len()));
    row("layers", format!("{} of width {}", info.n_layer, format::count(info.n_embd.into())));
    row("heads", format!("{}, {} for keys and values", info.n_head, info.n_head_kv));
    row("vocabulary", format!("{} tokens", format::count(info.n_vocab.into())));
    row("trained for", format!("{} tokens of context", format::count(info.n_ctx_train.into())));
    row("chat template", if info.has_chat_template { "yes".into() } else { "none".into() });
    let types: Vec<String> = header.shares().iter().map(|(ty, share)| format!("{} {}", format::percent(*share), ty.name)).collect();
    row("types", types.join(", "));
    let mut text = table(&["valid", &header.path.display().to_string()], &[], &rows);
    for warning in unusable.map(str::to_owned).into_iter().chain(header.fallback_note()).chain(header.warnings()) {
        text.push_str(&format!("note: {warning}\n"));
    }
    text.push('\n');
    let rows: Vec<Vec<String>> =
        value["metadata"].as_object().into_iter().flatten().map(|(key, value)| vec![key.clone(), shortened(value)]).collect();
    text.push_str(&table(&["key", "value"], &[], &rows));
    if list_tensors {
        text.push('\n');
        let rows: Vec<Vec<String>> = header
            .tensors
            .iter()
            .map(|t| vec![t.name.clone(), t.ty.name.to_owned(), format::count(t.elements), format::bytes(t.bytes)])
            .collect();
        text.push_str(&table(&["tensor", "type", "weights", "size"], &[2, 3], &rows));
    }
    text
}

/// One line of a value; control characters of a hostile file are escaped by JSON.
fn shortened(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), |s| Value::from(s).to_string());
    if text.chars().count() <= SHOWN {
        return text;
    }
    text.chars().take(SHOWN).chain(['\u{2026}']).collect()
}

/// The document of a file that is not valid: `valid` beside the error.
pub fn invalid(error: &CliError) -> Value {
    let mut value = error.json();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("valid".into(), false.into());
        fields.insert("path".into(), json!(error.path.as_deref()));
    }
    value
}
