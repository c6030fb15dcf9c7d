//! Layouts of the workgroups of kernels over rows and columns.
//!
//! A kernel gives the same bits in any layout: the order of its sums belongs to the operation. So measurements may
//! choose the layout (`tune`). Half-precision products have bits of their own, also the same in any layout.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::step::StepKind;

/// What a kernel's workgroups cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A tile of a product.
    Product,
    /// All rows of some features.
    Features,
    /// All rows of all outputs.
    Output,
    /// A [`crate::population::Block`].
    Block,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Shape; 4] = [Shape::Product, Shape::Features, Shape::Output, Shape::Block];
}

/// Properties of a device that layouts depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// The adapter computes on the processor.
    pub software: bool,
    /// Size of its subgroups, if kernels may use them and there is only one size.
    pub subgroup: Option<u32>,
    /// The half-precision products, if requested.
    pub cooperative: Option<Cooperative>,
    /// Storage buffers that a kernel may bind.
    pub bindings: usize,
}

/// A layout: lanes, and the rows and columns that each keeps in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tile {
    lanes: Lanes,
    rows: u32,
    columns: u32,
}

/// The invocations of a workgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Lanes {
    /// `m` x `n` lanes, which share `depth` of K at a time through workgroup memory: `shaders/tile_workgroup.wgsl`.
    Workgroup { m: u32, n: u32, depth: u32 },
    /// One subgroup: `shaders/tile_subgroup.wgsl`.
    Subgroup(u32),
    /// `m` x `n` subgroups, each with cooperative matrices: `shaders/tile_cooperative.wgsl`. Rows and columns then are
    /// those of cooperative matrices.
    Cooperative { m: u32, n: u32, cooperative: Cooperative },
}

/// A layout of lanes that share workgroup memory, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkgroupShape {
    pub lanes: u32,
    /// Rows and columns per lane, in registers.
    pub rows: u32,
    pub columns: u32,
    /// Terms of K in workgroup memory at once.
    pub depth: u32,
}

/// Products of a subgroup's matrices of `size` x `size` f16, summed in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cooperative {
    pub size: u32,
    /// Invocations of a subgroup.
    pub subgroup: u32,
}

impl Tile {
    /// The possible layouts of `shape`, the usual one first.
    pub fn candidates(shape: Shape, can: &Abilities) -> Vec<Tile> {
        if let (Shape::Product, Some(cooperative)) = (shape, can.cooperative) {
            return Tile::of_halves(cooperative);
        }
        let workgroup =
            |m, n, rows, columns, depth| Tile { lanes: Lanes::Workgroup { m, n, depth }, rows, columns };
        let mut tiles = match shape {
            Shape::Product => vec![
                workgroup(8, 8, 8, 8, 16),
                workgroup(16, 16, 8, 8, 8),
                workgroup(16, 16, 4, 4, 16),
                workgroup(8, 8, 4, 4, 16),
            ],
            // More of K at a time means fewer waits for memory; fewer columns mean more workgroups.
            Shape::Features => vec![
                workgroup(16, 16, 4, 1, 16),
                workgroup(16, 16, 4, 1, 32),
                workgroup(16, 8, 4, 1, 32),
                workgroup(16, 4, 4, 1, 32),
            ],
            Shape::Output => vec![workgroup(16, 16, 4, 1, 16), workgroup(16, 16, 4, 1, 32)],
            Shape::Block => vec![workgroup(8, 8, 4, 4, 16), workgroup(8, 8, 4, 4, 32)],
        };
        let registers = |rows: u32, side: u32| {
            let size = can.subgroup.filter(|size| rows.is_multiple_of(*size))?;
            Some(Tile { lanes: Lanes::Subgroup(size), rows, columns: (side / size).max(1) })
        };
        tiles.extend(
            match shape {
                Shape::Product => [registers(32, 32), registers(16, 16), registers(64, 64)],
                Shape::Features | Shape::Output => [registers(64, 16), registers(32, 16), None],
                // A block has a fixed side.
                Shape::Block => [registers(32, 32).filter(|tile| tile.n() == 32), None, None],
            }
            .into_iter()
            .flatten(),
        );
        tiles
    }

    fn of_halves(cooperative: Cooperative) -> Vec<Tile> {
        let tile =
            |m, n, rows, columns| Tile { lanes: Lanes::Cooperative { m, n, cooperative }, rows, columns };
        match cooperative.size {
            8 => vec![tile(2, 2, 4, 4), tile(1, 1, 4, 4), tile(1, 1, 2, 2)],
            _ => vec![tile(2, 2, 2, 2), tile(1, 1, 2, 2), tile(1, 1, 1, 1)],
        }
    }

    /// Rows of C.
    pub fn m(self) -> usize {
        let lanes = match self.lanes {
            Lanes::Workgroup { m, .. } => m,
            Lanes::Subgroup(_) => 1,
            Lanes::Cooperative { m, cooperative, .. } => m * cooperative.size,
        };
        (lanes * self.rows) as usize
    }

