//! Runs and saved designs as rows. A run is two rows: a small one that lists are made of, and its whole record as JSON.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::db::Store;
use super::notice::StoreError;
use super::rows::{json, number, text};
use super::run_types::{DesignId, RunHead, SavedDesign};
use super::token_records;
use super::types::Op;
use crate::protocol::{Run, RunId, RunTrust};

/// Columns for [`head`], in its order.
const HEAD: &str = "id, started_ms, seconds, title, tags, grp, model, quant, design, design_hash, workload, figures, trust, failure, \
                    imported, repeats, deleted_ms";

/// Columns of what the user can change of a run, in the order of [`meta`].
pub(super) const META: &str = "id, title, tags, deleted_ms";

/// Columns for [`saved_design`], in its order.
pub(super) const DESIGN: &str = "id, name, created_ms, body, deleted_ms";

/// Adds a run, or replaces it; a run without an id gets the next one.
pub(super) fn put_run(conn: &Connection, run: &Run) -> rusqlite::Result<RunHead> {
    let mut head = RunHead::of(run);
    let figures: serde_json::Map<_, _> = head.figures.iter().map(|(metric, value)| (metric.key().to_owned(), (*value).into())).collect();
    conn.prepare_cached(
        "INSERT INTO runs (id, started_ms, seconds, title, tags, grp, model, quant, design, design_hash, workload, figures, trust, failure,
                           imported, repeats)
         VALUES (nullif(?1, 0), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT (id) DO UPDATE SET
             started_ms = excluded.started_ms, seconds = excluded.seconds, title = excluded.title, tags = excluded.tags,
             grp = excluded.grp, model = excluded.model, quant = excluded.quant, design = excluded.design,
             design_hash = excluded.design_hash, workload = excluded.workload, figures = excluded.figures, trust = excluded.trust,
             failure = excluded.failure, imported = excluded.imported, repeats = excluded.repeats",
    )?
    .execute(params![
        run.id.0,
        head.started_ms,
        head.seconds,
        head.title,
        tags_json(&head.tags),
        head.group,
        head.model,
        head.quant,
        head.design,
        head.design_hash,
        head.workload,
        serde_json::Value::Object(figures).to_string(),
        trust_word(head.trust),
        head.failure,
        head.imported,
        head.repeats.map(|id| id.0),
    ])?;
    if run.id.0 == 0 {
        head.id = RunId(conn.last_insert_rowid());
    }
    let body = run_json(&Run { id: head.id, ..run.clone() });
    conn.prepare_cached("INSERT OR REPLACE INTO run_bodies (id, body) VALUES (?1, ?2)")?.execute(params![head.id.0, body])?;
    if let Some(tokens) = &run.tokens {
        token_records::put(conn, head.id, tokens)?;
    }
    Ok(head)
}

/// Carries out a change to a run that is kept, or to a saved design.
pub(super) fn change(conn: &Connection, op: &Op, now_ms: i64) -> rusqlite::Result<()> {
    match op {
        Op::DeleteRun(id) => conn.prepare_cached("UPDATE runs SET deleted_ms = ?2 WHERE id = ?1")?.execute([id.0, now_ms]).map(drop),
        Op::RestoreRun(id) => conn.prepare_cached("UPDATE runs SET deleted_ms = NULL WHERE id = ?1")?.execute([id.0]).map(drop),
        Op::SetRunMeta { id, title, tags } => conn
            .prepare_cached("UPDATE runs SET title = ?2, tags = ?3 WHERE id = ?1")?
            .execute(params![id.0, title, tags_json(tags)])
            .map(drop),
        Op::SetRunExtra { id, key, value } => set_extra(conn, *id, key, value),
        Op::PutDesign(design) => put_design(conn, design),
        Op::DeleteDesign(id) => conn.prepare_cached("UPDATE designs SET deleted_ms = ?2 WHERE id = ?1")?.execute([id.0, now_ms]).map(drop),
        Op::RestoreDesign(id) => conn.prepare_cached("UPDATE designs SET deleted_ms = NULL WHERE id = ?1")?.execute([id.0]).map(drop),
        _ => Ok(()),
    }
}

