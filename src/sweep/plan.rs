//! How many members train at once, and how long a sweep will take: from memory, and from speed measured on the spot.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{DeviceSource, EngineError, EngineFactory};
use crate::population::tables::LayerRow;
use crate::population::{Member, Population, Room};
use crate::spec::Halving;
use crate::train::{Pace, Problem, Stepper};

use super::schedule::rungs;

/// Most slots of a population, however much memory there is.
pub const MOST_SLOTS: usize = 256;
/// Share of the known memory that populations may take.
const SHARE: f64 = 0.5;
/// Shortest time of one measurement.
const LONG_ENOUGH: Duration = Duration::from_millis(60);
/// Most members to measure: those of a larger population are no faster.
const MEASURED: usize = 64;
/// Factor on the time of the steps for evaluation and checkpoints.
const BESIDE_STEPS: f64 = 1.25;
/// Further seconds at the end of each epoch, for the record and the copy of a better model.
const EPOCH_S: f64 = 0.001;
/// Seconds to write the files of one training.
const FILES_S: f64 = 0.02;

/// Slots and memory of a lane's population.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    pub slots: usize,
    pub room: Room,
}

/// Measured speed of a device with a mixture of members.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    /// Mean seconds per step of one member among the others.
    step_s: f64,
    /// Floating-point operations of that step.
    step_flops: f64,
}

impl Speed {
    /// Seconds that a training of `member` takes among others, its files included.
    pub fn seconds(&self, member: &Member) -> f64 {
        // As a rule of thumb for small networks, half of a step's time is not arithmetic.
        let share = (1.0 + flops(member) / self.step_flops) / 2.0;
        let steps = member.total_steps();
        let epochs = steps.div_ceil(member.walk.steps_per_epoch);
        BESIDE_STEPS * steps as f64 * self.step_s * share + epochs as f64 * EPOCH_S + FILES_S
    }
}

/// Floating-point operations of a member's step: 2·B·Σ I·O forward, as many for the weights' gradients, and for the
/// inputs' of all layers but the first. Those of a sub-model count for each.
pub fn flops(member: &Member) -> f64 {
    let terms = |l: &LayerRow| l.products().map_or(0.0, |of| of.rows as f64 * of.weights() as f64);
    let all: f64 = member.layers.iter().map(terms).sum();
    2.0 * member.walk.batch as f64 * (3.0 * all - member.layers.first().map_or(0.0, terms))
}

/// Room for `slots` members like `members` on `lanes` lanes of a device, or for as many as fit into memory; None
/// if the largest of them does not fit.
pub fn fit(source: &dyn DeviceSource, members: &[&Member], slots: usize, lanes: usize) -> Option<Slots> {
    let largest = source.largest_role().unwrap_or(u64::MAX);
    let all = source.memory().map_or(u64::MAX, |bytes| (bytes as f64 * SHARE) as u64) / lanes.max(1) as u64;
    let fits = |room: &Room| {
        let roles = room
            .sizes
            .iter()
            .all(|&elements| 4 * elements as u64 <= largest && u32::try_from(elements).is_ok());
        roles && room.bytes() <= all
    };
    // The most that fit, by bisection.
    let (mut least, mut most) = (0, slots.max(1));
    while least < most {
        let middle = (least + most).div_ceil(2);
        match fits(&Room::for_members(members, middle)) {
            true => least = middle,
            false => most = middle - 1,
        }
    }
    (least > 0).then(|| Slots { slots: least, room: Room::for_members(members, least) })
}

/// Times some steps of the first `members` together, as many as fit into `slots`. The results are discarded.
///
/// # Errors
/// [`EngineError`] of the device.
pub fn measure(
    factory: &dyn EngineFactory,
    problem: &Problem,
    members: &[Arc<Member>],
    slots: usize,
) -> Result<Speed, EngineError> {
    let members = &members[..members.len().min(slots).min(MEASURED)];
    let population = Arc::new(Population::new(members.to_vec()));
    let mut stepper = Stepper::new(factory, population, problem.table.clone(), Pace::default().backoff);
    stepper.set_up(&[])?;
    let (mut step, mut count) = (0, 1);
    loop {
        let starts: Vec<_> = (0..members.len()).map(|slot| (slot, step)).collect();
        let took = stepper.train(&starts, count as usize)?.took;
        // The first step compiles and warms up.
        if step > 0 && (took >= LONG_ENOUGH || count >= 4096) {
            let k = members.len().max(1) as f64;
            let step_s = took.as_secs_f64() / (count as f64 * k);
            let step_flops = members.iter().map(|member| flops(member)).sum::<f64>() / k;
            log::info!("measured: {k} members, {:.2} GFLOP/s", step_flops / step_s / 1e9);
            return Ok(Speed { step_s, step_flops });
        }
        step += count;
        let wanted = 1.5 * LONG_ENOUGH.as_secs_f64() / took.as_secs_f64().max(1e-6);
        count = ((count as f64 * wanted) as u64).clamp(count, 16 * count);
    }
}

/// Share of the work of full trainings that remains with successive halving over `trials` trials of `epochs` epochs:
/// halving is expected to let 1/η continue at each rung.
pub fn halving_share(halving: Option<Halving>, trials: u64, epochs: u64) -> f64 {
    let Some(Halving { eta, .. }) = halving else { return 1.0 };
    let ends = rungs(halving, epochs).into_iter().chain([epochs]);
    let (mut alive, mut from, mut work) = (trials as f64, 0, 0.0);
    for end in ends {
        work += alive * (end - from) as f64;
        (alive, from) = ((alive / f64::from(eta)).max(1.0), end);
    }
    work / (trials as f64 * epochs as f64).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_left_by_halving_is_the_sum_over_the_rungs() {
        let halving = |eta, min_epochs| Some(Halving { eta, min_epochs });
        // 81 trials of 27 epochs: 81 x 1 + 27 x 2 + 9 x 6 + 3 x 18 epochs.
        let share = halving_share(halving(3, 1), 81, 27);
        assert!((share - (81.0 + 54.0 + 54.0 + 54.0) / (81.0 * 27.0)).abs() < 1e-12, "{share}");
        assert_eq!(halving_share(None, 10, 10), 1.0);
        assert_eq!(halving_share(halving(3, 10), 10, 10), 1.0);
    }
}
