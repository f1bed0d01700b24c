//! Making a rung: llama.cpp's quantizer behind checks, a temporary name and an inspection of what it wrote.
#![expect(unsafe_code, reason = "calls llama.cpp's quantizer")]

use std::ffi::CString;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use llama_cpp_sys_2 as sys;

use super::load::{c_path, explain};
use super::logs::{self, Capture, Sink};
use crate::engine::backend::{Job, Made};
use crate::library::gguf::{TensorInfo, Value};
use crate::library::partial::{free_bytes, is_same_file, partial_path};
use crate::library::recipe::forecast;
use crate::library::{Header, read_header, read_model};
use crate::protocol::{EngineError, ErrorKind, FileType, LogLevel, QuantizeRequest, Stage};

/// Memory the quantizer may hold rows in, bytes; llama.cpp's own default is 8 GiB.
const ROW_BUFFER: usize = 1 << 30;
/// How often what was written so far is sent to the disk.
const FLUSH_EVERY: Duration = Duration::from_millis(150);
/// Kept free on the disk beyond the file itself.
const DISK_MARGIN: u64 = 64 << 20;

/// Makes `request.target` from `request.source`.
///
/// # Errors
/// See [`crate::engine::backend::Backend::quantize`]. Whatever happens, nothing is left under the target's name but a whole file.
pub(super) fn quantize(request: &QuantizeRequest, sink: &Sink, job: &Job) -> Result<Made, EngineError> {
    job.check()?;
    let kind = FileType::by_name(&request.file_type).ok_or_else(|| {
        refuse(format!("{} is not a file type llama.cpp can write", request.file_type), "Choose one of the offered levels")
    })?;
    // In safe Rust and within budgets, before llama.cpp sees a byte of it.
    let header = read_model(&request.source)?;
    check_target(request)?;
    if kind.needs_imatrix && request.imatrix.is_none() {
        return Err(refuse(format!("{} needs an importance matrix to be of any use", kind.name), "Give one, or choose a larger level"));
    }
    let imatrix = request.imatrix.as_deref().map(Imatrix::read).transpose()?;
    check_pruning(request, &header)?;
    let temporary = Temporary { path: partial_path(&request.target), keep: false };
    let call = Call { request, kind, imatrix: imatrix.as_ref(), target: &temporary.path };

    let planned = match forecast(&header, kind) {
        Some(forecast) => forecast.bytes,
        None => call.plan(sink)?,
    };
    check_disk(&request.target, planned)?;
    job.check()?;
    let fallbacks = call.run(sink, job)?;
    job.check()?;
    let (size, bpw) = inspect(&temporary.path, &request.target)?;
    temporary.publish(&request.target)?;
    Ok(Made { path: request.target.clone(), size, bpw, fallbacks })
}

/// A file under a temporary name; removed unless it is published.
struct Temporary {
    path: PathBuf,
    keep: bool,
}

