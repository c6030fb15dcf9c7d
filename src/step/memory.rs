//! The memory of the CPU twins: one member's memory and its view of the data.
//!
//! Several threads may work on one member. In each operation they write disjoint parts of its memory, and no sum is
//! split between them, so the result does not depend on the number of threads; between operations they wait for each
//! other.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::population::tables::{MemberRow, Record, StepRow};
use crate::population::{Buffer, Features, Member};

use super::real::Real;
use super::team::{BLOCKS, Rank};

/// Feature values of all rows, `[N, F]`.
#[derive(Clone, Debug)]
pub enum Values {
    /// Stored bytes; the network's inputs are (byte - shift) · factor.
    Bytes {
        values: Vec<u8>,
        shift: Vec<f32>,
        factor: Vec<f32>,
    },
    Floats(Vec<f32>),
}

impl Values {
    /// Bytes of one value.
    pub fn size(&self) -> usize {
        match self {
            Values::Bytes { .. } => 1,
            Values::Floats(_) => 4,
        }
    }
}

/// The data of a population: training rows first, then validation, then test.
#[derive(Clone, Debug)]
pub struct Table {
    pub values: Values,
    /// Features per row.
    pub features: usize,
    /// As [`Features::quantiles`].
    pub quantiles: Vec<Vec<f32>>,
    /// Class (as u32), or value (bits of f32), of each row.
    pub targets: Vec<u32>,
}

impl<'a> From<&'a Table> for Features<'a> {
    fn from(table: &'a Table) -> Self {
        Features { count: table.features, quantiles: &table.quantiles }
    }
}

impl Table {
    /// Rows.
    pub fn rows(&self) -> usize {
        self.targets.len()
    }

    /// Prefetches some features of a row.
    #[inline(always)]
    pub fn prefetch(&self, row: usize, features: &Range<usize>) {
        let (start, size): (*const u8, usize) = match &self.values {
            Values::Bytes { values, .. } => (values.as_ptr(), 1),
            Values::Floats(values) => (values.as_ptr().cast(), 4),
        };
        let first = size * (row * self.features + features.start);
        for at in (0..size * features.len()).step_by(64) {
            prefetch(start.wrapping_add(first + at));
        }
    }
}

/// Prefetches a cache line: a hint without a read.
#[inline(always)]
fn prefetch(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch does not fault at any address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Scratch vectors of each block of rows.
pub const SLOTS: usize = 8;

/// One member's memory on the CPU, with one region for each [`Buffer`].
#[derive(Clone, Debug)]
pub struct Memory<R> {
    pub params: Vec<R>,
    pub grads: Vec<R>,
    pub moments: Vec<R>,
    pub stats: Vec<R>,
    pub acts: Vec<R>,
    pub z: Vec<R>,
    pub dz: Vec<R>,
    pub index: Vec<u32>,
    pub row_loss: Vec<R>,
    pub partials: Vec<R>,
    pub looks: Vec<R>,
    /// Scale of the gradients (clipping).
    pub scale: R,
    /// First step at which a non-finite number was seen.
    pub first_bad: u32,
    /// Per-feature sums of the current layer, `[BLOCKS, SLOTS, widest layer]`.
    pub columns: Vec<R>,
    /// The record of the step.
    pub record: Record,
}

impl<R: Real> Memory<R> {
    /// Zeroed memory for `member`.
    pub fn new(member: &Member) -> Memory<R> {
        let of = |buffer: Buffer| vec![R::ZERO; member.sizes[buffer as usize]];
        let widest = member.layers.iter().map(|l| l.outputs as usize).max().unwrap_or(0);
        Memory {
            params: of(Buffer::Params),
            grads: of(Buffer::Grads),
            moments: of(Buffer::Moments),
            stats: of(Buffer::Stats),
            acts: of(Buffer::Acts),
            z: of(Buffer::Z),
            dz: of(Buffer::Dz),
            index: vec![0; member.capacity],
            row_loss: of(Buffer::RowLoss),
            partials: of(Buffer::Partials),
            looks: of(Buffer::Looks),
            scale: R::ONE,
            first_bad: Record::FINITE,
            columns: vec![R::ZERO; BLOCKS * SLOTS * widest],
            record: Record::default(),
        }
    }

    /// The values of a float role; `None` for `Index` and `State`, which hold integers, and for `Inputs`, which the
    /// member has.
    pub fn floats(&self, buffer: Buffer) -> Option<&Vec<R>> {
        Some(match buffer {
            Buffer::Params => &self.params,
            Buffer::Grads => &self.grads,
            Buffer::Moments => &self.moments,
            Buffer::Stats => &self.stats,
            Buffer::Acts => &self.acts,
            Buffer::Z => &self.z,
            Buffer::Dz => &self.dz,
            Buffer::RowLoss => &self.row_loss,
            Buffer::Partials => &self.partials,
            Buffer::Looks => &self.looks,
            Buffer::Index | Buffer::State | Buffer::Inputs => return None,
        })
    }

    /// As [`Memory::floats`], mutable.
    pub fn floats_mut(&mut self, buffer: Buffer) -> Option<&mut Vec<R>> {
        Some(match buffer {
            Buffer::Params => &mut self.params,
            Buffer::Grads => &mut self.grads,
            Buffer::Moments => &mut self.moments,
            Buffer::Stats => &mut self.stats,
            Buffer::Acts => &mut self.acts,
            Buffer::Z => &mut self.z,
            Buffer::Dz => &mut self.dz,
            Buffer::RowLoss => &mut self.row_loss,
            Buffer::Partials => &mut self.partials,
            Buffer::Looks => &mut self.looks,
            Buffer::Index | Buffer::State | Buffer::Inputs => return None,
        })
    }
}

/// One member in one step, for operations that run on one thread.
pub struct Context<'a, R> {
    pub member: &'a Member,
    pub step: StepRow,
    pub table: &'a Table,
    pub memory: &'a mut Memory<R>,
}

