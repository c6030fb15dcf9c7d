//! How the workgroups of kernels are laid out over rows and columns.
//!
//! Whatever the layout, a kernel gives the same bits: the order of its sums belongs to the operation. So which layout
//! runs may be chosen by a stopwatch (`tune`).

use serde::{Deserialize, Serialize};

use crate::step::StepKind;

/// What a kernel's workgroups cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A tile of a product.
    Product,
    /// All rows of some features.
    Features,
    /// A [`crate::population::Block`].
    Block,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Shape; 3] = [Shape::Product, Shape::Features, Shape::Block];
}

/// A layout: lanes, and rows and columns that each keeps in registers.
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
    /// `m` x `n` of them, which share `depth` of K at a time through workgroup memory: `shaders/tile_workgroup.wgsl`.
    Workgroup { m: u32, n: u32, depth: u32 },
    /// One subgroup: `shaders/tile_subgroup.wgsl`.
    Subgroup(u32),
}

impl Tile {
    /// What `shape` can be laid out as, the usual one first; `subgroup` is the size of the device's subgroups, where they
    /// have but one.
    pub fn candidates(shape: Shape, subgroup: Option<u32>) -> Vec<Tile> {
        let workgroup =
            |m, n, rows, columns, depth| Tile { lanes: Lanes::Workgroup { m, n, depth }, rows, columns };
        let mut tiles = match shape {
            Shape::Product => vec![
                workgroup(8, 8, 8, 8, 16),
                workgroup(16, 16, 8, 8, 8),
                workgroup(16, 16, 4, 4, 16),
                workgroup(8, 8, 4, 4, 16),
            ],
            Shape::Features => vec![workgroup(16, 16, 4, 1, 16)],
            Shape::Block => vec![workgroup(8, 8, 4, 4, 16)],
        };
        let registers = |rows: u32, side: u32| {
            let size = subgroup.filter(|size| rows.is_multiple_of(*size))?;
            Some(Tile { lanes: Lanes::Subgroup(size), rows, columns: (side / size).max(1) })
        };
        tiles.extend(
            match shape {
                Shape::Product => [registers(32, 32), registers(16, 16)],
                Shape::Features => [registers(64, 16), registers(32, 16)],
                // A block has a side of its own.
                Shape::Block => [registers(32, 32).filter(|tile| tile.n() == 32), None],
            }
            .into_iter()
            .flatten(),
        );
        tiles
    }

    /// Rows of C.
    pub fn m(self) -> usize {
        let lanes = match self.lanes {
            Lanes::Workgroup { m, .. } => m,
            Lanes::Subgroup(_) => 1,
        };
        (lanes * self.rows) as usize
    }

    /// Columns of C.
    pub fn n(self) -> usize {
        let lanes = match self.lanes {
            Lanes::Workgroup { n, .. } => n,
            Lanes::Subgroup(size) => size,
        };
        (lanes * self.columns) as usize
    }

    /// 0 of a workgroup, 1 of a subgroup.
    pub(super) fn family(self) -> usize {
        usize::from(matches!(self.lanes, Lanes::Subgroup(_)))
    }

    /// The constants that its shaders need.
    pub(super) fn constants(self) -> Vec<(&'static str, u32)> {
        let mut all = vec![("RM", self.rows), ("RN", self.columns)];
        match self.lanes {
            Lanes::Workgroup { m, n, depth } => {
                all.extend([("LANES_M", m), ("LANES_N", n), ("DEPTH", depth)]);
            }
            Lanes::Subgroup(size) => {
                all.extend([("LANES_M", 1), ("LANES_N", size), ("ROW_GROUPS", self.rows / size)]);
            }
        }
        all
    }
}

/// Which way a device goes: a layout for each shape, and which operations one kernel does together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    pub product: Tile,
    pub features: Tile,
    pub block: Tile,
    /// Rows of a batch up to which a layer's product and batch norm are one kernel.
    pub fused_rows: usize,
    /// Weights of a layer up to which their gradient and the optimiser are one kernel.
    pub fused_weights: usize,
    /// Storage buffers that a kernel may bind.
    pub bindings: usize,
}

impl Ways {
    /// What suits most devices of a kind, until a stopwatch knows better.
    ///
    /// A software adapter computes on a processor, whose registers and caches make one subgroup with large tiles the
    /// fastest way for everything. A real one hides latency by many workgroups: the fewer for a layer, the longer they take.
    pub fn usual(software: bool, subgroup: Option<u32>, bindings: usize) -> Ways {
        let tile = |shape: Shape| {
            let mut tiles = Tile::candidates(shape, subgroup);
            let registers = tiles.iter().position(|tile| tile.family() == 1).filter(|_| software);
            tiles.swap_remove(registers.unwrap_or(0))
        };
        Ways {
            product: tile(Shape::Product),
            features: tile(Shape::Features),
            block: tile(Shape::Block),
            fused_rows: if software { 128 } else { 256 },
            fused_weights: if software { usize::MAX } else { 1 << 19 },
            bindings,
        }
    }

    /// The layout of `shape`.
    pub fn tile(&self, shape: Shape) -> Tile {
        match shape {
            Shape::Product => self.product,
            Shape::Features => self.features,
            Shape::Block => self.block,
        }
    }

    /// The ways of a step of `kind`: a kernel that does several operations leaves nobody time to look between them.
    pub fn of(self, kind: StepKind) -> Ways {
        if kind == StepKind::Watch { self.separate() } else { self }
    }

    /// Each operation by a kernel of its own.
    pub fn separate(self) -> Ways {
        Ways { fused_rows: 0, fused_weights: 0, ..self }
    }
}
