//! Densities over a space, estimated from trials: mixtures of products of kernels.
//!
//! A mixture has one component for each trial, and one for the prior, in which each dimension is uniform on [0, 1]
//! ([`Domain::at`]). A component is a product of one kernel k for each dimension:
//!
//! p(x) = Σᵢ wᵢ Πⱼ kᵢⱼ(xⱼ) / Σᵢ wᵢ
//!
//! So the mixture keeps which values occurred *together*; a product of one mixture for each dimension does not (Falkner
//! et al. 2018, arXiv 1807.01774; Watanabe 2023, arXiv 2304.11127). With n trials that have a setting, of d dimensions,
//! its kernels are, relative to the prior:
//!
//! - A number of a range: a normal distribution around the trial's position, truncated to [0, 1], of deviation
//!   [`WIDTH`] n^(-1/(d + 4)), after Scott's rule (Scott 1992). A whole number is the interval of positions that
//!   [`Domain::at`] rounds to it; its density is the mean over the interval.
//! - One of three or more numbers of a set: the same; they are equal intervals, by size.
//! - One of another set of K values: (1 + e)/(1 + Ke) for the trial's own value and e/(1 + Ke) for each other, with
//!   e = 1/(n + 1): a kernel of Aitchison & Aitken (1976) that narrows with n.
//! - A setting that the trial lacks, because it belongs to a choice that was not made: uniform. The product is over
//!   the settings of x, so a component is a density over all settings, whatever their choices.
//!
//! `libm` gives the same bits on every system.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use rand::rngs::ChaCha8Rng;
use serde_json::Value;

use super::draw::{below, uniform};
use crate::spec::{Domain, Params, Space};

/// The deviation of a normal kernel of one trial.
const WIDTH: f64 = 0.2;

/// A density over a space, relative to the prior.
pub struct Mixture<'a> {
    space: &'a Space,
    axes: Vec<Axis>,
    components: Vec<Component>,
}

struct Component {
    weight: f64,
    /// Sum of the weights up to this component.
    until: f64,
    /// One for each dimension.
    kernels: Vec<Kernel>,
}

/// The values of a dimension on [0, 1].
struct Axis {
    /// Numbers of a set are in order.
    domain: Domain,
    /// Number of values if they have no order.
    categories: Option<usize>,
}

/// A density on [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kernel {
    Uniform,
    /// N(mean, deviation²) truncated to [0, 1], which has `mass` of it.
    Normal {
        mean: f64,
        deviation: f64,
        mass: f64,
    },
    /// On each of `of` equal parts a constant; `own` and `other` are the probabilities of part `index` and of each
    /// other part.
    Category {
        index: usize,
        of: usize,
        own: f64,
        other: f64,
    },
}

/// The positions that are one value.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    at: f64,
    from: f64,
    to: f64,
}

/// The mass of the standard normal distribution from a to b, a ≤ b.
fn normal_mass(a: f64, b: f64) -> f64 {
    let below = |x: f64| 0.5 * libm::erfc(-x * FRAC_1_SQRT_2);
    // On the right, differences of numbers near 1 would lose digits.
    if a > 0.0 { below(-a) - below(-b) } else { below(b) - below(a) }
}

impl Axis {
    fn new(domain: &Domain) -> Axis {
        let mut domain = domain.clone();
        let categories = match &mut domain {
            Domain::Range { .. } => None,
            Domain::Set(values) if values.len() > 2 && values.iter().all(Value::is_number) => {
                let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
                values.sort_by(|a, b| number(a).total_cmp(&number(b)));
                None
            }
            Domain::Set(values) => Some(values.len()),
        };
        Axis { domain, categories }
    }

    /// The place of a trial's value; None if the trial has none here.
    fn place(&self, params: &Params, key: &str) -> Option<Place> {
        let value = params.get(key)?;
        let (from, to) = self.domain.part(value)?;
        Some(Place { at: self.domain.position(value)?, from, to })
    }

    /// The kernel around a place: one of `n`, in `d` dimensions.
    fn kernel(&self, place: Place, n: usize, d: usize) -> Kernel {
        let n = n as f64;
        match self.categories {
            Some(of) => {
                let e = 1.0 / (n + 1.0);
                let own = (1.0 + e) / (1.0 + of as f64 * e);
                let own = if of == 1 { 1.0 } else { own };
                let other = (1.0 - own) / (of as f64 - 1.0).max(1.0);
                Kernel::Category { index: (place.at * of as f64) as usize, of, own, other }
            }
            None => {
                let deviation = WIDTH * libm::pow(n, -1.0 / (d as f64 + 4.0));
                Kernel::normal(place.at, deviation)
            }
        }
    }
}

