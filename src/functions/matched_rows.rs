//! The matched rows of many groups: what an order-sensitive aggregate keeps until it has seen everything. Rows are
//! appended in any order to one flat list (no allocation a group) and brought together by group only when they are
//! needed. Does not know what the rows are matched for.

use datafusion::logical_expr::EmitTo;

use crate::error::{Error, Kind, Result};
use crate::functions::conditions::CONDITIONS_MAX;

/// One row in which at least one condition holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MatchedRow {
    pub ticks: i64,
    /// Bit i: condition i holds.
    pub mask: u64,
}

/// What rows of one group at one instant can be replaced by without changing any answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TieRule {
    /// By one row with all their conditions: when a chain uses at most one row of an instant.
    Unite,
    /// By as many rows of each condition as there are conditions: a chain over N steps occupies at most N-1 other
    /// rows, so a step with N rows always finds a free one.
    KeepEnough,
}

/// Rows from which a compaction is tried; below, the memory is not worth the sorting.
const COMPACT_ROWS_MIN: usize = 1 << 24;

/// The matched rows of groups 0..n.
#[derive(Debug)]
pub struct MatchedRows {
    conditions: usize,
    ties: Ties,
    /// `base` + group index of each row.
    groups: Vec<u32>,
    rows: Vec<MatchedRow>,
    /// Rows before this one are emitted.
    emitted: usize,
    /// What group index 0 is called in `groups`; it rises as groups are emitted, which spares renumbering.
    base: u32,
    group_count: usize,
    /// Whether `groups` ascends.
    ordered: bool,
    compact_at: usize,
}

impl MatchedRows {
    pub fn new(conditions: usize, rule: TieRule) -> Self {
        MatchedRows {
            conditions,
            ties: Ties { rule, conditions, counts: [0; CONDITIONS_MAX], counting: false },
            groups: Vec::new(),
            rows: Vec::new(),
            emitted: 0,
            base: 0,
            group_count: 0,
            ordered: true,
            compact_at: COMPACT_ROWS_MIN,
        }
    }

    /// Says how many groups there are before rows are pushed.
    ///
    /// # Errors
    /// `OutOfMemory` beyond four billion groups.
    pub fn grow(&mut self, group_count: usize) -> Result<()> {
        let limit = u32::MAX as usize;
        if group_count > limit {
            return Err(Error::new(Kind::OutOfMemory, format!("more than {limit} groups in one aggregate")));
        }
        if self.base as usize + group_count > limit {
            self.rebase();
        }
        self.group_count = group_count;
        Ok(())
    }

    /// Adds a row of a group below the count given to [`Self::grow`].
    #[inline]
    pub fn push(&mut self, group: usize, ticks: i64, mask: u64) {
        let group = self.base + group as u32;
        if let (Some(&last_group), Some(last)) = (self.groups.last(), self.rows.last_mut()) {
            if group == last_group && ticks == last.ticks {
                if !self.ties.admit(last, mask) {
                    return;
                }
            } else {
                self.ties.counting = false;
                self.ordered &= last_group <= group;
            }
        }
        self.groups.push(group);
        self.rows.push(MatchedRow { ticks, mask });
    }

    /// Call after a batch of rows: drops ties that cannot matter once there are very many rows.
    pub fn compact_if_large(&mut self) {
        if self.rows.len() - self.emitted >= self.compact_at {
            self.compact();
            self.compact_at = COMPACT_ROWS_MIN.max(self.rows.len() * 2);
        }
    }

    /// Applies the tie rule to every instant of every group.
    pub fn compact(&mut self) {
        self.order();
        let mut write = 0;
        let mut read = self.emitted;
        while read < self.rows.len() {
            let group = self.groups[read];
            let end =
                self.groups[read..].iter().position(|other| *other != group).map_or(self.rows.len(), |n| read + n);
            sort_by_time(&mut self.rows[read..end]);
            let group_start = write;
            for at in read..end {
                let row = self.rows[at];
                if write > group_start && self.rows[write - 1].ticks == row.ticks {
                    if !self.ties.admit(&mut self.rows[write - 1], row.mask) {
                        continue;
                    }
                } else {
                    self.ties.counting = false;
                }
                self.rows[write] = row;
                self.groups[write] = group;
                write += 1;
            }
            self.ties.counting = false;
            read = end;
        }
        self.rows.truncate(write);
        self.groups.truncate(write);
        self.emitted = 0;
    }

    /// Visits the rows of each of the first groups in turn (also of groups without rows) and forgets them; the
    /// remaining groups move down. Cost is linear in all rows over all calls.
    pub fn drain(&mut self, emit_to: EmitTo, mut visit: impl FnMut(&mut [MatchedRow])) {
        let count = match emit_to {
            EmitTo::All => self.group_count,
            EmitTo::First(first) => first.min(self.group_count),
        };
        self.order();
        let mut end = self.emitted;
        for group in 0..count {
            let (start, name) = (end, self.base + group as u32);
            while self.groups.get(end) == Some(&name) {
                end += 1;
            }
            visit(&mut self.rows[start..end]);
        }
        self.emitted = end;
        self.base += count as u32;
        self.group_count -= count;
        self.ties.counting = false;
        if self.emitted == self.rows.len() {
            (self.groups, self.rows) = (Vec::new(), Vec::new());
            (self.emitted, self.base) = (0, 0);
        } else if self.emitted > self.rows.len() / 2 {
            self.rebase();
        }
    }

