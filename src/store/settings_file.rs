//! The settings file: read forgivingly, written atomically, with the last good copy beside it.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use toml::{Table, Value};

use super::files;
use super::notice::{Notice, NoticeKind, StoreError, StoreErrorKind};
use super::settings::Settings;

/// Name of the file in the configuration folder.
const FILE: &str = "settings.toml";

/// No settings are longer, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Where settings are kept, and what is known to be there.
#[derive(Debug)]
pub struct SettingsFile {
    path: PathBuf,
    /// The bytes last read or written, if they were good
    known: Option<Vec<u8>>,
    /// Why the file is not written
    blocked: Option<StoreError>,
}

/// What a file turned out to hold.
struct Parsed {
    settings: Settings,
    /// Names of values that were not understood
    odd: Vec<String>,
}

impl SettingsFile {
    /// Reads the settings of a configuration folder. This never fails: without a file, or with one that cannot be used, there are the
    /// last good copy or the defaults, and the notices say what happened.
    pub fn load(config_dir: &Path) -> (Self, Settings, Vec<Notice>) {
        let path = config_dir.join(FILE);
        let mut file = Self { path: path.clone(), known: None, blocked: None };
        let bytes = match read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (file, Settings::default(), Vec::new()),
            Err(error) => {
                let error = StoreError::io("The settings cannot be read, so the defaults are used and nothing is saved", &error, &path);
                let notice = Notice::new(NoticeKind::NotSaving, error.message.clone(), "Move it away or make it readable", &path);
                file.blocked = Some(error);
                return (file, Settings::default(), vec![notice]);
            }
        };
        match parse(&bytes) {
            Ok(parsed) if parsed.settings.version > Settings::VERSION => {
                let error = StoreError::new(
                    StoreErrorKind::Newer,
                    "The settings were saved by a newer version",
                    "They are used as far as they are understood, and changes are not saved",
                    &path,
                );
                let notice = Notice::new(NoticeKind::Newer, error.message.clone(), error.hint.clone(), &path);
                file.blocked = Some(error);
                (file, parsed.settings, vec![notice])
            }
            Ok(parsed) if parsed.odd.is_empty() => {
                file.known = Some(bytes);
                (file, parsed.settings, Vec::new())
            }
            Ok(parsed) => {
                let what = format!("Some settings were not understood and are as at first: {}", parsed.odd.join(", "));
                let (settings, notices) = file.keep_aside(&bytes, parsed.settings, NoticeKind::NotUnderstood, what);
                (file, settings, notices)
            }
            Err(why) => file.fall_back(&bytes, &why),
        }
    }

    /// The settings of a configuration folder as they can be used now: the file's, else the last good copy's, else the defaults. Nothing is
    /// created, kept aside or put right.
    pub fn peek(config_dir: &Path) -> Settings {
        let path = config_dir.join(FILE);
        match read(&path).map(|bytes| parse(&bytes)) {
            Ok(Ok(parsed)) => parsed.settings,
            Ok(Err(_damage)) => last_good(&path).unwrap_or_default(),
            Err(_unreadable) => Settings::default(),
        }
    }

    /// Writes the settings: the file is whole at any moment, and the copy before it stays as `settings.toml.bak`. A file that another
    /// program changed meanwhile is kept aside first. Returns what the user should hear.
    ///
    /// # Errors
    /// Why the settings are not saved; the file is as it was.
    pub fn save(&mut self, settings: &Settings) -> Result<Vec<Notice>, StoreError> {
        if let Some(why) = &self.blocked {
            return Err(why.clone());
        }
        let failed = |error: io::Error| StoreError::io("The settings cannot be saved", &error, &self.path);
        let bytes = to_toml(settings)
            .map_err(|error| {
                StoreError::new(StoreErrorKind::Refused, format!("The settings cannot be written down: {error}"), "", &self.path)
            })?
            .into_bytes();
        if let Some(dir) = self.path.parent() {
            files::create_private_dir(dir).map_err(failed)?;
        }
        let mut notices = Vec::new();
        match read(&self.path) {
            Ok(there) if self.known.as_ref() == Some(&there) => {
                if there == bytes {
                    return Ok(notices);
                }
                files::write_atomic(&files::with_suffix(&self.path, ".bak"), &there).map_err(failed)?;
            }
            Ok(there) if there != bytes => {
                let aside = files::aside_name(&self.path, "outside");
                files::write_atomic(&aside, &there).map_err(failed)?;
                notices.push(Notice::new(
                    NoticeKind::ChangedOutside,
                    "Another program changed the settings while they were in use",
                    "The settings of this window were saved; the other program's are kept",
                    aside,
                ));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        files::write_atomic(&self.path, &bytes).map_err(failed)?;
        self.known = Some(bytes);
        Ok(notices)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file cannot be read as settings: the last good copy, or the defaults, take its place.
    fn fall_back(mut self, bytes: &[u8], why: &str) -> (Self, Settings, Vec<Notice>) {
        let (settings, used) = match last_good(&self.path) {
            Some(copy) => (copy, "the last good copy is used"),
            None => (Settings::default(), "the defaults are used"),
        };
        let (settings, notices) =
            self.keep_aside(bytes, settings, NoticeKind::Damaged, format!("The settings were damaged ({why}); {used}"));
        (self, settings, notices)
    }

    /// Keeps the bytes of a file that could not be used, then puts the settings in its place. Where the bytes cannot be kept, the file is
    /// left alone.
    fn keep_aside(&mut self, bytes: &[u8], settings: Settings, kind: NoticeKind, what: String) -> (Settings, Vec<Notice>) {
        let aside = files::aside_name(&self.path, "corrupt");
        let kept = files::write_atomic(&aside, bytes).and_then(|()| {
            let text = to_toml(&settings).map_err(io::Error::other)?;
            files::write_atomic(&self.path, text.as_bytes())?;
            Ok(text.into_bytes())
        });
        let notice = match kept {
            Ok(written) => {
                self.known = Some(written);
                Notice::new(kind, what, "The file as it was is kept", aside)
            }
            Err(error) => {
                let error = StoreError::io(&format!("{what}. It cannot be kept aside, so nothing is saved"), &error, &self.path);
                let notice = Notice::new(NoticeKind::NotSaving, error.message.clone(), error.hint.clone(), &self.path);
                self.blocked = Some(error);
                notice
            }
        };
        (settings, vec![notice])
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The copy beside a settings file, if it can be used.
fn last_good(path: &Path) -> Option<Settings> {
    let copy = parse(&read(&files::with_suffix(path, ".bak")).ok()?).ok()?;
    (copy.settings.version <= Settings::VERSION).then_some(copy.settings)
}

/// Reads settings out of any bytes. A value of the wrong type costs that value only.
fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err("it is too long".into());
    }
    let text = std::str::from_utf8(bytes).map_err(|_utf8| "it is not text".to_owned())?;
    if text.trim().is_empty() {
        return Err("it is empty".into());
    }
    let table: Table = text.parse().map_err(|error: toml::de::Error| format!("it is not TOML: {}", error.message()))?;
    let mut odd: Vec<String> = Vec::new();
    let mut settings = Settings::deserialize(Value::Table(table.clone())).unwrap_or_else(|_| {
        let mut sound = table.clone();
        sound.retain(|name, value| {
            let alone = Table::from_iter([(name.to_owned(), value.clone())]);
            let fits = Settings::deserialize(Value::Table(alone)).is_ok();
            if !fits {
                odd.push(name.to_owned());
            }
            fits
        });
        Settings::deserialize(Value::Table(sound)).unwrap_or_default()
    });
    for (name, value) in &mut settings.extra {
        // Serde's flattening turns dates into texts
        if let Some(as_it_was) = table.get(name) {
            value.clone_from(as_it_was);
        }
    }
    settings.sanitize();
    Ok(Parsed { settings, odd })
}

/// Settings as TOML. What TOML cannot say (a path that is not Unicode, a null among unknown fields) is left out.
fn to_toml(settings: &Settings) -> Result<String, toml::ser::Error> {
    let mut plain = settings.clone();
    plain.sanitize();
    plain.model_folders.retain(|folder| folder.to_str().is_some());
    plain.models_dir = plain.models_dir.filter(|dir| dir.to_str().is_some());
    plain.last_design = plain.last_design.filter(|design| design.model.to_str().is_some());
    plain.designs.retain(|_, design| design.model.to_str().is_some());
    for design in plain.designs.values_mut().chain(plain.last_design.as_mut()) {
        design.extra.retain(|_, value| Value::try_from(&*value).is_ok());
    }
    // TOML's integers are signed
    plain.keep_warm_bytes = plain.keep_warm_bytes.map(|bytes| bytes.min(i64::MAX.unsigned_abs()));
    // Unknown tables go behind ours, unknown plain values before them: so neither falls into a table of the other
    let is_table = |value: &Value| match value {
        Value::Table(_) => true,
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_table),
        _ => false,
    };
    let (tables, values): (Table, Table) = std::mem::take(&mut plain.extra).into_iter().partition(|(_, value)| is_table(value));
    let text = format!("{}{}\n{}", toml::to_string(&values)?, toml::to_string(&plain)?, toml::to_string(&tables)?);
    Ok(format!("{}\n", text.trim_end()))
}