/// Changes one field of a record, whatever else is in it; of a field with fields of its own only those that are given.
fn set_extra(conn: &Connection, id: RunId, key: &str, value: &serde_json::Value) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached("SELECT body FROM run_bodies WHERE id = ?1")?;
    let found: Option<Option<serde_json::Map<_, _>>> = statement.query_row([id.0], |row| Ok(json(row, 0))).optional()?;
    let Some(mut record) = found.flatten() else { return Ok(()) };
    match (record.get_mut(key), value) {
        (Some(serde_json::Value::Object(old)), serde_json::Value::Object(new)) => old.extend(new.clone()),
        _ => drop(record.insert(key.to_owned(), value.clone())),
    }
    let body = serde_json::Value::Object(record).to_string();
    conn.prepare_cached("UPDATE run_bodies SET body = ?2 WHERE id = ?1")?.execute(params![id.0, body]).map(drop)
}

fn put_design(conn: &Connection, saved: &SavedDesign) -> rusqlite::Result<()> {
    let body = serde_json::to_string(&saved.design).or_else(|_| {
        // A path that is not Unicode has no JSON; the rest is worth keeping
        let mut plain = saved.design.clone();
        plain.model = plain.model.to_string_lossy().into_owned().into();
        serde_json::to_string(&plain)
    });
    conn.prepare_cached(
        "INSERT INTO designs (id, name, created_ms, body) VALUES (nullif(?1, 0), ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, created_ms = excluded.created_ms, body = excluded.body",
    )?
    .execute(params![saved.id.0, saved.name, saved.created_ms, body.unwrap_or_default()])
    .map(drop)
}

/// Removes what was hidden between two times.
pub(super) fn purge(conn: &Connection, after_ms: i64, until_ms: i64) -> rusqlite::Result<()> {
    for table in ["runs", "designs"] {
        conn.execute(&format!("DELETE FROM {table} WHERE deleted_ms > ?1 AND deleted_ms <= ?2"), [after_ms, until_ms])?;
    }
    Ok(())
}

/// Fails where a table or a column is missing.
pub(super) fn try_out(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare(&format!("SELECT {HEAD} FROM runs"))?;
    conn.prepare("SELECT id, body FROM run_bodies")?;
    token_records::try_out(conn)?;
    conn.prepare(&format!("SELECT {DESIGN} FROM designs")).map(drop)
}

/// Every run's head, and whether it is hidden; the newest first.
fn heads(conn: &Connection) -> rusqlite::Result<Vec<(RunHead, bool)>> {
    conn.prepare_cached(&format!("SELECT {HEAD} FROM runs ORDER BY id DESC"))?.query_map([], |row| Ok(head(row)))?.collect()
}

fn head(row: &Row<'_>) -> (RunHead, bool) {
    let figures: std::collections::BTreeMap<String, f64> = json(row, 11).unwrap_or_default();
    let head = RunHead {
        id: RunId(number(row, 0).unwrap_or(0)),
        started_ms: number(row, 1).unwrap_or(0),
        seconds: row.get(2).unwrap_or(0.0),
        title: text(row, 3),
        tags: json(row, 4).unwrap_or_default(),
        group: text(row, 5),
        model: text(row, 6),
        quant: text(row, 7),
        design: text(row, 8),
        design_hash: text(row, 9),
        workload: text(row, 10),
        figures: figures.into_iter().filter_map(|(key, value)| Some((crate::protocol::Metric::by_key(&key)?, value))).collect(),
        trust: trust(&text(row, 12)),
        failure: Some(text(row, 13)).filter(|words| !words.is_empty()),
        imported: text(row, 14),
        repeats: number(row, 15).map(RunId),
    };
    (head, number(row, 16).is_some())
}

/// What the user can change of a run: id, title, tags, whether it is hidden.
pub(super) fn meta(row: &Row<'_>) -> (RunId, String, Vec<String>, bool) {
    (RunId(number(row, 0).unwrap_or(0)), text(row, 1), json(row, 2).unwrap_or_default(), number(row, 3).is_some())
}

/// A run's id and its record, where it can be understood. Columns `id, body`.
pub(super) fn body(row: &Row<'_>) -> (RunId, Option<Run>) {
    (RunId(number(row, 0).unwrap_or(0)), json(row, 1))
}

