//! What a design became: every setting as it was asked for beside what llama.cpp says it runs with, and why they differ.

use super::context::Ctx;
use super::load::DEFAULT_CTX;
use super::model::Loading;
use crate::protocol::{CacheType, Design, Effective, FlashAttention, LogLevel, ModelInfo, Setting};

/// What a context really runs with, beside what was asked for, and why they differ.
pub(super) fn effective(design: &Design, ctx: &Ctx, loading: &Loading, lines: &[(LogLevel, String)]) -> Effective {
    let (threads, threads_batch) = ctx.threads();
    let info = &ctx.model().info;
    let mut settings = vec![
        n_ctx_setting(design, ctx, info),
        number("n_batch", design.n_batch, ctx.n_batch(), "no larger than the context", "llama.cpp's default"),
        number("n_ubatch", design.n_ubatch, ctx.n_ubatch(), "no larger than the batch", "llama.cpp's default"),
        number("threads", design.threads, threads, "", "physical cores that this process may use"),
        number("threads_batch", design.threads_batch, threads_batch, "", "as for decode"),
        cache_setting("type_k", design.type_k, between(lines, " K (", ")")),
        cache_setting("type_v", design.type_v, between(lines, " V (", ")")),
        flash_setting(design, lines),
        gpu_setting(design, loading),
        mmap_setting(design, loading),
    ];
    settings.push(match loading.unlocked.as_ref().filter(|_| design.mlock) {
        Some(line) => setting("mlock", "true", "false", format!("the system refused: {line}")),
        None => same("mlock", &design.mlock.to_string()),
    });
    settings.push(same("repack", &design.repack.to_string()));
    // only those that cannot be as asked: the others are on every reply
    let (_, sampler) = design.sampler.resolve(&info.sampling).bounded(ctx.n_ctx());
    settings.extend(sampler);
    if ctx.model().template.is_none() {
        settings.push(setting("chat_template", "of the file", "ChatML", "the file carries none"));
    }
    Effective { n_ctx: ctx.n_ctx(), n_batch: ctx.n_batch(), n_ubatch: ctx.n_ubatch(), threads, threads_batch, settings }
}

fn setting(name: &str, requested: impl Into<String>, effective: impl Into<String>, reason: impl Into<String>) -> Setting {
    Setting { name: name.into(), requested: requested.into(), effective: effective.into(), reason: reason.into() }
}

fn same(name: &str, value: &str) -> Setting {
    setting(name, value, value, "")
}

/// A number where 0 leaves the choice to the engine.
fn number(name: &str, asked: u32, is: u32, why: &str, why_auto: &str) -> Setting {
    match asked {
        0 => setting(name, "auto", is.to_string(), why_auto),
        _ if asked == is => same(name, &is.to_string()),
        _ => setting(name, asked.to_string(), is.to_string(), why),
    }
}

fn n_ctx_setting(design: &Design, ctx: &Ctx, info: &ModelInfo) -> Setting {
    let is = ctx.n_ctx();
    let mut reasons = Vec::new();
    if design.n_ctx == 0 {
        reasons.push(format!("the smaller of {DEFAULT_CTX} and the {} tokens the model was trained for", info.n_ctx_train));
    } else if design.n_ctx != is {
        reasons.push("rounded up to a multiple of 256".to_owned());
    }
    if info.n_ctx_train > 0 && is > info.n_ctx_train {
        reasons.push(format!("beyond the {} tokens the model was trained for, where quality falls", info.n_ctx_train));
    }
    let asked = if design.n_ctx == 0 { "auto".to_owned() } else { design.n_ctx.to_string() };
    setting("n_ctx", asked, is.to_string(), reasons.join("; "))
}

/// What stands between two marks in the first line that has both.
pub(super) fn between(lines: &[(LogLevel, String)], before: &str, after: &str) -> Option<String> {
    lines.iter().find_map(|(_, line)| Some(line.split_once(before)?.1.split_once(after)?.0.trim().to_owned()))
}

/// The type that llama.cpp says the cache has; a model without such a cache says nothing, and nothing differs.
fn cache_setting(name: &str, asked: CacheType, is: Option<String>) -> Setting {
    match is {
        Some(is) if is != asked.name() => setting(name, asked.name(), is, "llama.cpp's choice for this model"),
        _ => same(name, asked.name()),
    }
}

