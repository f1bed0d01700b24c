//! Who reads what next, and with how many cores: the order of a run whose models read at the same time.
//!
//! A model on one core computes more than half of what it does on two: its threads wait for each other after every operation, and for
//! whichever of them the system has taken off its core. So as many models read at once as there are cores, each on its own, and a reader
//! only gets more where nothing else could use them: at the beginning, at the end, and where there are more cores than models.
//!
//! The reference (reader 0) is first through every step. It may be [`AHEAD`] steps ahead of the slowest candidate, so that nobody waits at
//! the end of a step for the rest; its rows are kept for so long.

/// Steps of which the reference's rows are kept at most: what the readers have still to compare, and one to go on with.
const AHEAD: usize = 2;

/// The state of a run. Plain numbers: whoever shares it locks it.
#[derive(Debug)]
pub(super) struct Board {
    readers: Vec<Place>,
    steps: usize,
    workers: usize,
    busy: usize,
    free: usize,
}

/// Where a reader is.
#[derive(Debug)]
struct Place {
    /// Steps it has read and that have been compared
    done: usize,
    taken: bool,
    /// What a step takes it, as far as is known; only compared with others
    cost: f64,
    /// Most cores it may use
    most: usize,
}

/// What a worker has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) reader: usize,
    pub(super) step: usize,
    /// Cores to begin with
    pub(super) cores: usize,
}

impl Board {
    /// For readers with a guess at what a step costs each and the cores it may use, the reference first; at most `workers` read at once.
    pub(super) fn new(readers: &[(f64, usize)], steps: usize, cores: usize, workers: usize) -> Self {
        let place = |(cost, most): &(f64, usize)| Place { done: 0, taken: false, cost: *cost, most: (*most).max(1) };
        Self { readers: readers.iter().map(place).collect(), steps, workers, busy: 0, free: cores.max(1) }
    }

    /// Whether all is read.
    pub(super) fn is_finished(&self) -> bool {
        self.readers.iter().all(|reader| reader.done >= self.steps)
    }

    /// Whether all that is left is being read: a worker that becomes free now has nothing to do, until the others hand cores over.
    pub(super) fn is_ending(&self) -> bool {
        self.workers > 1 && self.readers.iter().all(|reader| reader.done + usize::from(reader.taken) >= self.steps)
    }

    /// Whether a reader has read everything.
    pub(super) fn has_finished(&self, reader: usize) -> bool {
        self.readers.get(reader).is_none_or(|reader| reader.done >= self.steps)
    }

    /// The first step that a candidate has still to be compared in.
    pub(super) fn oldest(&self) -> usize {
        self.readers.iter().skip(1).map(|candidate| candidate.done).min().unwrap_or(usize::MAX)
    }

    /// The next task, unless there is none yet or no core for it.
    pub(super) fn take(&mut self) -> Option<Task> {
        if self.free == 0 {
            return None;
        }
        // the reference first, since all others need it; then who is behind; then who takes longest, so that all end together
        let reader = (0..self.readers.len()).filter(|reader| self.is_ready(*reader)).min_by(|a, b| {
            let key = |reader: usize| self.readers.get(reader).map_or((0, 0.0), |place| (place.done, -place.cost));
            let ((done_a, cost_a), (done_b, cost_b)) = (key(*a), key(*b));
            (*a != 0).cmp(&(*b != 0)).then(done_a.cmp(&done_b)).then(cost_a.total_cmp(&cost_b))
        })?;
        let place = self.readers.get_mut(reader)?;
        place.taken = true;
        let step = place.done;
        self.busy += 1;
        Some(Task { reader, step, cores: self.share(reader, 0) })
    }

    /// Gives `held` cores back and takes what a reader gets now: all that nobody else has a use for.
    pub(super) fn share(&mut self, reader: usize, held: usize) -> usize {
        self.free += held;
        let ready = (0..self.readers.len()).filter(|reader| self.is_ready(*reader)).count();
        let waiting = ready.min(self.workers - self.busy.min(self.workers));
        let most = self.readers.get(reader).map_or(1, |place| place.most);
        let cores = (self.free / (1 + waiting)).clamp(1, most);
        self.free = self.free.saturating_sub(cores);
        cores
    }

    /// A task is done, `held` cores are free again; `cost` is what it took, in seconds of a core.
    pub(super) fn done(&mut self, reader: usize, held: usize, cost: f64) {
        self.free += held;
        self.busy = self.busy.saturating_sub(1);
        if let Some(place) = self.readers.get_mut(reader) {
            (place.taken, place.done, place.cost) = (false, place.done + 1, cost);
        }
    }

