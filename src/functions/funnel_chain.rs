//! The funnel of one group: how far a chain of distinct rows gets through the steps within the window. Exact also
//! when many rows share an instant. Knows nothing of columns, groups or SQL.
//!
//! Walks the instants in order and keeps for each level the latest first row among the chains that reached it. That
//! is enough: a later start is never worse for the window, and a row of an earlier instant may always follow.

use crate::functions::conditions::CONDITIONS_MAX;
use crate::functions::matched_rows::{MatchedRow, keep_enough, sort_by_time};
use crate::functions::time_window::Window;

/// Whether consecutive rows of a chain may share an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They may: rows of one instant are in any order that helps.
    Default,
    /// Each must be later than the one before.
    StrictIncrease,
}

/// The walk; made once and used for one group after the other.
#[derive(Debug)]
pub struct Chain {
    steps: usize,
    mode: Mode,
    window: Window,
    /// best[i]: the latest first row of a chain through steps 0..=i, if bit i of `reached` is set.
    best: [i64; CONDITIONS_MAX],
    reached: u64,
    instant: Instant,
}

impl Chain {
    pub fn new(steps: usize, mode: Mode, window: Window) -> Self {
        Chain { steps, mode, window, best: [0; CONDITIONS_MAX], reached: 0, instant: Instant::default() }
    }

    /// The number of steps reached by the best chain, 0 when no row satisfies the first. The rows get sorted by time.
    pub fn level(&mut self, rows: &mut [MatchedRow]) -> i64 {
        sort_by_time(rows);
        self.reached = 0;
        let complete = 1u64 << (self.steps - 1);
        let mut start = 0;
        while start < rows.len() && self.reached & complete == 0 {
            let ticks = rows[start].ticks;
            let mut end = start + 1;
            let mut union = rows[start].mask;
            while end < rows.len() && rows[end].ticks == ticks {
                union |= rows[end].mask;
                end += 1;
            }
            // In strict_increase a chain takes one row of an instant at most, so their union does for all of them.
            if end - start == 1 || self.mode == Mode::StrictIncrease {
                self.extend(ticks, union);
            } else {
                self.extend_tied(ticks, union, &rows[start..end]);
            }
            start = end;
        }
        i64::from(64 - self.reached.leading_zeros())
    }

    /// Extends the chains by one row. Highest step first, so that the row is not used twice.
    #[inline]
    fn extend(&mut self, ticks: i64, mask: u64) {
        let mut steps = mask & (self.reached << 1 | 1);
        while steps != 0 {
            let step = 63 - steps.leading_zeros() as usize;
            steps &= !(1 << step);
            if step == 0 {
                self.keep(0, ticks);
            } else if self.window.holds(self.best[step - 1], ticks) {
                self.keep(step, self.best[step - 1]);
            }
        }
    }

    /// Extends the chains by several rows of one instant: through steps low..=step when those can be matched to
    /// distinct rows. For each step the smallest such `low` gives the latest start, because best[] falls with the
    /// level; as `step` rises `low` never falls.
    fn extend_tied(&mut self, ticks: i64, union: u64, rows: &[MatchedRow]) {
        // Rows of one condition each cannot compete for a step with another's: no matching needed.
        let overlap = rows.iter().any(|row| !row.mask.is_power_of_two());
        if overlap {
            self.instant.load(rows, self.steps);
        }
        let mut starts = [None; CONDITIONS_MAX];
        let mut low = 0;
        for (step, start) in starts.iter_mut().enumerate().take(self.steps) {
            if union >> step & 1 == 0 {
                low = step + 1;
                self.instant.release_all();
                continue;
            }
            while overlap && !self.instant.place(step) {
                self.instant.release(low);
                low += 1;
            }
            if low == 0 {
                *start = Some(ticks);
            } else if self.reached >> (low - 1) & 1 == 1 && self.window.holds(self.best[low - 1], ticks) {
                *start = Some(self.best[low - 1]);
            }
        }
        // Only now: the starts above had to come from chains that end before this instant.
        for (step, start) in starts.into_iter().enumerate() {
            if let Some(start) = start {
                self.keep(step, start);
            }
        }
    }

    #[inline]
    fn keep(&mut self, step: usize, start: i64) {
        let bit = 1u64 << step;
        if self.reached & bit == 0 || self.best[step] < start {
            self.best[step] = start;
            self.reached |= bit;
        }
    }
}

/// Steps matched to distinct rows of one instant, grown a step at a time by augmenting paths (Kuhn's algorithm).
#[derive(Debug, Default)]
struct Instant {
    /// Masks of the rows that can matter: at most steps x steps.
    masks: Vec<u64>,
    /// The step each row is given to.
    owner: Vec<Option<u8>>,
    /// The round in which each row was last tried.
    tried: Vec<u32>,
    round: u32,
}

impl Instant {
    fn load(&mut self, rows: &[MatchedRow], steps: usize) {
        let mut counts = [0; CONDITIONS_MAX];
        self.masks.clear();
        self.masks.extend(rows.iter().map(|row| row.mask).filter(|mask| keep_enough(&mut counts, steps, *mask)));
        self.owner.clear();
        self.owner.resize(self.masks.len(), None);
        self.tried.clear();
        self.tried.resize(self.masks.len(), 0);
        self.round = 0;
    }

    /// Gives `step` a row of its own, moving other steps to other rows where that helps; false when there is none.
    fn place(&mut self, step: usize) -> bool {
        self.round += 1;
        self.augment(step)
    }

    /// At most one level of recursion for each step that has a row.
    fn augment(&mut self, step: usize) -> bool {
        for row in 0..self.masks.len() {
            if self.masks[row] >> step & 1 == 0 || self.tried[row] == self.round {
                continue;
            }
            self.tried[row] = self.round;
            let free = match self.owner[row] {
                None => true,
                Some(owner) => self.augment(usize::from(owner)),
            };
            if free {
                self.owner[row] = Some(step as u8);
                return true;
            }
        }
        false
    }

    fn release(&mut self, step: usize) {
        for owner in self.owner.iter_mut().filter(|owner| **owner == Some(step as u8)) {
            *owner = None;
        }
    }

    fn release_all(&mut self) {
        self.owner.fill(None);
    }
}