fn mmap_setting(design: &Design, loading: &Loading) -> Setting {
    let is = loading.mode.as_ref().map_or(design.mmap, |mode| mode.contains("mmap"));
    if is == design.mmap {
        same("mmap", &is.to_string())
    } else {
        setting("mmap", design.mmap.to_string(), is.to_string(), "not possible for this file on this system")
    }
}

/// What became of flash attention, from what llama.cpp logs about it (`resolve_fused_ops` and `llama_context` of llama-context.cpp).
fn flash_setting(design: &Design, lines: &[(LogLevel, String)]) -> Setting {
    let said = |what: &str| lines.iter().any(|(_, line)| line.contains(what));
    let forced = said("enabling flash_attn since it is required");
    // "auto" here means that it is said further down
    let printed =
        if said("flash_attn            = enabled") { Some(true) } else { said("flash_attn            = disabled").then_some(false) };
    let is = if said("Flash Attention not supported") || said("flash_attn is not compatible") {
        Some(false)
    } else if forced || said("Flash Attention enabled") {
        Some(true)
    } else {
        printed
    };
    let word = |on: bool| if on { "on" } else { "off" };
    match (design.flash_attention, is) {
        (FlashAttention::Auto, Some(true)) if forced => setting("flash_attention", "auto", "on", "a quantized value cache needs it"),
        (FlashAttention::Auto, Some(true)) => setting("flash_attention", "auto", "on", "llama.cpp's choice for this model and device"),
        (FlashAttention::Auto, Some(false)) => setting("flash_attention", "auto", "off", "this model or device does not support it"),
        (FlashAttention::Auto, None) => setting("flash_attention", "auto", "not observable", "llama.cpp does not say for this model"),
        (FlashAttention::On, Some(false)) => setting("flash_attention", "on", "off", "this model or device does not support it"),
        (FlashAttention::Off, Some(true)) => setting("flash_attention", "off", "on", "llama.cpp's choice for this model"),
        (FlashAttention::On | FlashAttention::Off, _) => same("flash_attention", word(design.flash_attention == FlashAttention::On)),
    }
}

fn gpu_setting(design: &Design, loading: &Loading) -> Setting {
    let asked = if design.gpu_layers < 0 { "all".to_owned() } else { design.gpu_layers.to_string() };
    match loading.offloaded.clone() {
        None if asked == "0" => same("gpu_layers", "0"),
        None => setting("gpu_layers", asked, "0", "no GPU is available to this build"),
        Some(n) if n == asked => same("gpu_layers", &n),
        Some(n) => setting("gpu_layers", asked, n, "as many as the model has"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_a_design_is_read_off_the_log() {
        let lines = |text: &str| text.lines().map(|line| (LogLevel::Info, line.to_owned())).collect::<Vec<_>>();
        let cache = lines("llama_kv_cache: size = 9 MiB ( 512 cells, 30 layers, 1/1 seqs), K (f16): 4 MiB, V (q8_0): 5 MiB");
        assert_eq!(cache_setting("type_k", CacheType::F16, between(&cache, " K (", ")")), same("type_k", "f16"));
        let other = cache_setting("type_v", CacheType::F16, between(&cache, " V (", ")"));
        assert!(other.is_otherwise() && other.effective == "q8_0");
        let flash = |asked, text: &str| {
            let got = flash_setting(&Design { flash_attention: asked, ..Design::default() }, &lines(text));
            (got.requested, got.effective)
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let auto = "llama_context: flash_attn            = auto\n";
        assert_eq!(flash(FlashAttention::Auto, &format!("{auto}resolve_fused_ops: Flash Attention enabled")), pair("auto", "on"));
        assert_eq!(
            flash(FlashAttention::Auto, &format!("{auto}resolve_fused_ops: Flash Attention not supported, set to disabled")),
            pair("auto", "off")
        );
        assert_eq!(flash(FlashAttention::On, "flash_attn is not compatible with Grok - forcing off"), pair("on", "off"));
        assert_eq!(flash(FlashAttention::Off, "llama_context: flash_attn            = disabled"), pair("off", "off"));
        assert_eq!(flash(FlashAttention::Auto, ""), pair("auto", "not observable"));
        let unmapped = Loading { mode: Some("none".into()), ..Loading::default() };
        assert!(mmap_setting(&Design::default(), &unmapped).is_otherwise());
        assert_eq!(mmap_setting(&Design::default(), &Loading::default()), same("mmap", "true"));
    }
}