impl Kernel {
    fn normal(mean: f64, deviation: f64) -> Kernel {
        Kernel::Normal { mean, deviation, mass: normal_mass(-mean / deviation, (1.0 - mean) / deviation) }
    }

    /// The density of a value.
    fn density(self, place: Place) -> f64 {
        let Place { at, from, to } = place;
        match self {
            Kernel::Uniform => 1.0,
            Kernel::Normal { mean, deviation, mass } if from < to => {
                normal_mass((from - mean) / deviation, (to - mean) / deviation) / (mass * (to - from))
            }
            Kernel::Normal { mean, deviation, mass } => {
                let z = (at - mean) / deviation;
                libm::exp(-0.5 * z * z) / (deviation * mass * (2.0 * PI).sqrt())
            }
            Kernel::Category { index, of, own, other } => {
                let is_own = (at * of as f64) as usize == index;
                of as f64 * if is_own { own } else { other }
            }
        }
    }

    /// A position.
    fn draw(self, random: &mut ChaCha8Rng) -> f64 {
        match self {
            Kernel::Uniform => uniform(random),
            Kernel::Normal { mean, deviation, .. } => loop {
                // Box & Muller 1958. As the mean is in [0, 1], at least a third of the draws are.
                let (u, v) = (1.0 - uniform(random), uniform(random));
                let z = (-2.0 * libm::log(u)).sqrt() * libm::cos(2.0 * PI * v);
                let x = mean + deviation * z;
                if (0.0..1.0).contains(&x) {
                    break x;
                }
            },
            Kernel::Category { index, of, own, .. } => {
                let index = if uniform(random) < own {
                    index
                } else {
                    let other = below(random, of as u64 - 1) as usize;
                    if other < index { other } else { other + 1 }
                };
                (index as f64 + 0.5) / of as f64
            }
        }
    }
}

impl<'a> Mixture<'a> {
    /// The density of trials, each with its weight, and of the prior with the weight `prior`.
    pub fn new(space: &'a Space, trials: &[(f64, &Params)], prior: f64) -> Mixture<'a> {
        let axes: Vec<Axis> = space.dimensions.iter().map(|dimension| Axis::new(&dimension.domain)).collect();
        let n = trials.len();
        // The last is the prior.
        let mut kernels = vec![vec![Kernel::Uniform; axes.len()]; n + 1];
        for (j, (axis, dimension)) in axes.iter().zip(&space.dimensions).enumerate() {
            let place = |(_, params): &(f64, &Params)| axis.place(params, &dimension.key);
            let places: Vec<Option<Place>> = trials.iter().map(place).collect();
            let known = places.iter().flatten().count();
            for (kernels, place) in kernels.iter_mut().zip(places) {
                kernels[j] = place.map_or(Kernel::Uniform, |place| axis.kernel(place, known, axes.len()));
            }
        }
        let mut until = 0.0;
        let component = |(i, kernels): (usize, Vec<Kernel>)| {
            let weight = trials.get(i).map_or(prior, |(weight, _)| *weight);
            until += weight;
            Component { weight, until, kernels }
        };
        let components = kernels.into_iter().enumerate().map(component).collect();
        Mixture { space, axes, components }
    }

    /// Settings with this density.
    pub fn draw(&self, random: &mut ChaCha8Rng) -> Params {
        let last = self.components.len() - 1;
        let u = uniform(random) * self.components[last].until;
        let chosen = self.components.partition_point(|component| component.until <= u).min(last);
        let kernels = &self.components[chosen].kernels;
        self.space.params(|j, _| self.axes[j].domain.at(kernels[j].draw(random)))
    }

    /// The density of settings.
    pub fn density(&self, params: &Params) -> f64 {
        let dimensions = self.space.dimensions.iter();
        let place = |(axis, dimension): (&Axis, &crate::spec::Dimension)| axis.place(params, &dimension.key);
        let places: Vec<Option<Place>> = self.axes.iter().zip(dimensions).map(place).collect();
        let product = |component: &Component| {
            let kernels = component.kernels.iter().zip(&places);
            kernels.filter_map(|(kernel, place)| Some(kernel.density((*place)?))).product::<f64>()
        };
        let sum: f64 = self.components.iter().map(|component| component.weight * product(component)).sum();
        sum / self.components.last().map_or(1.0, |component| component.until)
    }
}

#[cfg(test)]
mod tests;