    fn is_ready(&self, reader: usize) -> bool {
        let Some(place) = self.readers.get(reader).filter(|place| !place.taken && place.done < self.steps) else { return false };
        match reader {
            0 => self.readers.len() == 1 || place.done < self.oldest().saturating_add(AHEAD),
            _ => self.readers.first().is_some_and(|reference| place.done < reference.done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(reader: usize, step: usize, cores: usize) -> Option<Task> {
        Some(Task { reader, step, cores })
    }

    #[test]
    fn the_reference_begins_with_all_cores_and_then_each_reads_on_its_own() {
        let mut board = Board::new(&[(2.0, 2), (1.0, 2), (3.0, 2), (2.0, 2)], 2, 2, 2);
        assert_eq!((board.take(), board.take()), (task(0, 0, 2), None));
        board.done(0, 2, 1.0);
        assert_eq!(board.take(), task(0, 1, 1), "the reference goes ahead");
        assert_eq!(board.take(), task(2, 0, 1), "the longest first");
        board.done(0, 1, 1.0);
        assert_eq!(board.take(), task(3, 0, 1));
        board.done(2, 1, 3.0);
        assert_eq!(board.take(), task(1, 0, 1), "who is behind");
        board.done(3, 1, 2.0);
        board.done(1, 1, 1.0);
        assert_eq!(board.oldest(), 1);
        assert!(!board.is_ending());
        let last: Vec<_> = std::iter::from_fn(|| board.take()).collect();
        assert_eq!(last, [task(2, 1, 1), task(3, 1, 1)].map(Option::unwrap));
        board.done(2, 1, 3.0);
        assert_eq!(board.take(), task(1, 1, 1));
        assert!(board.is_ending() && board.has_finished(2) && !board.has_finished(3));
        board.done(3, 1, 2.0);
        assert_eq!(board.share(1, 1), 2, "the last one gets what is left");
        assert!(!board.is_finished());
        board.done(1, 2, 1.0);
        assert!(board.is_finished() && board.take().is_none());
    }

    #[test]
    fn a_reader_that_used_everything_gives_way() {
        let mut board = Board::new(&[(1.0, 4), (1.0, 4), (1.0, 1)], 9, 4, 3);
        assert_eq!(board.take(), task(0, 0, 4));
        board.done(0, 4, 1.0);
        assert_eq!(board.take(), task(0, 1, 1), "two others are ready");
        assert_eq!(board.take(), task(1, 0, 1));
        assert_eq!(board.take(), task(2, 0, 1), "more was not allowed");
        assert_eq!(board.share(1, 1), 2, "what it left goes to another");
        board.done(2, 1, 1.0);
        board.done(0, 1, 1.0);
        assert_eq!(board.take(), task(2, 1, 1));
        assert_eq!(board.take(), None, "two steps of rows are kept, and reader 1 is in the first");
    }

    #[test]
    fn nothing_is_compared_with_what_was_not_read_and_little_is_kept() {
        let mut board = Board::new(&[(1.0, 1), (5.0, 1), (1.0, 1), (2.0, 1)], 20, 3, 3);
        let mut running: Vec<(Task, u32)> = Vec::new();
        let mut rounds = 0;
        while !board.is_finished() {
            while let Some(task) = board.take() {
                running.push((task, [1, 5, 1, 2][task.reader]));
            }
            let read = board.readers[0].done;
            assert!(read <= board.oldest() + AHEAD, "{board:?}");
            assert!(running.iter().all(|(task, _)| task.reader == 0 || task.step < read), "{board:?}");
            running.iter_mut().for_each(|(_, left)| *left -= 1);
            running.extract_if(.., |(_, left)| *left == 0).for_each(|(task, _)| board.done(task.reader, task.cores, 1.0));
            rounds += 1;
            assert!(rounds < 1000);
        }
        assert_eq!(rounds, 101, "nobody makes the slowest wait");
    }

    #[test]
    fn a_reference_alone_reads_on_all_cores() {
        let mut board = Board::new(&[(1.0, 8)], 3, 8, 1);
        for step in 0..3 {
            assert_eq!(board.take(), task(0, step, 8));
            assert_eq!(board.share(0, 8), 8);
            board.done(0, 8, 1.0);
        }
        assert!(board.is_finished());
    }
}