/// Elements that threads share; each thread writes its own.
pub struct Slab<R> {
    start: *mut R,
    len: usize,
}

// SAFETY: a caller that takes a part guarantees that no other thread writes there.
unsafe impl<R: Send> Send for Slab<R> {}
// SAFETY: as above.
unsafe impl<R: Send + Sync> Sync for Slab<R> {}

impl<R> Slab<R> {
    fn new(values: &mut [R]) -> Slab<R> {
        Slab { start: values.as_mut_ptr(), len: values.len() }
    }

    /// `len` elements from `at` on.
    ///
    /// # Safety
    /// No thread writes these elements meanwhile, and the memory behind the slab is still valid.
    #[inline(always)]
    pub unsafe fn part<'a>(&self, at: usize, len: usize) -> &'a [R] {
        assert!(at <= self.len && len <= self.len - at, "{len} elements at {at} of {}", self.len);
        // SAFETY: within the slab; the caller guarantees the rest.
        unsafe { std::slice::from_raw_parts(self.start.add(at), len) }
    }

    /// As [`Slab::part`], mutable.
    ///
    /// # Safety
    /// No other thread accesses these elements meanwhile, nor does the caller by another part; and the memory behind
    /// the slab is still valid.
    #[inline(always)]
    pub unsafe fn part_mut<'a>(&self, at: usize, len: usize) -> &'a mut [R] {
        assert!(at <= self.len && len <= self.len - at, "{len} elements at {at} of {}", self.len);
        // SAFETY: within the slab; the caller guarantees the rest.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }

    /// Elements from `at` on, for kernels that use strides.
    #[inline(always)]
    pub fn pointer(&self, at: usize) -> (*mut R, usize) {
        assert!(at <= self.len, "element {at} of {}", self.len);
        (self.start.wrapping_add(at), self.len - at)
    }
}

/// A [`Memory`] that the threads of a team share.
pub struct Slabs<R> {
    pub params: Slab<R>,
    pub grads: Slab<R>,
    pub moments: Slab<R>,
    pub stats: Slab<R>,
    pub acts: Slab<R>,
    pub z: Slab<R>,
    pub dz: Slab<R>,
    pub index: Slab<u32>,
    pub row_loss: Slab<R>,
    pub partials: Slab<R>,
    pub looks: Slab<R>,
    pub columns: Slab<R>,
    /// One element each.
    pub scale: Slab<R>,
    pub record: Slab<Record>,
    first_bad: Slab<u32>,
}

impl<R: Real> Slabs<R> {
    /// Shares `memory`.
    pub fn new(memory: &mut Memory<R>) -> Slabs<R> {
        Slabs {
            params: Slab::new(&mut memory.params),
            grads: Slab::new(&mut memory.grads),
            moments: Slab::new(&mut memory.moments),
            stats: Slab::new(&mut memory.stats),
            acts: Slab::new(&mut memory.acts),
            z: Slab::new(&mut memory.z),
            dz: Slab::new(&mut memory.dz),
            index: Slab::new(&mut memory.index),
            row_loss: Slab::new(&mut memory.row_loss),
            partials: Slab::new(&mut memory.partials),
            looks: Slab::new(&mut memory.looks),
            columns: Slab::new(&mut memory.columns),
            scale: Slab::new(std::slice::from_mut(&mut memory.scale)),
            record: Slab::new(std::slice::from_mut(&mut memory.record)),
            first_bad: Slab::new(std::slice::from_mut(&mut memory.first_bad)),
        }
    }

    /// First step at which a non-finite number was seen; any thread may write it at any time.
    pub fn first_bad(&self) -> &AtomicU32 {
        // SAFETY: the memory is valid while the slab is used, and has no other accesses meanwhile.
        unsafe { AtomicU32::from_ptr(self.first_bad.start) }
    }
}

/// One member in one step, as a twin sees it.
pub struct View<'a, R> {
    pub member: &'a Member,
    pub step: StepRow,
    pub table: &'a Table,
    pub memory: &'a Slabs<R>,
    pub rank: Rank<'a>,
}

impl<R: Real> View<'_, R> {
    /// The member's constants.
    pub fn row(&self) -> &MemberRow {
        &self.member.row
    }
    /// Rows of this step's batch.
    pub fn rows(&self) -> usize {
        self.step.rows as usize
    }
    /// The member's seed.
    pub fn seed(&self) -> u64 {
        self.member.training.seed
    }
    /// Scratch vector `slot` of a block of rows, for `width` features.
    ///
    /// # Safety
    /// As for [`Slab::part_mut`].
    #[inline(always)]
    pub unsafe fn scratch<'b>(&self, block: usize, slot: usize, width: usize) -> &'b mut [R] {
        let widest = self.memory.columns.len / (BLOCKS * SLOTS);
        // SAFETY: guaranteed by the caller.
        unsafe { self.memory.columns.part_mut((block * SLOTS + slot) * widest, width) }
    }
    /// Records `step` as bad if `finite` is false.
    #[inline(always)]
    pub fn check_at(&self, finite: bool, step: u32) {
        if !finite {
            self.memory.first_bad().fetch_min(step, Ordering::Relaxed);
        }
    }
    /// Records this step as bad if `finite` is false.
    #[inline(always)]
    pub fn check(&self, finite: bool) {
        self.check_at(finite, self.step.step);
    }
}
