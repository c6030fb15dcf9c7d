//! The data on the device: all of it if it fits, else a window through which the rows of each submit pass.
//!
//! The rows of a step depend on its number only, so the host can lay them out in the order in which the device will
//! read them; the result has the same bits.

use std::sync::Arc;

use crate::engine::EngineError;
use crate::population::random::shuffle_keys;
use crate::population::tables::StepRow;
use crate::population::{Buffer, Population};
use crate::step::memory::{Table, Values};

use super::{Device, upload};

/// The data of an engine on its device.
pub struct DataWindow {
    pub values: wgpu::Buffer,
    pub scaling: wgpu::Buffer,
    pub targets: wgpu::Buffer,
    table: Arc<Table>,
    /// Rows that the window holds; `None` if all rows stay on the device.
    rows: Option<usize>,
}

impl DataWindow {
    /// Uploads the data, or makes a window within the device's budget for data.
    pub fn new(device: &Device, population: &Population, table: Arc<Table>) -> Result<Self, EngineError> {
        let limit = device.limits.max_storage_buffer_binding_size.min(device.limits.max_buffer_size);
        let budget = device.options.data_memory.unwrap_or(limit).min(limit);
        let row_bytes = row_bytes(&table) as u64;
        let scaling: Vec<[f32; 2]> = match &table.values {
            Values::Bytes { shift, factor, .. } => shift.iter().zip(factor).map(|(&s, &f)| [s, f]).collect(),
            Values::Floats(_) => vec![[0.0, 1.0]],
        };
        let scaling = upload(device, "the scaling of the data", bytemuck::cast_slice(&scaling))?;
        if table.rows() as u64 * row_bytes <= budget {
            let mut words = match &table.values {
                Values::Bytes { values, .. } => values.clone(),
                Values::Floats(values) => bytemuck::cast_slice(values).to_vec(),
            };
            words.resize(words.len().next_multiple_of(4), 0);
            return Ok(DataWindow {
                values: upload(device, "the data", &words)?,
                targets: upload(device, "the targets", bytemuck::cast_slice(&table.targets))?,
                scaling,
                table,
                rows: None,
            });
        }
        // One step of all members must fit, even beyond the budget.
        let least = population.sizes[Buffer::Index as usize];
        let rows = ((budget / row_bytes.max(1)) as usize).max(least);
        Ok(DataWindow {
            values: device.storage("a window of the data", rows as u64 * row_bytes)?,
            targets: device.storage("a window of the targets", 4 * rows as u64)?,
            scaling,
            table,
            rows: Some(rows),
        })
    }

    /// Whether features are stored as bytes.
    pub fn is_bytes(&self) -> bool {
        matches!(self.table.values, Values::Bytes { .. })
    }

    /// Number of steps at the front of `steps` (`[S, K]`) whose rows fit into the window, at least one.
    pub fn steps_that_fit(&self, steps: &[StepRow], members: usize) -> usize {
        let Some(capacity) = self.rows else { return steps.len() / members };
        let mut used = 0;
        let fits = steps.chunks(members).take_while(|step| {
            used += step.iter().map(|s| s.rows as usize).sum::<usize>();
            used <= capacity
        });
        fits.count().max(1)
    }

    /// If the data stream: uploads the rows of `steps`, and changes the steps to refer to them.
    pub fn fill(&self, device: &Device, population: &Population, steps: &mut [StepRow]) {
        if self.rows.is_none() {
            return;
        }
        let table = &*self.table;
        let total: usize = steps.iter().map(|s| s.rows as usize).sum();
        let mut bytes = Vec::with_capacity(total * row_bytes(table) + 4);
        let mut targets = Vec::with_capacity(total);
        let members = population.len();
        for (at, step) in steps.iter_mut().enumerate() {
            let member = &population.members[at % members];
            let keys = shuffle_keys(member.training.seed, step.epoch);
            let (first, shuffled) = (step.first, step.flags & StepRow::SHUFFLED != 0);
            step.first = targets.len() as u32;
            step.flags &= !StepRow::SHUFFLED;
            for position in first..first + step.rows {
                let row = if shuffled { member.row.training_row(keys, position) } else { position } as usize;
                let (begin, end) = (row * table.features, (row + 1) * table.features);
                match &table.values {
                    Values::Bytes { values, .. } => bytes.extend_from_slice(&values[begin..end]),
                    Values::Floats(values) => {
                        bytes.extend_from_slice(bytemuck::cast_slice(&values[begin..end]))
                    }
                }
                targets.push(table.targets[row]);
            }
        }
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        device.queue.write_buffer(&self.values, 0, &bytes);
        device.queue.write_buffer(&self.targets, 0, bytemuck::cast_slice(&targets));
    }
}

/// Bytes of one row on the device.
fn row_bytes(table: &Table) -> usize {
    match table.values {
        Values::Bytes { .. } => table.features,
        Values::Floats(_) => 4 * table.features,
    }
}
