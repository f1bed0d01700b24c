//! Reads `src/**` and fails where a room imports what it must not, or breaks another rule that a compiler does not know.
//!
//! The rules are those of `ARCHITECTURE.md`. Source is tokenised first, so words in comments and strings do not count, and imports are
//! followed through groups, `super::` and inline modules.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot read the sources must fail")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the rooms it may import.
const ROOMS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("measure", &["protocol"]),
    ("library", &["protocol"]),
    ("store", &["protocol"]),
    ("engine", &["protocol", "measure", "library", "store"]),
    ("report", &["protocol", "measure", "library", "store"]),
    ("server", &["protocol", "measure", "library", "store", "engine"]),
    ("app", &["protocol", "measure", "library", "store"]),
    ("ui", &["protocol", "measure", "library", "store", "engine", "app"]),
    ("cli", &["protocol", "measure", "library", "store", "engine", "server", "report"]),
];

/// Crates that belong to one place, and where they may be named.
const CRATES: &[(&str, &str)] = &[
    ("egui", "ui/"),
    ("egui_plot", "ui/"),
    ("egui_extras", "ui/"),
    ("egui_commonmark", "ui/"),
    ("eframe", "ui/"),
    ("egui_winit", "ui/"),
    ("egui_system_font_provider", "ui/"),
    ("inferscope_raster", "ui/software/"),
    ("inferscope_tiles", "engine/llama"),
    ("softbuffer", "ui/software/"),
    ("rfd", "ui/"),
    ("llama_cpp_2", "engine/llama"),
    ("llama_cpp_sys_2", "engine/llama"),
];

const MAX_LINES: usize = 500;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Number,
    Text,
    Mark(char),
}

/// Splits Rust source into words and marks with their line numbers. Comments vanish; strings and numbers lose their content.
fn tokens(source: &str) -> Vec<(Token, usize)> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut out, mut i, mut line) = (Vec::new(), 0, 1);
    while i < chars.len() {
        let (start, began) = (i, line);
        let c = at(i);
        let token = if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
            None
        } else if c == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
            None
        } else if let Some(end) = raw_string_end(&chars, i) {
            i = end;
            Some(Token::Text)
        } else if c == '"' || (matches!(c, 'b' | 'c') && at(i + 1) == '"') {
            i += if c == '"' { 1 } else { 2 };
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
            Some(Token::Text)
        } else if c == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            i += if at(i + 1) == '\\' { 3 } else { 2 };
            while i < chars.len() && at(i) != '\'' {
                i += 1;
            }
            i += 1;
            Some(Token::Text)
        } else if c.is_ascii_digit() {
            while is_word(at(i)) || (at(i) == '.' && at(i + 1).is_ascii_digit()) {
                i += 1;
            }
            Some(Token::Number)
        } else if is_word(c) {
            while is_word(at(i)) {
                i += 1;
            }
            Some(Token::Word(chars.get(start..i).unwrap_or_default().iter().collect()))
        } else {
            i += 1;
            (!c.is_whitespace()).then_some(Token::Mark(c))
        };
        line += chars.get(start..i.min(chars.len())).unwrap_or_default().iter().filter(|c| **c == '\n').count();
        out.extend(token.map(|t| (t, began)));
    }
    out
}

/// Where the raw string that begins at `i` ends, if one begins there (`r"`, `br##"`, `cr#"`).
fn raw_string_end(chars: &[char], i: usize) -> Option<usize> {
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    if i > 0 && (at(i - 1).is_alphanumeric() || at(i - 1) == '_') {
        return None;
    }
    let mut j = i + usize::from(matches!(at(i), 'b' | 'c') && at(i + 1) == 'r');
    if at(j) != 'r' {
        return None;
    }
    j += 1;
    let hashes = chars.get(j..)?.iter().take_while(|c| **c == '#').count();
    j += hashes;
    if at(j) != '"' {
        return None;
    }
    j += 1;
    while j < chars.len() {
        if at(j) == '"' && chars.get(j + 1..j + 1 + hashes).is_some_and(|tail| tail.iter().all(|c| *c == '#')) {
            return Some(j + 1 + hashes);
        }
        j += 1;
    }
    Some(j)
}

