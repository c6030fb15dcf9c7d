//! What the CPU twins of the operations work on: one member's memory and its view of the data.

use crate::population::tables::{MemberRow, Record, StepRow};
use crate::population::{Buffer, Member};

use super::real::Real;

/// Feature values of all rows, `[N, F]`.
#[derive(Clone, Debug)]
pub enum Values {
    /// Bytes as stored; the network sees (byte - shift) · factor.
    Bytes {
        values: Vec<u8>,
        shift: Vec<f32>,
        factor: Vec<f32>,
    },
    Floats(Vec<f32>),
}

/// The data of a population: training rows first, then validation, then test.
#[derive(Clone, Debug)]
pub struct Table {
    pub values: Values,
    /// Features of a row.
    pub features: usize,
    /// Class (as u32), or value (bits of f32), of each row.
    pub targets: Vec<u32>,
}

impl Table {
    /// Rows.
    pub fn rows(&self) -> usize {
        self.targets.len()
    }
}

/// One member's memory on the CPU, region by region as [`Buffer`] says.
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
    /// Scale of the gradients (clipping).
    pub scale: R,
    /// First step at which a non-finite number was seen.
    pub first_bad: u32,
    /// Per-feature sums while a layer is worked on, `[3, widest layer]`.
    pub columns: Vec<R>,
    /// What the step reports.
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
            scale: R::ONE,
            first_bad: Record::FINITE,
            columns: vec![R::ZERO; 3 * widest],
            record: Record::default(),
        }
    }

    /// The values of a float role; `None` for `Index` and `State`, which hold integers.
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
            Buffer::Index | Buffer::State => return None,
        })
    }

    /// As [`Memory::floats`], to be written.
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
            Buffer::Index | Buffer::State => return None,
        })
    }
}

/// One member in one step, as a twin sees it.
pub struct Context<'a, R> {
    pub member: &'a Member,
    pub step: StepRow,
    pub table: &'a Table,
    pub memory: &'a mut Memory<R>,
}

impl<R: Real> Context<'_, R> {
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
    /// Notes the step as bad where `finite` is false.
    #[inline(always)]
    pub fn check(&mut self, finite: bool) {
        if !finite {
            self.memory.first_bad = self.memory.first_bad.min(self.step.step);
        }
    }
}
