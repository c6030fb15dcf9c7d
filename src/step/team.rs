//! Teams of threads that share the work on one member. In each operation they write disjoint parts of its memory; they
//! [meet](super::meeting) before a thread reads another's results.
//!
//! A sum over the rows of a batch is a tree: each of [`BLOCKS`] blocks adds its rows in order, then neighbouring blocks
//! are added in pairs. Each thread adds its own branch of the tree, then every thread adds the branches. The tree is
//! fixed, so the bits do not depend on the number of threads.

use std::ops::Range;

use super::meeting::Meeting;

/// Number of partial sums of a sum over the rows of a batch.
pub const BLOCKS: usize = 16;

/// Most terms of a product's sum that are added in one piece.
pub const LONG: usize = 512;

/// Rows per thread below which a batch is not shared.
const FEW: usize = 4;

/// The rows of block `block` of a batch of `rows`.
#[inline(always)]
pub fn block(rows: usize, block: usize) -> Range<usize> {
    rows * block / BLOCKS..rows * (block + 1) / BLOCKS
}

/// A thread's place in its team.
#[derive(Clone, Copy)]
pub struct Rank<'a> {
    rank: usize,
    of: usize,
    meeting: Option<&'a Meeting>,
}

impl<'a> Rank<'a> {
    /// The only thread.
    pub const ALONE: Rank<'static> = Rank { rank: 0, of: 1, meeting: None };

    /// Thread `rank` of a team.
    pub fn new(rank: usize, meeting: &'a Meeting) -> Rank<'a> {
        Rank { rank, of: meeting.of(), meeting: Some(meeting) }
    }
    /// Whether there are no other threads.
    #[inline(always)]
    pub fn is_alone(self) -> bool {
        self.of == 1
    }
    /// Whether this is the leader thread.
    #[inline(always)]
    pub fn is_first(self) -> bool {
        self.rank == 0
    }
    /// This thread's part of `len` elements, in multiples of `grain`.
    #[inline(always)]
    pub fn share(self, len: usize, grain: usize) -> Range<usize> {
        let grains = len.div_ceil(grain);
        let end = |rank: usize| (grains * rank / self.of * grain).min(len);
        end(self.rank)..end(self.rank + 1)
    }
    /// Number of blocks of a batch of `rows` for each thread that has any: a power of two, so that they are a branch of
    /// the tree; all, if the rows are too few to share.
    #[inline(always)]
    pub fn branch(self, rows: usize) -> usize {
        let threads = self.of.min(BLOCKS).min(rows / FEW).max(1);
        BLOCKS >> threads.ilog2()
    }
    /// This thread's blocks.
    #[inline(always)]
    pub fn blocks(self, rows: usize) -> Range<usize> {
        let branch = self.branch(rows);
        (self.rank * branch).min(BLOCKS)..((self.rank + 1) * branch).min(BLOCKS)
    }
    /// This thread's part of `len` results, shared among the threads that have blocks of a batch of `rows`.
    #[inline(always)]
    pub fn notes(self, rows: usize, len: usize) -> Range<usize> {
        let of = BLOCKS / self.branch(rows);
        if self.rank < of { (Rank { of, ..self }).share(len, 1) } else { len..len }
    }
    /// The rows of this thread's blocks.
    #[inline(always)]
    pub fn rows(self, rows: usize) -> Range<usize> {
        let blocks = self.blocks(rows);
        rows * blocks.start / BLOCKS..rows * blocks.end / BLOCKS
    }
    /// All rows for the first thread, none for the others.
    #[inline(always)]
    pub fn all_or_none(self, rows: usize) -> Range<usize> {
        if self.is_first() { 0..rows } else { rows..rows }
    }
    /// This thread's rows of a product: none, or at least two if there are two.
    #[inline(always)]
    pub fn some_rows(self, rows: usize) -> Range<usize> {
        if rows >= FEW * self.of {
            return rows * self.rank / self.of..rows * (self.rank + 1) / self.of;
        }
        self.all_or_none(rows)
    }
    /// The least rows of [`Rank::some_rows`] that a thread gets if all get some.
    #[inline(always)]
    pub fn least_rows(self, rows: usize) -> usize {
        rows / self.of
    }
    /// If half of the team works on each half of a long sum: this thread's half, and its rank there.
    #[inline(always)]
    pub fn half(self, terms: usize) -> Option<(usize, Rank<'a>)> {
        let of = self.of / 2;
        let halves = (LONG + 1..=2 * LONG).contains(&terms) && self.of.is_multiple_of(2);
        halves.then(|| (self.rank / of, Rank { rank: self.rank % of, of, ..self }))
    }
    /// Waits until all threads have arrived.
    #[inline(always)]
    pub fn meet(self) {
        if let Some(meeting) = self.meeting {
            meeting.wait(self.rank);
        }
    }
}

/// Pairs of blocks, (left, right), to add up in order. At the start, every `from`-th of `blocks` holds the sum of
/// `from` blocks; at the end, the first one holds the total.
#[inline(always)]
pub fn tree(blocks: Range<usize>, from: usize) -> impl Iterator<Item = (usize, usize)> {
    let levels = from.ilog2()..blocks.len().max(from).ilog2();
    levels.flat_map(move |level| {
        blocks.clone().step_by(2 << level).map(move |left| (left, left + (1 << level)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_sums_is_the_same_for_every_team() {
        let sorted = |mut pairs: Vec<(usize, usize)>| {
            pairs.sort();
            pairs
        };
        for of in 1..20 {
            for rows in [2, 16, 40, 61, 200] {
                let rank = |rank| Rank { rank, of, meeting: None };
                let branch = rank(0).branch(rows);
                let mut blocks: Vec<usize> = (0..of).flat_map(|r| rank(r).blocks(rows)).collect();
                blocks.sort();
                assert!(blocks.into_iter().eq(0..BLOCKS), "{of} threads, {rows} rows");
                let own = (0..of).flat_map(|r| tree(rank(r).blocks(rows), 1));
                let all = own.chain(tree(0..BLOCKS, branch)).collect();
                assert_eq!(sorted(all), sorted(tree(0..BLOCKS, 1).collect()), "{of} threads, {rows} rows");
            }
        }
        assert_eq!(tree(0..4, 1).collect::<Vec<_>>(), [(0, 1), (2, 3), (0, 2)]);
    }
}