    /// Columns of C.
    pub fn n(self) -> usize {
        let lanes = match self.lanes {
            Lanes::Workgroup { n, .. } => n,
            Lanes::Subgroup(size) => size,
            Lanes::Cooperative { n, cooperative, .. } => n * cooperative.size,
        };
        (lanes * self.columns) as usize
    }

    /// Its dimensions if its lanes share workgroup memory.
    pub fn workgroup_shape(self) -> Option<WorkgroupShape> {
        match self.lanes {
            Lanes::Workgroup { m, n, depth } => {
                Some(WorkgroupShape { lanes: m * n, rows: self.rows, columns: self.columns, depth })
            }
            Lanes::Subgroup(_) | Lanes::Cooperative { .. } => None,
        }
    }

    /// Invocations of the subgroup that its lanes need; none if any workgroup will do.
    pub fn subgroup(self) -> Option<u32> {
        match self.lanes {
            Lanes::Workgroup { .. } => None,
            Lanes::Subgroup(size) => Some(size),
            Lanes::Cooperative { cooperative, .. } => Some(cooperative.subgroup),
        }
    }

    /// The arrangement of its lanes, and the kind of multiplication.
    pub(super) fn family(self) -> Family {
        match self.lanes {
            Lanes::Workgroup { .. } => Family::Workgroup,
            Lanes::Subgroup(_) => Family::Subgroup,
            Lanes::Cooperative { cooperative, .. } => Family::Cooperative(cooperative),
        }
    }

    /// The constants for its shaders.
    pub(super) fn constants(self) -> Vec<(&'static str, u32)> {
        let registers =
            |rows, columns, m, n| vec![("RM", rows), ("RN", columns), ("LANES_M", m), ("LANES_N", n)];
        match self.lanes {
            Lanes::Workgroup { m, n, depth } => {
                [registers(self.rows, self.columns, m, n), vec![("DEPTH", depth)]].concat()
            }
            Lanes::Subgroup(size) => {
                [registers(self.rows, self.columns, 1, size), vec![("ROW_GROUPS", self.rows / size)]].concat()
            }
            Lanes::Cooperative { m, n, cooperative: Cooperative { size, subgroup } } => {
                let lanes = m * n * subgroup;
                let (tile_m, tile_n) = (self.m() as u32, self.n() as u32);
                let across = lanes.min(tile_n);
                let mut all = registers(tile_m * across / lanes, tile_n / across, lanes / across, across);
                all.extend([("DEPTH", 16), ("SIZE", size), ("SUBGROUP", subgroup), ("SUBGROUPS_N", n)]);
                all.extend([("COOP_ROWS", self.rows), ("COOP_COLUMNS", self.columns)]);
                all
            }
        }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tile { lanes, rows, columns } = self;
        match lanes {
            Lanes::Workgroup { m, n, depth } => write!(f, "{m}x{n} lanes of {rows}x{columns} depth {depth}"),
            Lanes::Subgroup(size) => write!(f, "subgroup {size} of {rows}x{columns}"),
            Lanes::Cooperative { m, n, cooperative: Cooperative { size, subgroup } } => {
                write!(f, "{m}x{n} subgroups {subgroup} of {rows}x{columns} matrices {size}")
            }
        }
    }
}

/// The kinds of [`Tile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Workgroup,
    Subgroup,
    Cooperative(Cooperative),
}

/// Weights of a layer above which products dominate on a processor.
const LARGE: usize = 1 << 20;
/// Workgroups of a dispatch that leave most of any GPU idle, and the columns per workgroup in that case.
const FEW_WORKGROUPS: usize = 16;
const NARROW: usize = 8;

/// The kernels that a device uses: a layout for each shape, and which operations are fused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    pub product: Tile,
    pub features: Tile,
    pub output: Tile,
    pub block: Tile,
    /// Largest batch for which a layer's product and batch norm are fused.
    pub fused_rows: usize,
    /// Most weights of a layer for which their gradient and the optimiser are fused.
    pub fused_weights: usize,
    /// Storage buffers that a kernel may bind.
    pub bindings: usize,
}

impl fmt::Display for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ways { product, features, output, block, fused_rows, fused_weights, bindings: _ } = self;
        let most = |n: &usize| if *n == usize::MAX { "any".into() } else { n.to_string() };
        write!(f, "products {product}, features {features}, output {output}, blocks {block}, ")?;
        write!(f, "joined up to {} rows and {} weights", most(fused_rows), most(fused_weights))
    }
}

impl Ways {
    /// The defaults for a kind of device, until measurements find better ones.
    ///
    /// A software adapter computes on a processor, whose registers and caches make one subgroup with large tiles the
    /// fastest for everything. A real GPU hides latency with many workgroups: the fewer a layer has, the longer each
    /// takes. Half-precision products are not fused.
    pub fn usual(can: &Abilities) -> Ways {
        let tile = |shape: Shape| {
            let mut tiles = Tile::candidates(shape, can);
            let registers = tiles.iter().position(|tile| tile.family() == Family::Subgroup);
            tiles.swap_remove(registers.filter(|_| can.software).unwrap_or(0))
        };
        let ways = Ways {
            product: tile(Shape::Product),
            features: tile(Shape::Features),
            output: tile(Shape::Output),
            block: tile(Shape::Block),
            fused_rows: if can.software { 128 } else { 256 },
            fused_weights: if can.software { LARGE } else { 1 << 19 },
            bindings: can.bindings,
        };
        if can.cooperative.is_some() { ways.separate() } else { ways }
    }

