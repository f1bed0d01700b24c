//! llama.cpp's short names of several letters (`-ub 512`, `-ctk q8_0`), which the argument parser does not know, as long ones.

use std::ffi::{OsStr, OsString};

/// The short name and the long option it stands for.
pub const SHORT: &[(&str, &str)] = &[
    ("-ub", "--ubatch-size"),
    ("-tb", "--threads-batch"),
    ("-ctk", "--cache-type-k"),
    ("-ctv", "--cache-type-v"),
    ("-fa", "--flash-attn"),
    ("-ngl", "--gpu-layers"),
    ("-pg", "--n-pg"),
];

/// Options whose value is free text, which may look like anything.
const FREE_TEXT: &[&str] = &["-p", "--prompt", "--system", "--stop"];

/// Replaces every short name, `-ub 512` and `-ub=512`, up to `--`. The value of an option that takes free text is left alone.
pub fn expand(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut out = Vec::new();
    let mut args = args.into_iter();
    out.extend(args.next());
    while let Some(arg) = args.next() {
        if arg == "--" {
            out.push(arg);
            out.extend(args);
            break;
        }
        let free_text = FREE_TEXT.iter().any(|name| arg == *name);
        out.push(expand_one(&arg).unwrap_or(arg));
        if free_text {
            out.extend(args.next());
        }
    }
    out
}

fn expand_one(arg: &OsStr) -> Option<OsString> {
    let text = arg.to_str()?;
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let (_, long) = SHORT.iter().find(|(short, _)| *short == name)?;
    Some(value.map_or_else(|| (*long).into(), |value| format!("{long}={value}").into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(args: &[&str]) -> Vec<String> {
        expand(args.iter().map(OsString::from)).into_iter().map(|a| a.into_string().unwrap()).collect()
    }

    #[test]
    fn known_names_become_long() {
        assert_eq!(
            expanded(&["x", "bench", "m.gguf", "-ub", "512", "-ctk=q8_0", "-ngl", "-1", "-pg", "512,128", "-fa", "on"]),
            [
                "x",
                "bench",
                "m.gguf",
                "--ubatch-size",
                "512",
                "--cache-type-k=q8_0",
                "--gpu-layers",
                "-1",
                "--n-pg",
                "512,128",
                "--flash-attn",
                "on"
            ]
        );
    }

    #[test]
    fn all_else_stays() {
        for arg in ["-u", "-ubx", "-t", "-c", "--ubatch-size", "ub", "-", "-f", "-fax=1"] {
            assert_eq!(expanded(&["x", arg]), ["x", arg]);
        }
        assert_eq!(expanded(&["-ub"]), ["-ub"], "the program's own name");
        assert_eq!(expanded(&["x", "--", "-ub"]), ["x", "--", "-ub"]);
    }

    #[test]
    fn a_prompt_is_not_an_option() {
        assert_eq!(expanded(&["x", "run", "-p", "-fa", "-fa", "on"]), ["x", "run", "-p", "-fa", "--flash-attn", "on"]);
    }

    #[test]
    fn no_name_is_the_beginning_of_two_things() {
        for (short, long) in SHORT {
            assert!(short.starts_with('-') && !short.starts_with("--") && short.len() > 2);
            assert!(long.starts_with("--"));
        }
    }
}
