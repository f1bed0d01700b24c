//! Where things live on this machine.

use std::env;
use std::path::PathBuf;

use super::notice::{StoreError, StoreErrorKind};

/// The folders of this user's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirs {
    /// Chats, runs, models that were made here
    pub data: PathBuf,
    /// Settings
    pub config: PathBuf,
    /// What can be made again
    pub cache: PathBuf,
}

impl Dirs {
    /// The variable that puts everything under one folder: for a portable copy, and for tests.
    pub const HOME_VARIABLE: &str = "INFERSCOPE_HOME";

    /// The system's folders for this user, or those under `INFERSCOPE_HOME`. Nothing is made on the disk.
    ///
    /// # Errors
    /// When the user has no home folder and the variable is not set.
    pub fn resolve() -> Result<Self, StoreError> {
        if let Some(home) = env::var_os(Self::HOME_VARIABLE).filter(|home| !home.is_empty()) {
            return Ok(Self::under(PathBuf::from(home)));
        }
        let dirs = directories::ProjectDirs::from("", "", "inferscope").ok_or_else(|| StoreError {
            kind: StoreErrorKind::Io,
            message: "There is no home folder to keep chats and settings in".into(),
            hint: format!("Set {} to a folder", Self::HOME_VARIABLE),
            path: None,
        })?;
        Ok(Self { data: dirs.data_dir().into(), config: dirs.config_dir().into(), cache: dirs.cache_dir().into() })
    }

    /// Everything under one folder.
    pub fn under(home: impl Into<PathBuf>) -> Self {
        let home = home.into();
        Self { data: home.join("data"), config: home.join("config"), cache: home.join("cache") }
    }

    /// Where models are kept unless the settings say otherwise.
    pub fn models(&self) -> PathBuf {
        self.data.join("models")
    }
}
