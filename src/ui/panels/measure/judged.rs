//! The board and everything that is drawn from it, made anew only when the runs, the question or the design in use have changed.

use crate::measure::board::{Board, Question, Row};
use crate::measure::pareto::Standing;
use crate::measure::scaling::{self, ScalingChart};
use crate::protocol::{Design, Metric, Run};
use crate::ui::widgets::{Mark, ScatterPoint};

/// What a board is made of, to know when it must be made anew.
#[derive(Clone, Debug, PartialEq)]
struct Made {
    revision: [u64; 2],
    question: Question,
    current: Vec<Design>,
}

/// A board with its drawing.
#[derive(Default)]
pub(super) struct Judged {
    made: Option<Made>,
    shown: Option<Shown>,
}

/// What is drawn.
pub(super) struct Shown {
    /// The board
    pub(super) board: Board,
    /// Its points, those with both figures
    pub(super) points: Vec<ScatterPoint>,
    /// The row of each point
    pub(super) rows: Vec<usize>,
    /// The front as points
    pub(super) front: Vec<usize>,
    /// The small charts
    pub(super) charts: Vec<ScalingChart>,
}

impl Judged {
    /// The board of these runs, which are only asked for when it is made anew: `revision` counts their changes.
    pub(super) fn follow(&mut self, runs: impl FnOnce() -> Vec<Run>, revision: [u64; 2], question: &Question, current: Vec<Design>) {
        let same =
            self.made.as_ref().is_some_and(|made| made.revision == revision && made.question == *question && made.current == current);
        if same {
            return;
        }
        let board = Board::new(&runs(), question.clone(), &current);
        self.shown = Some(Shown::new(board));
        self.made = Some(Made { revision, question: question.clone(), current });
    }

    /// What was made last.
    pub(super) fn shown(&self) -> Option<&Shown> {
        self.shown.as_ref()
    }
}

impl Shown {
    fn new(board: Board) -> Self {
        let best = board.answer.as_ref().map(|answer| answer.best);
        let (x, y) = (board.question.x, board.question.y);
        let drawn = |(index, row): (usize, &Row)| Some((index, point(&board, index, row, [row.value(x)?, row.value(y)?], best)));
        let (rows, points): (Vec<usize>, Vec<ScatterPoint>) = board.rows.iter().enumerate().filter_map(drawn).unzip();
        let front = board.front.iter().filter_map(|row| rows.iter().position(|of| of == row)).collect();
        let charts = scaling::charts(&board);
        Self { points, rows, front, charts, board }
    }
}

fn point(board: &Board, index: usize, row: &Row, at: [f64; 2], best: Option<usize>) -> ScatterPoint {
    let interval = |metric: Metric| {
        let interval = row.figures.get(&metric)?.interval?;
        (interval.low.is_finite() && interval.high.is_finite()).then_some([interval.low, interval.high])
    };
    ScatterPoint {
        at,
        intervals: [interval(board.question.x), interval(board.question.y)],
        label: row.label.text(),
        words: board.hover(row),
        mark: match row.standing {
            _ if best == Some(index) => Mark::Best,
            Standing::Front => Mark::Front,
            Standing::Dominated { .. } => Mark::Dominated,
            Standing::Infeasible { .. } | Standing::Unmeasured { .. } => Mark::Barred,
        },
        is_current: board.current == Some(index),
    }
}