/// Reads the path that begins at `i` (groups included) into `out`; returns where it ends.
fn path(tokens: &[(Token, usize)], mut i: usize, prefix: &[String], out: &mut Vec<Vec<String>>) -> usize {
    let at = |i: usize| tokens.get(i).map(|(t, _)| t);
    let mut here = prefix.to_vec();
    loop {
        match at(i) {
            Some(Token::Word(word)) => {
                here.push(word.clone());
                i += 1;
            }
            Some(Token::Mark('{')) => {
                i += 1;
                while i < tokens.len() && at(i) != Some(&Token::Mark('}')) {
                    let before = i;
                    i = path(tokens, i, &here, out);
                    if at(i) == Some(&Token::Word("as".into())) {
                        i += 2;
                    }
                    i += usize::from(at(i) == Some(&Token::Mark(',')) || i == before);
                }
                return i + 1;
            }
            Some(Token::Mark('*')) => {
                i += 1;
                break;
            }
            _ => break,
        }
        if at(i) == Some(&Token::Mark(':')) && at(i + 1) == Some(&Token::Mark(':')) {
            i += 2;
        } else {
            break;
        }
    }
    out.push(here);
    i
}

/// The modules of a file: `ui/panels/chat.rs` is `[ui, panels, chat]`.
fn modules_of(file: &str) -> Vec<String> {
    let mut parts: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// Every path of a file that begins with `crate`, `super`, `self` or the crate's own name, as seen from the crate's root, with its line.
fn imports(file: &str, tokens: &[(Token, usize)]) -> Vec<(Vec<String>, usize)> {
    let mut modules = modules_of(file);
    let mut inline: Vec<usize> = Vec::new();
    let (mut depth, mut found, mut i) = (0usize, Vec::new(), 0);
    let mark = |i: usize, c: char| tokens.get(i).is_some_and(|(t, _)| *t == Token::Mark(c));
    while let Some((token, line)) = tokens.get(i) {
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => {
                depth = depth.saturating_sub(1);
                if inline.last() == Some(&depth) {
                    inline.pop();
                    modules.pop();
                }
            }
            Token::Word(word) if word == "mod" && mark(i + 2, '{') => {
                if let Some((Token::Word(name), _)) = tokens.get(i + 1) {
                    inline.push(depth);
                    modules.push(name.clone());
                }
            }
            Token::Word(word)
                if matches!(word.as_str(), "crate" | "super" | "self" | "inferscope") && mark(i + 1, ':') && mark(i + 2, ':') =>
            {
                let mut paths = Vec::new();
                let end = path(tokens, i, &[], &mut paths);
                found.extend(paths.into_iter().map(|p| (absolute(&p, &modules), *line)));
                i = end;
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    found
}

fn absolute(path: &[String], modules: &[String]) -> Vec<String> {
    let mut base = modules.to_vec();
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        match first.as_str() {
            "crate" | "inferscope" => base.clear(),
            "super" => drop(base.pop()),
            "self" => {}
            _ => break,
        }
        rest = tail;
    }
    base.extend(rest.iter().cloned());
    base
}

/// Everything wrong with one file. `file` is its path below `src/`; `panels` are the names of the modules in `ui/panels/`.
fn check(file: &str, source: &str, panels: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    let tokens = tokens(source);
    let modules = modules_of(file);
    let lines = source.lines().count();
    if lines > MAX_LINES {
        faults.push(format!("{file}: {lines} lines, {MAX_LINES} at most: split it by what it does"));
    }
    let room = modules.first().map_or("", String::as_str);
    let rules = ROOMS.iter().find(|(name, _)| *name == room).map(|(_, allowed)| *allowed);
    for (target, line) in imports(file, &tokens) {
        let to = target.first().map_or("", String::as_str);
        if let Some(allowed) = rules
            && to != room
            && ROOMS.iter().any(|(name, _)| *name == to)
            && !allowed.contains(&to)
        {
            faults.push(format!("{file}:{line}: {room} must not import {to} ({})", target.join("::")));
        }
        let panel = |path: &[String]| match path {
            [ui, p, name, ..] if ui == "ui" && p == "panels" && panels.contains(name) => Some(name.clone()),
            _ => None,
        };
        if let (Some(from), Some(to)) = (panel(&modules), panel(&target))
            && from != to
        {
            faults.push(format!("{file}:{line}: the panel {from} must not import the panel {to}: share through ui/widgets or app"));
        }
    }
    faults.extend(words(file, &tokens));
    faults
}

/// Words that belong to one place only.
fn words(file: &str, tokens: &[(Token, usize)]) -> Vec<String> {
    let mut faults = Vec::new();
    let themed = file == "ui/theme.rs" || file.starts_with("ui/theme/");
    for (i, (token, line)) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        for (name, place) in CRATES {
            if word == name && !file.starts_with(place) {
                faults.push(format!("{file}:{line}: {word} belongs in src/{place} only"));
            }
        }
        if word == "unsafe" && !file.starts_with("engine/llama") {
            faults.push(format!("{file}:{line}: unsafe belongs in src/engine/llama only"));
        }
        if !themed && file.starts_with("ui/") && is_font_literal(tokens, i) {
            faults.push(format!("{file}:{line}: a size of type belongs in src/ui/theme; ask the theme for a step of its scale"));
        }
        if !themed && word == "faint" && !is_edge(tokens, *line) {
            faults.push(format!("{file}:{line}: faint is for edges; type must be muted or stronger"));
        }
        if !themed && is_colour_literal(tokens, i) {
            faults.push(format!("{file}:{line}: a colour belongs in src/ui/theme.rs; ask the theme for its role"));
        }
    }
    faults
}

/// `FontId::proportional(11.0)`, `RichText::size(9.0)`: a size that is no step of the scale.
fn is_font_literal(tokens: &[(Token, usize)], i: usize) -> bool {
    let at = |i: usize| tokens.get(i).map(|(t, _)| t);
    let is = |i: usize, name: &str| matches!(at(i), Some(Token::Word(word)) if word == name);
    let made = ["proportional", "monospace", "new"].iter().any(|name| is(i + 3, name));
    let called = is(i, "size") && i > 0 && at(i - 1) == Some(&Token::Mark('.')) && at(i + 1) == Some(&Token::Mark('('));
    (is(i, "FontId") && made) && at(i + 5) == Some(&Token::Number) || called && at(i + 2) == Some(&Token::Number)
}

/// Whether a line, or the one before it, is about an edge and not about type.
fn is_edge(tokens: &[(Token, usize)], line: usize) -> bool {
    let words = ["Stroke", "stroke", "border", "line", "edge", "hover", "hovered"];
    let on_line = tokens.iter().filter(|(_, l)| *l == line || *l + 1 == line);
    on_line
        .filter_map(|(token, _)| if let Token::Word(word) = token { Some(word) } else { None })
        .any(|word| words.contains(&word.as_str()))
}

/// `Color32::RED`, `Color32::from_rgb(1, 2, 3)`, `hex_color!("...")`. What is computed from a theme's colour is not a literal, and
/// `TRANSPARENT` and `PLACEHOLDER` are not colours.
fn is_colour_literal(tokens: &[(Token, usize)], i: usize) -> bool {
    let at = |i: usize| tokens.get(i).map(|(t, _)| t);
    let word = |i: usize| match at(i) {
        Some(Token::Word(word)) => word.as_str(),
        _ => "",
    };
    if word(i) == "hex_color" {
        return true;
    }
    if !matches!(word(i), "Color32" | "Rgba" | "Hsva") || at(i + 1) != Some(&Token::Mark(':')) || at(i + 2) != Some(&Token::Mark(':')) {
        return false;
    }
    let name = word(i + 3);
    if name.starts_with("from_") {
        return at(i + 4) == Some(&Token::Mark('(')) && at(i + 5) == Some(&Token::Number);
    }
    name.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !matches!(name, "" | "TRANSPARENT" | "PLACEHOLDER")
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn rooms_keep_to_themselves() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let names: Vec<String> = files
        .iter()
        .map(|f| f.strip_prefix(&root).unwrap().components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/"))
        .collect();
    let panels: Vec<String> = names
        .iter()
        .filter_map(|n| n.strip_prefix("ui/panels/"))
        .filter_map(|n| n.split('/').next())
        .map(|n| n.trim_end_matches(".rs").to_owned())
        .filter(|n| n != "mod")
        .collect();
    let mut faults = Vec::new();
    for (file, name) in files.iter().zip(&names) {
        faults.extend(check(name, &fs::read_to_string(file).unwrap(), &panels));
        let room = name.split('/').next().unwrap_or_default();
        if name.contains('/') && !ROOMS.iter().any(|(known, _)| *known == room) {
            faults.push(format!("src/{room}/ is a room that the rules do not know: add it to ROOMS with what it may import"));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[cfg(test)]
mod the_checker {
    use super::*;

    fn faults(file: &str, source: &str) -> Vec<String> {
        check(file, source, &["chat".into(), "library".into()])
    }

    #[test]
    fn catches_forbidden_imports() {
        for (file, source) in [
            ("app/update.rs", "use crate::engine::Engine;"),
            ("engine/host.rs", "fn f() { crate::app::x(); }"),
            ("cli/run.rs", "use crate::{\n  measure::stats,\n  ui::theme,\n};"),
            ("cli/run.rs", "use super::super::ui;"),
            ("protocol/wire.rs", "use crate::store;"),
            ("measure/mod.rs", "use super::library::scan;"),
            ("app/mod.rs", "mod tests { use super::super::engine; }"),
            ("store/mod.rs", "use inferscope::engine;"),
            ("ui/panels/chat.rs", "use super::library::Rows;"),
            ("ui/panels/chat/rows.rs", "use crate::ui::panels::{library, Context};"),
        ] {
            assert_eq!(faults(file, source).len(), 1, "{file}: {source}");
        }
    }

    #[test]
    fn allows_the_rest() {
        for (file, source) in [
            ("ui/app.rs", "use crate::{app::AppState, engine::Engine, protocol::*};"),
            ("ui/panels/chat.rs", "use super::{Context, chat_parts}; use crate::ui::panels::chat::Row;"),
            ("ui/panels/mod.rs", "pub mod chat; pub mod library; use self::chat::Chat;"),
            ("cli/mod.rs", "use crate::library; mod engine_session { use super::super::cli::output; }"),
            ("main.rs", "fn main() { inferscope::ui::open(); }"),
            ("measure/stats.rs", "// crate::ui and unsafe are words in a comment\nconst S: &str = r#\"crate::ui \" unsafe\"#;"),
            ("app/mod.rs", "mod tests { use super::update; } fn f<'a>(x: &'a str, c: char) -> bool { c == '\"' }"),
        ] {
            assert_eq!(faults(file, source), Vec::<String>::new(), "{file}: {source}");
        }
    }

    #[test]
    fn catches_words_out_of_place() {
        for (file, source) in [
            ("app/mod.rs", "use egui::Ui;"),
            ("cli/mod.rs", "fn f() { rfd::FileDialog::new(); }"),
            ("main.rs", "fn f() { eframe::run_native(); }"),
            ("engine/worker.rs", "use llama_cpp_sys_2 as sys;"),
            ("engine/telemetry.rs", "fn f() { unsafe { libc::getpid() }; }"),
            ("ui/widgets/plot.rs", "const C: Color32 = Color32::from_rgb(1, 2, 3);"),
            ("ui/widgets/plot.rs", "let c = egui::Color32::RED;"),
            ("ui/widgets/plot.rs", "let c = hex_color!(\"#fff\");"),
            ("ui/widgets/plot.rs", "let f = egui::FontId::proportional(11.0);"),
            ("ui/widgets/plot.rs", "let t = RichText::new(x).size(9.0);"),
            ("ui/widgets/plot.rs", "let t = elided(ui, words, theme::small(), palette.faint, 9.0);"),
        ] {
            assert_eq!(faults(file, source).len(), 1, "{file}: {source}");
        }
        for (file, source) in [
            ("engine/llama/context.rs", "use llama_cpp_2::LlamaModel; fn f() { unsafe { g() } }"),
            ("ui/theme.rs", "const C: Color32 = Color32::from_rgb(1, 2, 3);"),
            ("ui/theme/dark.rs", "const C: Color32 = Color32::RED;"),
            ("ui/widgets/plot.rs", "painter.vline(x, y, Stroke::new(1.0, palette.faint)); let s = galley.size().x;"),
            ("ui/widgets/plot.rs", "let c = Color32::TRANSPARENT; let d = Color32::from_rgb(r, g, b); let unsafe_code = 1;"),
        ] {
            assert_eq!(faults(file, source), Vec::<String>::new(), "{file}: {source}");
        }
    }

    #[test]
    fn catches_files_that_grew() {
        assert_eq!(faults("ui/app.rs", &"\n".repeat(MAX_LINES + 1)).len(), 1);
        assert_eq!(faults("ui/app.rs", &"\n".repeat(MAX_LINES)).len(), 0);
    }

    #[test]
    fn line_numbers_survive_strings_and_comments() {
        let source = "/* one\n two */\nconst A: &str = \"x\n y\";\nuse crate::ui;";
        assert_eq!(faults("cli/mod.rs", source), ["cli/mod.rs:5: cli must not import ui (ui)"]);
    }
}
