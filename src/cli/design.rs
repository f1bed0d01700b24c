//! The options that describe a design, and the design files that can be given instead.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, ValueEnum};

use super::error::CliError;
use super::output::Output;
use crate::protocol::{CacheType, Design, FlashAttention};

/// A design file is a page of text; a large one is something else.
const MAX_FILE: u64 = 1 << 20;

/// `on`, `off` or `auto`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FlashArg {
    /// Always
    On,
    /// Never
    Off,
    /// llama.cpp decides
    Auto,
}

fn cache_type(text: &str) -> Result<CacheType, String> {
    CacheType::by_name(text).ok_or_else(|| {
        let names: Vec<&str> = CacheType::ALL.iter().map(|t| t.name()).collect();
        format!("no such type; there are {}", names.join(", "))
    })
}

fn finite(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err("must be a finite number".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn gpu_layers(text: &str) -> Result<i32, String> {
    match text {
        "all" | "auto" => Ok(-1),
        _ => text.parse::<i32>().map_err(|error| error.to_string()),
    }
}

fn seed(text: &str) -> Result<u32, String> {
    if text == "-1" { Ok(u32::MAX) } else { text.parse::<u32>().map_err(|error| error.to_string()) }
}

/// Options that describe a design. What is not given comes from `--design`, else from the defaults.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Design")]
pub struct DesignArgs {
    /// Saved design (TOML or JSON); the options below change it
    #[arg(long, value_name = "FILE")]
    pub design: Option<PathBuf>,
    /// Tokens of context; 0 = the smaller of the model's own and 4096
    #[arg(short = 'c', long, value_name = "N")]
    ctx_size: Option<u32>,
    /// Most tokens submitted at once (logical batch)
    #[arg(short = 'b', long, value_name = "N")]
    batch_size: Option<u32>,
    /// Most tokens computed at once (physical batch; also -ub)
    #[arg(long, value_name = "N")]
    ubatch_size: Option<u32>,
    /// Threads for decode; 0 = physical cores
    #[arg(short = 't', long, value_name = "N")]
    threads: Option<u32>,
    /// Threads for prefill; 0 = as for decode (also -tb)
    #[arg(long, value_name = "N")]
    threads_batch: Option<u32>,
    /// Type of the key cache: f16, q8_0, ... (also -ctk)
    #[arg(long, value_name = "TYPE", value_parser = cache_type)]
    cache_type_k: Option<CacheType>,
    /// Type of the value cache (also -ctv)
    #[arg(long, value_name = "TYPE", value_parser = cache_type)]
    cache_type_v: Option<CacheType>,
    /// Fused attention (also -fa)
    #[arg(long, value_name = "on|off|auto", value_enum, hide_possible_values = true)]
    flash_attn: Option<FlashArg>,
    /// Layers on a GPU; -1 or all = as many as fit (also -ngl)
    #[arg(long, visible_alias = "n-gpu-layers", value_name = "N", value_parser = gpu_layers, allow_negative_numbers = true)]
    gpu_layers: Option<i32>,
    /// Map the file (the default)
    #[arg(long, conflicts_with = "no_mmap")]
    mmap: bool,
    /// Read the file into memory instead of mapping it
    #[arg(long)]
    no_mmap: bool,
    /// Keep the weights from being paged out
    #[arg(long, action = ArgAction::SetTrue)]
    mlock: bool,
    /// Copy weights into the layouts that the processor's kernels read fastest, AMX tiles among them (the default)
    #[arg(long, conflicts_with = "no_repack")]
    repack: bool,
    /// Compute with the weights as they lie in the file
    #[arg(long)]
    no_repack: bool,
    /// Temperature; 0 is greedy
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Sampler")]
    temp: Option<f32>,
    /// Keep the K most likely tokens; 0 keeps all
    #[arg(long, value_name = "K", help_heading = "Sampler", allow_negative_numbers = true)]
    top_k: Option<i32>,
    /// Keep the most likely tokens up to this probability; 1 keeps all
    #[arg(long, value_name = "P", value_parser = finite, help_heading = "Sampler")]
    top_p: Option<f32>,
    /// Drop tokens under this part of the likeliest one's probability
    #[arg(long, value_name = "P", value_parser = finite, help_heading = "Sampler")]
    min_p: Option<f32>,
    /// Penalty for repeated tokens; 1 is off
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Sampler")]
    repeat_penalty: Option<f32>,
    /// Penalty for tokens that occurred; 0 is off
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Sampler", allow_negative_numbers = true)]
    presence_penalty: Option<f32>,
    /// Penalty for how often a token occurred; 0 is off
    #[arg(long, value_name = "X", value_parser = finite, help_heading = "Sampler", allow_negative_numbers = true)]
    frequency_penalty: Option<f32>,
    /// How many tokens the penalties look back; -1 is the whole context
    #[arg(long, value_name = "N", help_heading = "Sampler", allow_negative_numbers = true)]
    repeat_last_n: Option<i32>,
    /// Seed of the draw; -1 draws a fresh one
    #[arg(long, value_name = "N", value_parser = seed, help_heading = "Sampler", allow_negative_numbers = true)]
    seed: Option<u32>,
}

impl DesignArgs {
    /// The design that the options and the design file make. Its model is the file's, if it names one.
    ///
    /// # Errors
    /// When the design file cannot be read or is not a design.
    pub fn design(&self, out: Output) -> Result<Design, CliError> {
        let mut design = match &self.design {
            Some(path) => read(path, out)?,
            None => Design::default(),
        };
        fn set<T: Clone>(field: &mut T, value: Option<&T>) {
            if let Some(value) = value {
                field.clone_from(value);
            }
        }
        fn set_some<T: Clone>(field: &mut Option<T>, value: Option<&T>) {
            if value.is_some() {
                *field = value.cloned();
            }
        }
        set(&mut design.n_ctx, self.ctx_size.as_ref());
        set(&mut design.n_batch, self.batch_size.as_ref());
        set(&mut design.n_ubatch, self.ubatch_size.as_ref());
        set(&mut design.threads, self.threads.as_ref());
        set(&mut design.threads_batch, self.threads_batch.as_ref());
        set(&mut design.type_k, self.cache_type_k.as_ref());
        set(&mut design.type_v, self.cache_type_v.as_ref());
        set(&mut design.gpu_layers, self.gpu_layers.as_ref());
        if let Some(flash) = self.flash_attn {
            design.flash_attention = match flash {
                FlashArg::On => FlashAttention::On,
                FlashArg::Off => FlashAttention::Off,
                FlashArg::Auto => FlashAttention::Auto,
            };
        }
        design.mmap = (design.mmap || self.mmap) && !self.no_mmap;
        design.mlock |= self.mlock;
        design.repack = (design.repack || self.repack) && !self.no_repack;
        let sampler = &mut design.sampler;
        set_some(&mut sampler.temperature, self.temp.as_ref());
        set_some(&mut sampler.top_k, self.top_k.as_ref());
        set_some(&mut sampler.top_p, self.top_p.as_ref());
        set_some(&mut sampler.min_p, self.min_p.as_ref());
        set_some(&mut sampler.repeat_penalty, self.repeat_penalty.as_ref());
        set_some(&mut sampler.presence_penalty, self.presence_penalty.as_ref());
        set_some(&mut sampler.frequency_penalty, self.frequency_penalty.as_ref());
        set_some(&mut sampler.penalty_last_n, self.repeat_last_n.as_ref());
        set_some(&mut sampler.seed, self.seed.as_ref());
        // a design file can say nan, which no option can
        sampler.check().map_err(|error| CliError { path: self.design.clone(), ..CliError::usage(error.message).hint(error.hint) })?;
        Ok(design)
    }
}

/// Reads a saved design: JSON when it begins with a brace, else TOML. Fields of a newer version are named and left alone.
fn read(path: &Path, out: Output) -> Result<Design, CliError> {
    let failed = |kind: &str, what: String| CliError { kind: kind.into(), ..CliError::usage(what) }.path(path);
    let size = std::fs::metadata(path).map_err(|e| failed("file_missing", format!("The design cannot be read: {e}")))?.len();
    if size > MAX_FILE {
        return Err(failed("invalid_design", "This is not a design: it is larger than a megabyte".into()));
    }
    let text = std::fs::read_to_string(path).map_err(|e| failed("file_missing", format!("The design cannot be read: {e}")))?;
    let mut design = Design::from_text(&text).map_err(|why| failed("invalid_design", format!("This is not a design: {why}")))?;
    if !design.extra.is_empty() {
        let names: Vec<&str> = design.extra.keys().map(String::as_str).collect();
        out.note(&format!("note: this version does not know these fields of the design and leaves them alone: {}", names.join(", ")));
    }
    // a design travels with its model: a relative path is meant from where the design lies
    if design.model.is_relative()
        && !design.model.as_os_str().is_empty()
        && let Some(folder) = path.parent()
    {
        design.model = folder.join(&design.model);
    }
    Ok(design)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        design: DesignArgs,
    }

    fn design(line: &[&str]) -> Result<Design, CliError> {
        let args = ["x"].iter().chain(line).map(Into::into);
        Only::try_parse_from(super::super::short::expand(args)).unwrap().design.design(Output::new(true))
    }

    #[test]
    fn nothing_given_is_the_default() {
        assert_eq!(design(&[]), Ok(Design::default()));
    }

    #[test]
    fn llama_cpp_names() {
        let d = design(&[
            "-c",
            "8192",
            "-b",
            "512",
            "-ub",
            "128",
            "-t",
            "2",
            "-tb",
            "4",
            "-ctk",
            "q8_0",
            "-ctv=Q4_0",
            "-fa",
            "on",
            "-ngl",
            "all",
            "--no-mmap",
            "--mlock",
            "--no-repack",
            "--temp",
            "0",
            "--top-k",
            "1",
            "--top-p",
            "0.9",
            "--min-p",
            "0.1",
            "--repeat-penalty",
            "1.1",
            "--seed",
            "-1",
        ])
        .unwrap();
        assert_eq!((d.n_ctx, d.n_batch, d.n_ubatch, d.threads, d.threads_batch), (8192, 512, 128, 2, 4));
        assert_eq!((d.type_k, d.type_v, d.flash_attention, d.gpu_layers), (CacheType::Q8_0, CacheType::Q4_0, FlashAttention::On, -1));
        assert_eq!((d.mmap, d.mlock, d.repack), (false, true, false));
        assert_eq!((d.sampler.temperature, d.sampler.top_k, d.sampler.seed), (Some(0.0), Some(1), Some(u32::MAX)));
    }

    #[test]
    fn options_change_a_saved_design() {
        let dir = tempfile::tempdir().unwrap();
        let toml = dir.path().join("d.toml");
        std::fs::write(&toml, "model = \"a.gguf\"\nn_ctx = 1024\nmmap = false\nfrom_the_future = 1\n[sampler]\ntop_k = 7\n").unwrap();
        let path = toml.to_str().unwrap();
        let d = design(&["--design", path, "-t", "3", "--mmap"]).unwrap();
        assert_eq!((d.n_ctx, d.threads, d.mmap, d.sampler.top_k), (1024, 3, true, Some(7)));
        assert_eq!(d.model, dir.path().join("a.gguf"));
        assert!(d.extra.contains_key("from_the_future"));
        std::fs::write(&toml, serde_json::to_string(&d).unwrap()).unwrap();
        assert_eq!(design(&["--design", path]).unwrap(), d, "JSON reads back");
    }

    #[test]
    fn what_is_not_a_design_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.toml");
        let missing = design(&["--design", path.to_str().unwrap()]).unwrap_err();
        assert_eq!((missing.kind.as_str(), missing.status), ("file_missing", 2));
        std::fs::write(&path, "n_ctx = \"many\"").unwrap();
        let wrong = design(&["--design", path.to_str().unwrap()]).unwrap_err();
        assert_eq!(wrong.kind, "invalid_design");
        assert_eq!(wrong.path, Some(path.clone()));
        std::fs::write(&path, "[sampler]\ntemperature = nan\n").unwrap();
        let wrong = design(&["--design", path.to_str().unwrap()]).unwrap_err();
        assert!(wrong.status == 2 && wrong.message.contains("temperature"), "{wrong:?}");
        assert!(design(&["--design", path.to_str().unwrap(), "--temp", "1"]).is_ok(), "an option takes its place");
    }
}