/// A saved design, where it can be understood, and whether it is hidden.
pub(super) fn saved_design(row: &Row<'_>) -> (Option<SavedDesign>, bool) {
    let saved = json(row, 3).map(|design| SavedDesign {
        id: DesignId(number(row, 0).unwrap_or(0)),
        name: text(row, 1),
        created_ms: number(row, 2).unwrap_or(0),
        design,
    });
    (saved, number(row, 4).is_some())
}

fn whole(conn: &Connection, id: RunId) -> rusqlite::Result<Option<Run>> {
    let mut statement =
        conn.prepare_cached("SELECT b.id, b.body, r.title, r.tags FROM runs r JOIN run_bodies b ON b.id = r.id WHERE r.id = ?1")?;
    let mut rows = statement.query([id.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (_, run) = body(row);
    if run.is_none() {
        log::warn!("the record of run {} cannot be understood", id.0);
    }
    Ok(run.map(|run| Run { id, title: text(row, 2), tags: json(row, 3).unwrap_or_default(), ..run }))
}

fn tags_json(tags: &[String]) -> String {
    serde_json::Value::from(tags).to_string()
}

fn trust_word(trust: RunTrust) -> &'static str {
    match trust {
        RunTrust::Trusted => "trusted",
        RunTrust::Noisy => "noisy",
        RunTrust::TooFew => "too_few",
    }
}

fn trust(word: &str) -> RunTrust {
    [RunTrust::Trusted, RunTrust::Noisy].into_iter().find(|trust| trust_word(*trust) == word).unwrap_or_default()
}

fn run_json(run: &Run) -> String {
    serde_json::to_string(run).unwrap_or_else(|_| {
        // Only a path that is not Unicode has no JSON; the rest of the record is worth keeping
        let mut plain = run.clone();
        let words = |path: &std::path::Path| path.to_string_lossy().into_owned().into();
        plain.design.model = words(&plain.design.model);
        if let crate::protocol::Workload::Quality { reference, .. } = &mut plain.workload {
            reference.model = words(&reference.model);
        }
        if let Some(error) = &mut plain.failure {
            error.path = None;
        }
        serde_json::to_string(&plain).unwrap_or_default()
    })
}

impl Store {
    /// The heads of all runs that are not hidden, the newest first. A run that waits for the disk is not among them.
    pub fn runs(&mut self) -> Vec<RunHead> {
        let mut all = self.read(heads);
        self.pending.over_runs(&mut all);
        all.into_iter().filter(|(_, hidden)| !hidden).map(|(head, _)| head).collect()
    }

    /// A run with everything, hidden or not.
    pub fn run(&mut self, id: RunId) -> Option<Run> {
        let mut run = self.read(|conn| whole(conn, id))?;
        if let Some((title, tags)) = self.pending.run_meta(id) {
            (run.title, run.tags) = (title.to_owned(), tags.to_vec());
        }
        run.extra.extend(self.pending.run_extra(id));
        Some(run)
    }

    /// Keeps a run. When this returns it is on the disk, under the id that comes back.
    ///
    /// # Errors
    /// As [`Store::apply`]; where the error is not `Refused`, the run waits in memory.
    pub fn keep_run(&mut self, run: Run) -> Result<RunId, StoreError> {
        self.kept.clear();
        self.apply(&[Op::PutRun(Box::new(run))])?;
        Ok(self.kept.pop_back().flatten().map_or(RunId(0), |head| head.id))
    }

    /// The saved designs that are not hidden, by name.
    pub fn designs(&mut self) -> Vec<SavedDesign> {
        let mut all: Vec<(SavedDesign, bool)> = self.read(|conn| {
            let mut statement = conn.prepare_cached(&format!("SELECT {DESIGN} FROM designs ORDER BY id"))?;
            let rows = statement.query_map([], |row| Ok(saved_design(row)))?;
            rows.filter_map(|row| row.map(|(saved, hidden)| saved.map(|saved| (saved, hidden))).transpose()).collect()
        });
        self.pending.over_designs(&mut all);
        let mut shown: Vec<SavedDesign> = all.into_iter().filter(|(_, hidden)| !hidden).map(|(saved, _)| saved).collect();
        shown.sort_by_cached_key(|saved| (saved.name.to_lowercase(), saved.id));
        shown
    }

    /// A number that changes whenever another process changed the file.
    pub(super) fn outside_changes(&mut self) -> i64 {
        self.conn.pragma_query_value(None, "data_version", |row| row.get(0)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
