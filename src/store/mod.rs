//! Durable user data: chats, runs and saved designs in SQLite, settings in TOML, both written so that a crash, a full disk or a damaged file loses nothing that
//! was acknowledged.
//!
//! - [`Store`] is the database. It belongs to one thread; [`Writer`] is that thread, and [`Recorder`] feeds it a reply as it streams.
//! - [`SettingsFile`] reads and writes [`Settings`]; [`Dirs`] says where everything lives.
//! - A damaged file is moved aside and named to the user, never overwritten; a file of a newer version is read and never written.
//! - Whatever cannot be written is kept in memory, shown, and tried again; it is never reported as saved.

mod apply;
mod damage;
mod db;
mod dirs;
mod export;
mod files;
mod inbox;
mod join;
mod migrate;
mod notice;
mod open;
mod pending;
mod probs;
mod requests;
mod rows;
mod run_types;
mod runs;
mod search;
mod settings;
mod settings_file;
pub mod sweeps;
#[cfg(test)]
mod tests;
mod token_records;
mod types;
mod writer;

pub use db::Store;
pub use dirs::Dirs;
pub use export::{branch, to_json, to_markdown};
pub use files::write_atomic;
pub use inbox::Recorder;
pub use notice::{Notice, NoticeKind, StoreError, StoreErrorKind};
pub use probs::{TokenTable, encode_start, encode_tokens};
pub use requests::{Reply, Request};
pub use run_types::{DesignId, RunHead, SavedDesign};
pub use search::Search;
pub use settings::{Autoload, Bandwidth, PromptSet, Settings, Theme, WindowPlace};
pub use settings_file::SettingsFile;
pub use types::{Chat, ChatId, ChatMessage, ChatMode, Chosen, MessageId, MessageState, Op, Part, Provenance};
pub use writer::Writer;
