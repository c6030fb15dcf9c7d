//! Reads roles back to the host, through one persistent buffer.

use std::ops::Range;

use crate::engine::EngineError;
use crate::population::Buffer;

use super::{GpuEngine, contents};

/// Bytes of one piece of a readback.
const READ_BACK: u64 = 32 << 20;

impl GpuEngine {
    /// Elements of some roles: one submit, or several if they are long.
    pub(super) fn read_back(
        &mut self,
        regions: &[(Buffer, Range<usize>)],
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let mut found: Vec<Vec<f32>> = regions.iter().map(|(_, r)| Vec::with_capacity(r.len())).collect();
        // (region, first byte in its role, bytes), as many at once as fit.
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        for (at, (_, range)) in regions.iter().enumerate() {
            let (mut start, end) = (4 * range.start as u64, 4 * range.end as u64);
            while start < end {
                let len = (end - start).min(READ_BACK - bytes);
                pieces.push((at, start, len));
                (start, bytes) = (start + len, bytes + len);
                if bytes == READ_BACK {
                    self.read_pieces(regions, &pieces, &mut found)?;
                    pieces.clear();
                    bytes = 0;
                }
            }
        }
        if !pieces.is_empty() {
            self.read_pieces(regions, &pieces, &mut found)?;
        }
        Ok(found)
    }

    /// Reads pieces, (region, first byte in its role, bytes), and appends them to their regions.
    fn read_pieces(
        &mut self,
        regions: &[(Buffer, Range<usize>)],
        pieces: &[(usize, u64, u64)],
        found: &mut [Vec<f32>],
    ) -> Result<(), EngineError> {
        let bytes: u64 = pieces.iter().map(|(_, _, len)| len).sum();
        let what = pieces.first().map_or("nothing", |&(at, ..)| contents(regions[at].0));
        // Until the buffer is put back its state is unknown: after a failed call it is not used again.
        let staging = match self.buffers.roles_staging.take().filter(|staging| staging.size() >= bytes) {
            Some(staging) => staging,
            None => self.device.staging(what, bytes)?,
        };
        let mut encoder = self.device.device.create_command_encoder(&Default::default());
        let mut to = 0;
        for &(at, start, len) in pieces {
            let role = &self.roles[regions[at].0 as usize];
            encoder.copy_buffer_to_buffer(role, start, &staging, to, len);
            to += len;
        }
        self.device.submit_and_read(encoder.finish(), &staging, bytes, what, |view| {
            let mut rest = view;
            for &(at, _, len) in pieces {
                let (now, later) = rest.split_at(len as usize);
                found[at].extend(bytemuck::pod_collect_to_vec::<u8, f32>(now));
                rest = later;
            }
        })?;
        self.buffers.roles_staging = Some(staging);
        Ok(())
    }
}