impl Temporary {
    fn publish(mut self, target: &Path) -> Result<(), EngineError> {
        let failed = |what: &str, error: std::io::Error| disk(format!("The new file could not be {what}: {error}"), target);
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(|error| failed("written to the disk", error))?;
        if target.symlink_metadata().is_ok() {
            return Err(exists(target));
        }
        std::fs::rename(&self.path, target).map_err(|error| failed("given its name", error))?;
        self.keep = true;
        if let Some(folder) = target.parent() {
            // The rename is durable once its folder is; where folders cannot be opened (Windows) the system sees to it.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn refuse(message: impl Into<String>, hint: &str) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, message).hint(hint)
}

fn disk(message: impl Into<String>, path: &Path) -> EngineError {
    EngineError::new(ErrorKind::Disk, message).hint("Free some space or choose another folder").path(path)
}

fn exists(target: &Path) -> EngineError {
    refuse("There is already a file of that name", "Use it, remove it, or choose another name").path(target)
}

fn check_target(request: &QuantizeRequest) -> Result<(), EngineError> {
    let (source, target) = (&request.source, &request.target);
    let same = source == target || source.canonicalize().ok().is_some_and(|source| target.canonicalize().ok() == Some(source));
    if same || is_same_file(source, target) {
        return Err(refuse("The new file would overwrite the one it is made from", "Choose another name").path(target));
    }
    if target.symlink_metadata().is_ok() {
        return Err(exists(target));
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(disk("The folder for the new file is not there", folder));
    }
    Ok(())
}

/// llama.cpp rewrites the block count but not the metadata that has an entry per block: such a model would not load again.
fn check_pruning(request: &QuantizeRequest, header: &Header) -> Result<(), EngineError> {
    let layers = &request.prune_layers;
    if layers.is_empty() {
        return Ok(());
    }
    if !layers.is_sorted_by(|a, b| a < b) {
        return Err(refuse("The layers to leave out must be sorted, each named once", "Sort the list"));
    }
    let blocks = header.n_layer();
    if layers.last().is_some_and(|last| *last >= blocks) || layers.len() >= blocks as usize {
        return Err(refuse(format!("This model has {blocks} layers, numbered from 0"), "Leave out fewer layers, and only ones it has"));
    }
    let prefix = format!("{}.", header.arch());
    let is_per_layer = |value: &Value| matches!(value, Value::Array(array) if array.len == u64::from(blocks));
    let per_layer = header.metadata.iter().find(|(key, value)| key.starts_with(&prefix) && is_per_layer(value));
    match per_layer {
        Some((key, _)) => Err(EngineError::new(
            ErrorKind::Unsupported,
            format!(
                "Layers of this model cannot be left out: its metadata lists a value per layer ({key}), which llama.cpp does not shorten"
            ),
        )
        .hint("Choose a model whose layers are all alike")
        .path(&request.source)),
        None => Ok(()),
    }
}

/// An importance matrix as the quantizer wants it: the mean of the squared activations per column.
#[derive(Debug)]
struct Imatrix {
    names: Vec<CString>,
    data: Vec<Vec<f32>>,
}

impl Imatrix {
    /// Reads the GGUF form: `<weight>.in_sum2` over `<weight>.counts`, experts one after another; a part that was never reached counts 1.
    fn read(path: &Path) -> Result<Self, EngineError> {
        let bad = |why: String| {
            EngineError::new(ErrorKind::InvalidFile, format!("The importance matrix cannot be used: {why}"))
                .hint("Choose another matrix, made for this model")
                .path(path)
        };
        let header = read_header(path)?;
        let tensors = &header.tensors;
        let mut file = File::open(path).map_err(|error| bad(error.to_string()))?;
        let mut out = Self { names: Vec::new(), data: Vec::new() };
        for sums in tensors {
            let Some(weight) = sums.name.strip_suffix(".in_sum2") else { continue };
            let counts_name = format!("{weight}.counts");
            let counts = tensors.iter().find(|t| t.name == counts_name).ok_or_else(|| bad(format!("{counts_name} is missing")))?;
            let counts = floats(&mut file, &header, counts).map_err(|error| bad(format!("{counts_name}: {error}")))?;
            let values = floats(&mut file, &header, sums).map_err(|error| bad(format!("{}: {error}", sums.name)))?;
            out.names.push(CString::new(weight).map_err(|_ignored| bad("a name holds a NUL character".into()))?);
            out.data.push(means(&values, &counts).ok_or_else(|| bad(format!("{} and {counts_name} do not fit together", sums.name)))?);
        }
        if out.names.is_empty() { Err(bad("it holds no matrix".into())) } else { Ok(out) }
    }

    /// The list the quantizer reads, ended by an empty entry.
    fn entries(&self) -> Vec<sys::llama_model_imatrix_data> {
        let end = sys::llama_model_imatrix_data { name: std::ptr::null(), data: std::ptr::null(), size: 0 };
        let entry = |(name, data): (&CString, &Vec<f32>)| sys::llama_model_imatrix_data {
            name: name.as_ptr(),
            data: data.as_ptr(),
            size: data.len(),
        };
        self.names.iter().zip(&self.data).map(entry).chain([end]).collect()
    }
}

/// The values of a tensor of 32-bit floats; its place in the file was checked with the header.
fn floats(file: &mut File, header: &Header, tensor: &TensorInfo) -> std::io::Result<Vec<f32>> {
    if tensor.ty.id != sys::GGML_TYPE_F32 {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "not 32-bit floats"));
    }
    file.seek(SeekFrom::Start(header.data_offset + tensor.offset))?;
    let mut bytes = vec![0; usize::try_from(tensor.bytes).unwrap_or(0)];
    file.read_exact(&mut bytes)?;
    Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap_or_default())).collect())
}

/// Sums over counts, one count per matrix (expert) of equal width; `None` when they do not divide.
fn means(sums: &[f32], counts: &[f32]) -> Option<Vec<f32>> {
    if counts.is_empty() || sums.is_empty() || !sums.len().is_multiple_of(counts.len()) {
        return None;
    }
    let width = sums.len() / counts.len();
    let mean = |(row, count): (&[f32], &f32)| row.iter().map(|sum| if *count > 0.0 { sum / count } else { 1.0 }).collect::<Vec<_>>();
    Some(sums.chunks(width).zip(counts).flat_map(mean).collect())
}

