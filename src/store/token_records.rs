//! What a comparison found of each token, as bytes beside the run: a byte for the form, then [`TokenRecord`] as postcard writes it, some
//! 80 bytes a score.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::db::Store;
use crate::protocol::{Run, RunId, TokenRecord};

/// The form that is written. Postcard's bytes do not describe themselves: another shape is another number.
const FORM: u8 = 1;

fn encode(record: &TokenRecord) -> Option<Vec<u8>> {
    postcard::to_extend(record, vec![FORM]).ok()
}

/// `None` for bytes that are damaged or of another form.
fn decode(bytes: &[u8]) -> Option<TokenRecord> {
    let (form, record) = bytes.split_first()?;
    let record: TokenRecord = (*form == FORM).then(|| postcard::from_bytes(record).ok()).flatten()?;
    record.is_sound().then_some(record)
}

/// Keeps the record of a run that is on the disk.
pub(super) fn put(conn: &Connection, id: RunId, record: &TokenRecord) -> rusqlite::Result<()> {
    encode(record).map_or(Ok(()), |data| put_bytes(conn, id, &data))
}

/// The same with bytes as they were written once.
pub(super) fn put_bytes(conn: &Connection, id: RunId, data: &[u8]) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO run_tokens (id, data) VALUES (?1, ?2)")?.execute(params![id.0, data]).map(drop)
}

/// A record as it lies on the disk, by the id of its run. Columns `id, data`.
pub(super) fn bytes(row: &Row<'_>) -> (RunId, Vec<u8>) {
    (RunId(row.get(0).unwrap_or(0)), row.get(1).unwrap_or_default())
}

/// Fails where the table is missing.
pub(super) fn try_out(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare("SELECT id, data FROM run_tokens").map(drop)
}

impl Store {
    /// A run with everything and what was found of each token, where that was kept; hidden or not.
    pub fn run_with_tokens(&mut self, id: RunId) -> Option<Run> {
        let run = self.run(id)?;
        let data = self.read(|conn| {
            let mut statement = conn.prepare_cached("SELECT id, data FROM run_tokens WHERE id = ?1")?;
            statement.query_row([id.0], |row| Ok(bytes(row).1)).optional()
        });
        let tokens = data.as_deref().and_then(decode);
        if data.is_some() && tokens.is_none() {
            log::warn!("what was found of the tokens of run {} cannot be understood", id.0);
        }
        Some(Run { tokens: tokens.map(std::sync::Arc::new), ..run })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{QualityLayout, TOP, TokenScore};
    use proptest::prelude::*;

    /// A record of a text of these words, of which all but the first are scored.
    fn record(words: &[String], figures: &[f32]) -> TokenRecord {
        let mut ends = Vec::new();
        let text = words.iter().fold(String::new(), |mut text, word| {
            text.push_str(word);
            ends.push(text.len() as u32);
            text
        });
        let scored = |(at, figure): (usize, &f32)| {
            let side = std::array::from_fn::<_, TOP, _>(|i| ((at * TOP + i) as u32, figure / (i + 1) as f32));
            let score = TokenScore {
                nll_ref: *figure,
                nll_cand: figure * 1.5,
                kld: figure.abs(),
                delta_p: -figure,
                same_top: at % 2 == 0,
                rank_ref: at as u32 + 1,
                rank_cand: 70_000,
                top_ref: side,
                top_cand: side,
            };
            (at as u64 + 1, score)
        };
        let scores: Vec<(u64, TokenScore)> = figures.iter().take(words.len().saturating_sub(1)).enumerate().map(scored).collect();
        let layout = QualityLayout { text, ends, n_ctx: 512, chunks: 1, scored: scores.len() as u64, side_by_side: true };
        let refs = scores.iter().map(|(at, score)| (*at, score));
        TokenRecord::of(&layout, &["Why?".into()], |id| (id % 3 > 0).then_some("é"), refs).unwrap_or_default()
    }

    #[test]
    fn a_score_takes_few_bytes_and_too_many_are_not_kept() {
        let words: Vec<String> = (0..2_001).map(|n| format!(" w{}", n % 10)).collect();
        let record = record(&words, &[0.25; 2_000]);
        let bytes = encode(&record).unwrap();
        assert!(bytes.len() < 2_000 * 130, "{} bytes", bytes.len());
        let scores = record.scores.iter().cycle().take(TokenRecord::MOST + 1).map(|(at, score)| (*at, score));
        assert_eq!(TokenRecord::of(&record.layout, &[], |_| None, scores), None);
    }

    #[test]
    fn what_does_not_fit_together_is_not_taken() {
        let words: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let sound = record(&words, &[1.0, 2.0]);
        assert_eq!(decode(&encode(&sound).unwrap()), Some(sound.clone()));
        let mut beyond = sound.clone();
        beyond.scores[1].0 = 3;
        let mut long = sound.clone();
        long.layout.ends[2] = 4;
        let mut twice = sound.clone();
        twice.scores[1].0 = 1;
        for bad in [beyond, long, twice] {
            assert_eq!(decode(&encode(&bad).unwrap()), None);
        }
        let mut newer = encode(&sound).unwrap();
        newer[0] = FORM + 1;
        assert_eq!(decode(&newer), None);
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_was(words in prop::collection::vec("\\PC{1,6}", 2..30), figures in prop::collection::vec(-9f32..9.0, 1..30)) {
            let record = record(&words, &figures);
            prop_assert_eq!(decode(&encode(&record).unwrap()), Some(record));
        }

        #[test]
        fn damage_is_survived(noise in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..400, flip in 0usize..400) {
            decode(&noise);
            let words: Vec<String> = (0..8).map(|n| format!("w{n}")).collect();
            let mut bytes = encode(&record(&words, &[0.5; 7])).unwrap();
            if let Some(byte) = bytes.get_mut(flip) {
                *byte ^= 0x55;
            }
            bytes.truncate(cut.max(1));
            decode(&bytes);
        }
    }
}