    /// All rows, for the holder of a single group. The order may be changed.
    pub fn single_group(&mut self) -> &mut [MatchedRow] {
        self.ties.counting = false;
        &mut self.rows[self.emitted..]
    }

    /// Bytes held. (Bringing rows together takes 16 bytes a row more for a moment.)
    pub fn size(&self) -> usize {
        self.rows.capacity() * size_of::<MatchedRow>() + self.groups.capacity() * size_of::<u32>()
    }

    /// Appends a row's bytes: 8 of time, then one for each 8 conditions, little endian.
    #[inline]
    pub fn encode(conditions: usize, row: &MatchedRow, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&row.ticks.to_le_bytes());
        bytes.extend_from_slice(&row.mask.to_le_bytes()[..conditions.div_ceil(8)]);
    }

    /// Adds what [`Self::encode`] wrote for one group.
    ///
    /// # Errors
    /// `Internal` when the bytes are no whole rows.
    pub fn push_encoded(&mut self, group: usize, bytes: &[u8]) -> Result<()> {
        let width = 8 + self.conditions.div_ceil(8);
        if !bytes.len().is_multiple_of(width) {
            return Err(Error::internal(format!("a state of {} bytes is not made of rows of {width}", bytes.len())));
        }
        for row in bytes.chunks_exact(width) {
            let (mut ticks, mut mask) = ([0; 8], [0; 8]);
            ticks.copy_from_slice(&row[..8]);
            mask[..width - 8].copy_from_slice(&row[8..]);
            self.push(group, i64::from_le_bytes(ticks), u64::from_le_bytes(mask));
        }
        Ok(())
    }

    /// Brings the rows of each group together, in their order of arrival (counting sort).
    fn order(&mut self) {
        if self.ordered {
            return;
        }
        let (groups, rows) = (&self.groups[self.emitted..], &self.rows[self.emitted..]);
        let mut slots = vec![0usize; self.group_count];
        for group in groups {
            slots[(group - self.base) as usize] += 1;
        }
        let mut start = 0;
        for slot in &mut slots {
            start += std::mem::replace(slot, start);
        }
        let mut sorted = vec![MatchedRow::default(); rows.len()];
        for (group, row) in groups.iter().zip(rows) {
            let slot = &mut slots[(group - self.base) as usize];
            sorted[*slot] = *row;
            *slot += 1;
        }
        self.rows = sorted;
        self.groups.clear();
        // Each slot now stands at the end of its group.
        for (group, end) in slots.into_iter().enumerate() {
            self.groups.resize(end, group as u32);
        }
        (self.emitted, self.base, self.ordered) = (0, 0, true);
        self.ties.counting = false;
    }

    /// Drops the emitted rows and calls the first group 0 again.
    fn rebase(&mut self) {
        self.rows.drain(..self.emitted);
        self.groups.drain(..self.emitted);
        for group in &mut self.groups {
            *group -= self.base;
        }
        (self.emitted, self.base) = (0, 0);
    }
}

/// Sorts by time unless the rows arrived that way, as they do from a sorted table.
pub fn sort_by_time(rows: &mut [MatchedRow]) {
    if !rows.is_sorted_by_key(|row| row.ticks) {
        rows.sort_by_key(|row| row.ticks);
    }
}

/// Thins the rows of one instant out by the tie rule.
#[derive(Debug)]
struct Ties {
    rule: TieRule,
    conditions: usize,
    /// Rows kept of each condition at the current instant.
    counts: [u8; CONDITIONS_MAX],
    /// Whether `counts` are of the current instant.
    counting: bool,
}

impl Ties {
    /// Whether a row of the same instant as `last`, the last row kept, must be kept too.
    fn admit(&mut self, last: &mut MatchedRow, mask: u64) -> bool {
        match self.rule {
            TieRule::Unite => {
                last.mask |= mask;
                false
            }
            TieRule::KeepEnough => {
                if !self.counting {
                    self.counting = true;
                    self.counts = [0; CONDITIONS_MAX];
                    keep_enough(&mut self.counts, self.conditions, last.mask);
                }
                keep_enough(&mut self.counts, self.conditions, mask)
            }
        }
    }
}

/// Whether one more row with these conditions can matter, having `counts` rows of each already; counts it if so.
pub fn keep_enough(counts: &mut [u8; CONDITIONS_MAX], conditions: usize, mask: u64) -> bool {
    let bits = || (0..conditions).filter(|at| mask >> at & 1 == 1);
    let keep = bits().any(|at| usize::from(counts[at]) < conditions);
    if keep {
        bits().for_each(|at| counts[at] = counts[at].saturating_add(1));
    }
    keep
}