/// One call of the quantizer.
struct Call<'a> {
    request: &'a QuantizeRequest,
    kind: &'static FileType,
    imatrix: Option<&'a Imatrix>,
    target: &'a Path,
}

impl Call<'_> {
    /// The size of the result by a dry run, for a level whose recipe the library does not know.
    fn plan(&self, sink: &Sink) -> Result<u64, EngineError> {
        // The plan's lines are the run's lines once more, so nobody is shown them.
        let quiet: Sink = Arc::new(|_, _| {});
        let capture = Capture::start(&quiet);
        if let Err(error) = self.call(true, &capture) {
            error.details.iter().for_each(|line| sink(LogLevel::Error, line.clone()));
            return Err(error);
        }
        let lines = capture.lines();
        let size = lines.iter().find_map(|(_, line)| {
            let (_, rest) = line.split_once("quant size")?;
            let mib: f64 = rest.trim_start_matches([' ', '=']).split_whitespace().next()?.parse().ok()?;
            Some((mib * 1024.0 * 1024.0) as u64)
        });
        Ok(size.unwrap_or_else(|| self.request.source.metadata().map_or(0, |meta| meta.len())))
    }

    /// The real thing; returns how many tensors got another type than asked for.
    fn run(&self, sink: &Sink, job: &Job) -> Result<u32, EngineError> {
        let mut observer = |_: LogLevel, text: &str| {
            if let Some((done, total)) = step(text) {
                // A line begins when its tensor does.
                job.progress(Stage::Quantize, done.saturating_sub(1), total);
            }
        };
        let (result, lines) =
            flushing(self.target, || logs::observed(sink, &mut observer, |capture| (self.call(false, capture), capture.lines())));
        result?;
        if let Some((_, total)) = lines.iter().rev().find_map(|(_, line)| step(line)) {
            job.progress(Stage::Quantize, total, total);
        }
        Ok(lines.iter().find_map(|(_, line)| fallbacks(line)).unwrap_or(0))
    }

    fn call(&self, dry: bool, capture: &Capture) -> Result<(), EngineError> {
        let (source, target) = (c_path(&self.request.source)?, c_path(self.target)?);
        let entries = self.imatrix.map(Imatrix::entries);
        let mut prune: Vec<i32> = self.request.prune_layers.iter().filter_map(|layer| i32::try_from(*layer).ok()).collect();
        prune.push(-1);
        let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if self.request.threads == 0 { all } else { self.request.threads.min(512) as usize };
        // SAFETY: a plain getter of defaults.
        let mut params = unsafe { sys::llama_model_quantize_default_params() };
        params.nthread = i32::try_from(threads).unwrap_or(1);
        params.ftype = self.kind.id;
        // Which sources are worth it is the caller's decision: the ladder says plainly when a source is itself lossy.
        params.allow_requantize = true;
        params.dry_run = dry;
        params.imatrix = entries.as_ref().map_or(std::ptr::null(), Vec::as_ptr).cast();
        params.prune_layers = if prune.len() > 1 { prune.as_ptr() } else { std::ptr::null() };
        params.max_buf_size = ROW_BUFFER;
        // SAFETY: the paths are NUL-terminated; the lists end as llama.cpp expects (an entry without name, -1) and outlive the call; C++
        // exceptions are caught inside it.
        let code = unsafe { sys::llama_model_quantize(source.as_ptr(), target.as_ptr(), &raw const params) };
        if code == 0 { Ok(()) } else { Err(self.failure(&capture.tail(LogLevel::Warn, 12))) }
    }

    fn failure(&self, lines: &[String]) -> EngineError {
        let text = lines.join("\n");
        let reason =
            lines.iter().rev().find_map(|line| line.split_once("failed to quantize: ")).map_or("no reason given", |(_, why)| why.trim());
        if text.contains("iostream error") || text.contains("basic_ios") {
            return disk("The new file could not be written: the disk is full or not writable", self.target).details(lines.to_vec());
        }
        if text.contains("imatrix") || text.contains("importance matrix") {
            return refuse(
                format!("{} could not be made: {reason}", self.kind.name),
                "Give an importance matrix made for this model, or choose a larger level",
            )
            .details(lines.to_vec())
            .path(&self.request.source);
        }
        explain(lines, &self.request.source)
    }
}