    /// The ways for a population: `weights` is the size of its largest layer, `columns` the sum over members of the
    /// units of the widest hidden layer, which compute at the same time.
    ///
    /// Drivers that compute on a processor need seconds to compile the largest tile, so only layers with equally long
    /// steps use it. A real GPU is idle while a few workgroups wait for memory, so small populations get fewer columns
    /// per workgroup and thus more workgroups (predicted in docs/performance.md). A layout of features found by tuning
    /// stays.
    pub fn for_population(self, weights: usize, columns: usize, can: &Abilities) -> Ways {
        let usual = Ways::usual(can);
        if can.software {
            if self != usual {
                return self;
            }
            let largest = |tile: &Tile| tile.family() == Family::Subgroup && tile.m() == 64;
            let product = Tile::candidates(Shape::Product, can).into_iter().find(largest);
            return Ways { product: product.filter(|_| weights > LARGE).unwrap_or(self.product), ..self };
        }
        if self.features != usual.features {
            return self;
        }
        let narrow = Tile::candidates(Shape::Features, can).into_iter().find(|tile| tile.n() == NARROW);
        let few = columns <= FEW_WORKGROUPS * self.features.n();
        Ways { features: narrow.filter(|_| few).unwrap_or(self.features), ..self }
    }

    /// Whether a device supports these ways.
    pub fn suit(&self, can: &Abilities) -> bool {
        let known = |shape: Shape| Tile::candidates(shape, can).contains(&self.tile(shape));
        let separate = (self.fused_rows, self.fused_weights) == (0, 0);
        Shape::ALL.into_iter().all(known)
            && self.bindings == can.bindings
            && (can.cooperative.is_none() || separate)
    }

    /// The layout of `shape`.
    pub fn tile(&self, shape: Shape) -> Tile {
        match shape {
            Shape::Product => self.product,
            Shape::Features => self.features,
            Shape::Output => self.output,
            Shape::Block => self.block,
        }
    }

    /// The ways of a step of `kind`: watching needs the values between operations, so fusion is off.
    pub fn of(self, kind: StepKind) -> Ways {
        if kind == StepKind::Watch { self.separate() } else { self }
    }

    /// One kernel for each operation.
    pub fn separate(self) -> Ways {
        Ways { fused_rows: 0, fused_weights: 0, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default limits of WebGPU.
    const MEMORY: u32 = 16_384;
    const INVOCATIONS: u32 = 256;

    #[test]
    fn every_layout_fits_every_adapter_and_divides_its_work() {
        let can = Abilities::default();
        for (shape, tile) in
            Shape::ALL.into_iter().flat_map(|s| Tile::candidates(s, &can).into_iter().map(move |t| (s, t)))
        {
            let WorkgroupShape { lanes, rows, columns, depth } =
                tile.workgroup_shape().expect("no subgroups here");
            let (m, n) = (tile.m() as u32, tile.n() as u32);
            assert!(lanes <= INVOCATIONS, "{tile}: {lanes} invocations");
            let memory = 4 * depth * (m + 1 + n + 1) + 8 * lanes + 4 * n;
            assert!(memory <= MEMORY, "{tile}: {memory} bytes");
            assert_eq!(
                (m * depth % lanes, n * depth % lanes),
                (0, 0),
                "{tile}: some elements are not loaded"
            );
            let lanes_m = m / rows;
            assert_eq!(lanes, lanes_m * (n / columns));
            match shape {
                Shape::Product => {}
                Shape::Features | Shape::Output => assert_eq!(16 % lanes_m, 0, "{tile}: 16 partial sums"),
                Shape::Block => {
                    assert_eq!((m, n, 8 % lanes_m), (32, 32, 0), "{tile}: 8 partial sums of 32 x 32")
                }
            }
        }
    }

    #[test]
    fn only_real_gpus_narrow_tiles_for_few_workgroups() {
        let gpu = Abilities { bindings: 16, ..Abilities::default() };
        let usual = Ways::usual(&gpu);
        let few = usual.for_population(78_400, 100, &gpu);
        assert_eq!((few.features.n(), Ways { features: usual.features, ..few }), (NARROW, usual));
        assert_eq!(usual.for_population(78_400, 64 * 100, &gpu), usual);
        let features = Tile::candidates(Shape::Features, &gpu)[1];
        let tuned = Ways { features, ..usual };
        assert_eq!(tuned.for_population(78_400, 100, &gpu), tuned);
        assert_eq!(usual.separate().for_population(78_400, 100, &gpu), few.separate());
        let software = Abilities { software: true, subgroup: Some(8), ..gpu };
        let usual = Ways::usual(&software);
        assert_eq!(usual.for_population(78_400, 100, &software), usual);
        assert_eq!(usual.for_population(LARGE + 1, 100, &software).product.m(), 64);
    }
}
