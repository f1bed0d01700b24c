//! A design as a small file: TOML or JSON, every field of it, those of a newer version too.

use serde_json::Value;

use super::Design;

/// How a design is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DesignFormat {
    /// For people
    Toml,
    /// For programs
    Json,
}

impl DesignFormat {
    /// By the ending of a file's name; TOML for any but `.json`.
    pub fn of_name(name: &str) -> Self {
        if name.to_ascii_lowercase().ends_with(".json") { Self::Json } else { Self::Toml }
    }
}

impl Design {
    /// Reads a design file: JSON when it begins with a brace, else TOML. Fields that this version does not know are kept in `extra`.
    ///
    /// # Errors
    /// What is wrong with it, in the parser's words.
    pub fn from_text(text: &str) -> Result<Self, String> {
        // some editors put a mark before the text
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| error.to_string())
        } else {
            toml::from_str(text).map_err(|error| error.message().to_owned())
        }
    }

    /// The design as a file. Text of a path that is not Unicode is replaced: neither format has another way.
    pub fn to_text(&self, format: DesignFormat) -> String {
        let mut plain = self.clone();
        plain.model = plain.model.to_string_lossy().into_owned().into();
        // TOML has no null; a field of a newer version that is null says as much as one that is absent
        plain.extra.retain(|_, value| !value.is_null());
        plain.extra.values_mut().for_each(without_nulls);
        let text = match format {
            DesignFormat::Toml => toml::to_string(&plain).map_err(|error| error.to_string()),
            DesignFormat::Json => serde_json::to_string_pretty(&plain).map(|text| text + "\n").map_err(|error| error.to_string()),
        };
        text.unwrap_or_else(|error| {
            log::error!("a design could not be written down: {error}");
            String::new()
        })
    }
}

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(without_nulls);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::CacheType;

    #[test]
    fn both_forms_read_back_with_what_is_not_known() {
        let mut design = Design { threads: 4, type_v: CacheType::Iq4Nl, mmap: false, ..Design::for_model("/m/a b-Q4_K_M.gguf") };
        design.sampler.temperature = Some(0.2);
        design.sampler.top_p = Some(0.95);
        design.extra.insert("speculation".into(), serde_json::json!({"kind": "ngram", "n": 3, "p": 0.5, "ids": [1, 2]}));
        design.extra.insert("a_scalar_after_a_table".into(), 7.into());
        for format in [DesignFormat::Toml, DesignFormat::Json] {
            let text = design.to_text(format);
            assert_eq!(Design::from_text(&text).as_ref(), Ok(&design), "{text}");
            assert!(text.contains("0.2") && !text.contains("0.200000"), "{text}");
        }
        let mut hollow = design.clone();
        hollow.extra.insert("nothing".into(), Value::Null);
        hollow.extra.insert("half".into(), serde_json::json!({"a": null, "b": [null, 1]}));
        design.extra.insert("half".into(), serde_json::json!({"b": [1]}));
        assert_eq!(Design::from_text(&hollow.to_text(DesignFormat::Toml)), Ok(design));
    }

    #[test]
    fn what_is_no_design_is_refused_in_words() {
        assert!(Design::from_text("threads = \"many\"").unwrap_err().contains("invalid type"));
        assert!(Design::from_text("{\"threads\": -1}").is_err());
        assert_eq!(Design::from_text("\u{feff}threads = 2").unwrap().threads, 2);
        assert_eq!((DesignFormat::of_name("a.JSON"), DesignFormat::of_name("a.toml")), (DesignFormat::Json, DesignFormat::Toml));
    }
}