/// Runs `work` while another thread keeps writing what there is of the file to the disk, so that little is left to wait for at the end.
fn flushing<R>(path: &Path, work: impl FnOnce() -> R) -> R {
    std::thread::scope(|scope| {
        let (done, ended) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            while ended.recv_timeout(FLUSH_EVERY) == Err(RecvTimeoutError::Timeout) {
                // Not there yet, or not syncable: the last sync, which counts, reports what is wrong.
                let _ = File::open(path).and_then(|file| file.sync_data());
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// `[  12/ 272] blk.0...` to (12, 272).
fn step(text: &str) -> Option<(u64, u64)> {
    let (numbers, _) = text.trim_start().strip_prefix('[')?.split_once(']')?;
    let (done, total) = numbers.split_once('/')?;
    Some((done.trim().parse().ok()?, total.trim().parse().ok()?))
}

/// `... WARNING: 37 of 272 tensor(s) required fallback quantization` to 37.
fn fallbacks(line: &str) -> Option<u32> {
    let (before, _) = line.split_once(" tensor(s) required fallback quantization")?;
    let (_, numbers) = before.rsplit_once(": ")?;
    numbers.split_whitespace().next()?.parse().ok()
}

fn check_disk(target: &Path, planned: u64) -> Result<(), EngineError> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match free_bytes(folder) {
        Ok(free) if free < planned + DISK_MARGIN => {
            Err(disk(format!("The new file needs {} MiB, but only {} MiB are free on that disk", planned >> 20, free >> 20), folder))
        }
        _ => Ok(()),
    }
}

/// Reads back what was written: llama.cpp does not notice when a full disk swallows the middle of a file.
fn inspect(path: &Path, target: &Path) -> Result<(u64, f64), EngineError> {
    let header = read_header(path)
        .map_err(|error| disk("The new file came out cut short or damaged, as on a full disk", target).details(vec![error.to_string()]))?;
    let n_params = header.n_params();
    let bpw = if n_params == 0 { 0.0 } else { 8.0 * header.tensor_bytes() as f64 / n_params as f64 };
    Ok((header.file_size, bpw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_and_fallbacks_are_read_off_the_log() {
        assert_eq!(step("[  12/ 272] blk.0.attn_k.weight - [ 576, 192, 1, 1], "), Some((12, 272)));
        assert_eq!(step("size = 1.0 MiB"), None);
        assert_eq!(step("[x/y]"), None);
        let line = "llama_model_quantize_impl: WARNING: 37 of 272 tensor(s) required fallback quantization";
        assert_eq!(fallbacks(line), Some(37));
        assert_eq!(fallbacks("done"), None);
    }

    #[test]
    fn a_matrix_is_the_mean_per_column() {
        assert_eq!(means(&[2.0, 4.0, 9.0, 9.0], &[2.0, 0.0]).unwrap(), [1.0, 2.0, 1.0, 1.0]);
        assert!(means(&[1.0, 2.0, 3.0], &[1.0, 1.0]).is_none());
        assert!(means(&[1.0], &[]).is_none());
    }

    #[test]
    fn a_target_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (source, target) = (dir.path().join("a.gguf"), dir.path().join("b.gguf"));
        std::fs::write(&source, "GGUF").unwrap();
        let mut request = QuantizeRequest {
            source: source.clone(),
            target: source.clone(),
            file_type: "Q8_0".into(),
            imatrix: None,
            prune_layers: Vec::new(),
            threads: 0,
        };
        assert!(check_target(&request).unwrap_err().message.contains("overwrite"));
        request.target = dir.path().join(".").join("a.gguf");
        assert!(check_target(&request).unwrap_err().message.contains("overwrite"));
        request.target = target.clone();
        assert!(check_target(&request).is_ok());
        #[cfg(unix)]
        {
            std::fs::hard_link(&source, &target).unwrap();
            assert!(check_target(&request).unwrap_err().message.contains("overwrite"));
        }
        request.target = dir.path().join("none").join("c.gguf");
        assert_eq!(check_target(&request).unwrap_err().kind, ErrorKind::Disk);
    }

    #[test]
    fn a_temporary_file_goes_away_unless_it_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("t.gguf");
        let temporary = Temporary { path: partial_path(&target), keep: false };
        std::fs::write(&temporary.path, "x").unwrap();
        let path = temporary.path.clone();
        drop(temporary);
        assert!(!path.exists());
        std::fs::write(&path, "x").unwrap();
        Temporary { path: path.clone(), keep: false }.publish(&target).unwrap();
        assert!(target.exists() && !path.exists());
        std::fs::write(&path, "y").unwrap();
        assert!(Temporary { path: path.clone(), keep: false }.publish(&target).is_err());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "x");
    }
}
