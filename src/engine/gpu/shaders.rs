//! The text of shaders: a kernel's parts with the constants of its layout and with its registers expanded.

use sha2::{Digest, Sha256};

use super::constants;
use super::kernels::{Definition, Kernel};
use super::tiles::{Abilities, Cooperative, Family, Tile, Ways};

const TABLES: &str = shader!("tables");

const LANES_WORKGROUP: &str = shader!("lanes_workgroup");
const LANES_SUBGROUP: &str = shader!("lanes_subgroup");
const TILE: &str = shader!("tile");
const TILE_WORKGROUP: &str = shader!("tile_workgroup");
const TILE_SUBGROUP: &str = shader!("tile_subgroup");
const TILE_COOPERATIVE: &str = shader!("tile_cooperative");

/// The text of `shaders/ceiling.wgsl`, which belongs to no operation.
pub fn ceiling() -> String {
    whole(&[shader!("ceiling")], &[])
}

/// A kernel in one of its layouts: one shader.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub kernel: Kernel,
    pub tile: Option<Tile>,
}

impl Variant {
    /// The kernel and its layout, as letters, digits and hyphens.
    pub fn name(&self) -> String {
        let layout = self.tile.map_or_else(String::new, |tile| format!(" {tile}"));
        let text = format!("{}{layout}", self.kernel.name()).replace(", ", " ");
        text.replace(' ', "-")
    }

    /// Whether GPUs use this layout until `bngpu bench --tune` finds a better one.
    pub fn is_usual(&self) -> bool {
        let usual = Ways::usual(&Abilities::default());
        self.kernel.definition().shape.is_none_or(|shape| self.tile == Some(usual.tile(shape)))
    }
}

/// Every kernel in every possible layout.
pub fn variants() -> Vec<Variant> {
    let subgroups = [None, Some(4), Some(8), Some(16), Some(32), Some(64)];
    let in_f32 = subgroups.map(|subgroup| Abilities { subgroup, ..Abilities::default() });
    let cooperative = [(8, 8), (8, 32), (16, 32), (16, 64)];
    let in_f16 = cooperative.map(|(size, subgroup)| Abilities {
        cooperative: Some(Cooperative { size, subgroup }),
        ..Abilities::default()
    });
    let mut all = Vec::new();
    for &kernel in Kernel::ALL {
        let Some(shape) = kernel.definition().shape else {
            all.push(Variant { kernel, tile: None });
            continue;
        };
        let mut tiles = Vec::new();
        for tile in in_f32.iter().chain(&in_f16).flat_map(|can| Tile::candidates(shape, can)) {
            if !tiles.contains(&tile) {
                tiles.push(tile);
            }
        }
        all.extend(tiles.into_iter().map(|tile| Variant { kernel, tile: Some(tile) }));
    }
    all
}

/// SHA-256 of the names, constants and texts of all [`variants`]: it changes when any shader does.
pub fn fingerprint() -> String {
    let mut hash = Sha256::new();
    for variant in variants() {
        let Definition { constants, .. } = variant.kernel.definition();
        hash.update(format!("{} {constants:?}\n{}", variant.name(), variant.kernel.source(variant.tile)));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Kernel {
    /// The text of [`Kernel::source`] in standard WGSL: naga 30 supports subgroups, but refuses the directive that
    /// enables them.
    pub fn standard_source(self, tile: Option<Tile>) -> String {
        let source = self.source(tile);
        let enable = if source.contains("subgroupBroadcast") { "enable subgroups;\n" } else { "" };
        format!("{enable}{source}")
    }

    /// The WGSL text for workgroups of `tile`, with registers expanded.
    pub fn source(self, tile: Option<Tile>) -> String {
        let (bounds, family) =
            tile.map_or((Vec::new(), Family::Workgroup), |tile| (tile.constants(), tile.family()));
        let (lanes, product) = match family {
            Family::Workgroup => (LANES_WORKGROUP, TILE_WORKGROUP),
            Family::Subgroup => (LANES_SUBGROUP, TILE_SUBGROUP),
            Family::Cooperative(_) => (LANES_WORKGROUP, TILE_COOPERATIVE),
        };
        let definition = self.definition();
        let mut parts = vec![TABLES];
        if definition.shape.is_some() {
            parts.extend([lanes, TILE]);
        }
        if definition.multiplies {
            parts.push(product);
        }
        parts.extend(definition.parts);
        let own: String =
            bounds.iter().map(|(name, value)| format!("const {name}: u32 = {value}u;\n")).collect();
        let mut head = String::new();
        if let Family::Cooperative(Cooperative { size, .. }) = family {
            head.push_str("enable f16;\nenable wgpu_cooperative_matrix;\n");
            for (name, of) in [("Left", "f16, A"), ("Right", "f16, B"), ("Sums", "f32, C")] {
                head.push_str(&format!("alias {name} = coop_mat{size}x{size}<{of}>;\n"));
            }
        }
        head + &own + &whole(&parts, &bounds)
    }
}

/// Joins the texts of `parts`, after the constants that they share with Rust; `bounds` are those of the layout.
fn whole(parts: &[&str], bounds: &[(&str, u32)]) -> String {
    let own = bounds.iter().map(|&(name, value)| (name.to_owned(), value));
    let bounds: Vec<_> = own.chain(constants::bounds()).collect();
    let mut text = String::new();
    for part in parts {
        // The texts are fixed; a test expands all of them.
        expand(part, &bounds, &mut text).unwrap_or_else(|error| panic!("a shader: {error}"));
    }
    constants::declarations(&text) + &text
}

/// Why a loop of a shader's text cannot be expanded.
#[derive(Debug, PartialEq, thiserror::Error)]
enum ExpandError {
    #[error("`{line}`: the bound `{bound}` is neither a number nor a constant")]
    UnknownBound { line: String, bound: String },
    #[error("`{0}`: expected `//#for NAME FROM..TO`")]
    Malformed(String),
    #[error("`{0}` has no `//#end`")]
    Endless(String),
}

/// Repeats the lines between `//#for NAME A..B` and its `//#end` for each number, with `$NAME` replaced; A and B are
/// numbers or names of `bounds`, and loops may be nested.
///
/// Registers need names of their own: private arrays indexed by a loop variable may end up in slow memory.
fn expand(text: &str, bounds: &[(String, u32)], out: &mut String) -> Result<(), ExpandError> {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(head) = line.trim_start().strip_prefix("//#for ") else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let malformed = || ExpandError::Malformed(line.trim().into());
        let (name, range) = head.split_once(' ').ok_or_else(malformed)?;
        let (from, to) = range.split_once("..").ok_or_else(malformed)?;
        let bound = |text: &str| -> Result<u32, ExpandError> {
            let named = bounds.iter().find(|(name, _)| name == text).map(|&(_, value)| value);
            let unknown = || ExpandError::UnknownBound { line: line.trim().into(), bound: text.into() };
            named.or_else(|| text.parse().ok()).ok_or_else(unknown)
        };
        let (from, to) = (bound(from)?, bound(to)?);
        let (mut body, mut depth) = (String::new(), 1);
        for line in lines.by_ref() {
            let line_ = line.trim_start();
            depth += usize::from(line_.starts_with("//#for "));
            depth -= usize::from(line_ == "//#end");
            if depth == 0 {
                break;
            }
            body.push_str(line);
            body.push('\n');
        }
        if depth > 0 {
            return Err(ExpandError::Endless(line.trim().into()));
        }
        for value in from..to {
            expand(&body.replace(&format!("${name}"), &value.to_string()), bounds, out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::tables::{InputRow, LayerRow, MemberRow, Record, StepRow};
    use std::mem::{offset_of, size_of};

    use crate::engine::gpu::constants::{activation_name, optimizer_name};
    use crate::population::tables::OptimizerKind;
    use crate::spec::Activation;

    fn parsed(name: &str, source: &str) -> naga::Module {
        naga::front::wgsl::parse_str(source)
            .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(source)))
    }

    fn module(kernel: Kernel) -> naga::Module {
        let tile = kernel.definition().shape.map(|shape| Tile::candidates(shape, &Abilities::default())[0]);
        parsed(kernel.name(), &kernel.source(tile))
    }

    #[test]
    fn registers_are_expanded() {
        let text = "a\n  //#for r 0..N\n  let x$r = $ru;\n  //#for c 1..2\n  y$r_$c\n//#end\n  //#end\nb";
        let mut out = String::new();
        assert_eq!(expand(text, &[("N".into(), 2)], &mut out), Ok(()));
        assert_eq!(out, "a\n  let x0 = 0u;\n  y0_1\n  let x1 = 1u;\n  y1_1\nb\n");
    }

    #[test]
    fn a_loop_with_an_unknown_bound_or_without_an_end_is_refused() {
        let refused = |text: &str| expand(text, &[("N".into(), 2)], &mut String::new()).expect_err(text);
        let unknown =
            |line: &str, bound: &str| ExpandError::UnknownBound { line: line.into(), bound: bound.into() };
        assert_eq!(refused("//#for i 0..M\n//#end"), unknown("//#for i 0..M", "M"));
        assert_eq!(refused("//#for i N..n\n//#end"), unknown("//#for i N..n", "n"));
        assert_eq!(refused("//#for i 0..2\n//#for j 0..-1\n//#end\n//#end"), unknown("//#for j 0..-1", "-1"));
        assert_eq!(refused("  //#for i"), ExpandError::Malformed("//#for i".into()));
        assert_eq!(refused("//#for i 0..N\nx"), ExpandError::Endless("//#for i 0..N".into()));
    }

    /// Without a GPU, too: a case that is missing gives NaN there.
    #[test]
    fn shaders_have_a_case_for_every_activation_and_optimizer() {
        let cases = |text: &str, name: &str| {
            let words = text
                .lines()
                .filter_map(|line| line.trim().strip_prefix("case "))
                .map(|case| case.split([',', ':', ' ']).filter(|word| *word == name).count());
            words.sum::<usize>()
        };
        let activations = include_str!("../../../shaders/activation.wgsl");
        for activation in Activation::ALL {
            let name = activation_name(activation);
            assert_eq!(cases(activations, &name), 2, "{name}: its value and its slope");
        }
        let optimizers = include_str!("../../../shaders/optimizer.wgsl");
        for kind in OptimizerKind::ALL {
            let name = optimizer_name(kind);
            assert_eq!(cases(optimizers, name), 1, "{name}");
        }
    }

    #[test]
    fn every_kernel_variant_is_valid_and_needs_no_more_than_it_declares() {
        for Variant { kernel, tile } in variants() {
            let source = kernel.source(tile);
            let flags = naga::valid::ValidationFlags::all();
            let mut needs = naga::valid::Capabilities::empty();
            if source.contains("subgroupBroadcast") {
                needs |= naga::valid::Capabilities::SUBGROUP;
            }
            if source.contains("enable wgpu_cooperative_matrix") {
                needs |= naga::valid::Capabilities::SHADER_FLOAT16;
                needs |= naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32;
                needs |= naga::valid::Capabilities::COOPERATIVE_MATRIX;
            }
            let mut validator = naga::valid::Validator::new(flags, needs);
            validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE);
            validator.subgroup_operations(naga::valid::SubgroupOperationSet::all());
            if let Err(error) = validator.validate(&parsed(kernel.name(), &source)) {
                panic!("{}: {}", kernel.name(), error.emit_to_string(&source));
            }
        }
    }

    #[test]
    fn kernels_md_is_up_to_date() {
        let checked = include_str!("../../../docs/kernels.md");
        assert!(
            checked.contains(&fingerprint()),
            "the shaders have changed since docs/kernels.md was written: run scripts/portability --write"
        );
    }

    #[test]
    fn bindings_match_their_declaration_and_the_default_limit() {
        for &kernel in Kernel::ALL {
            let (module, definition) = (module(kernel), kernel.definition());
            // Two kernels are used only if a device allows more.
            let most = if [Kernel::Output, Kernel::Descent].contains(&kernel) { 11 } else { 8 };
            assert!(definition.bindings.len() <= most, "{} binds too much", definition.name);
            let mut found = vec![None; definition.bindings.len()];
            for (_, variable) in module.global_variables.iter() {
                let Some(binding) = &variable.binding else { continue };
                if binding.group == 0 {
                    continue;
                }
                let naga::AddressSpace::Storage { access } = variable.space else {
                    panic!("{}: binding {} is no storage", definition.name, binding.binding)
                };
                let written = access.contains(naga::StorageAccess::STORE);
                found[binding.binding as usize] = Some(written);
            }
            for (at, binding) in definition.bindings.iter().enumerate() {
                assert_eq!(found[at], Some(binding.is_written()), "{}: binding {at}", definition.name);
            }
        }
    }

    #[test]
    fn the_shader_of_ceilings_is_valid() {
        let source = ceiling();
        let flags = naga::valid::ValidationFlags::all();
        let mut validator = naga::valid::Validator::new(flags, naga::valid::Capabilities::empty());
        if let Err(error) = validator.validate(&parsed("ceiling", &source)) {
            panic!("{}", error.emit_to_string(&source));
        }
    }

    /// (name, offset) of the members of a WGSL struct, and its size.
    fn layout(name: &str) -> (Vec<(String, usize)>, usize) {
        let module = module(Kernel::BatchNorm);
        let (_, ty) = module
            .types
            .iter()
            .find(|(_, t)| t.name.as_deref() == Some(name))
            .unwrap_or_else(|| panic!("no struct {name}"));
        let naga::TypeInner::Struct { members, span } = &ty.inner else { panic!("{name} is no struct") };
        let names = members.iter().map(|m| (m.name.clone().unwrap_or_default(), m.offset as usize)).collect();
        (names, *span as usize)
    }

    macro_rules! assert_twins {
        ($rust:ty, $wgsl:literal, $extra:expr, [$($field:ident),* $(,)?]) => {{
            let (members, size) = layout($wgsl);
            assert_eq!(size, size_of::<$rust>() + $extra, "size of {}", $wgsl);
            $(
                let at = members.iter().find(|(n, _)| n == stringify!($field)).map(|(_, at)| *at);
                assert_eq!(at, Some(offset_of!($rust, $field)), "{}.{}", $wgsl, stringify!($field));
            )*
            let named: Vec<_> = members.iter().filter(|(n, _)| !n.starts_with("_pad")).collect();
            let count = [$(stringify!($field)),*].len() + usize::from($extra > 0);
            assert_eq!(named.len(), count, "fields of {}", $wgsl);
        }};
    }

    #[test]
    fn tables_have_the_same_layout_in_rust_and_wgsl() {
        assert_twins!(
            MemberRow,
            "Member",
            0,
            [
                seed_lo,
                seed_hi,
                first_layer,
                layers,
                first_row,
                capacity,
                first_partial,
                partials,
                train_rows,
                outputs,
                loss,
                optimizer,
                decay1,
                decay2,
                rest1,
                rest2,
                eps,
                l2,
                clip_norm,
                drop_below,
                drop_scale,
                bn_eps,
                bn_momentum,
                id,
                features,
                first_input,
                embeds,
                held_out,
                held_out_rows
            ]
        );
        assert_twins!(InputRow, "Input", 0, [feature, kind, low, factor]);
        assert_twins!(
            LayerRow,
            "Layer",
            size_of::<MemberRow>(),
            [inputs, outputs, flags, activation, w, b, beta, stats, x, a, z, init_std, depth, sub_models]
        );
        assert_twins!(
            StepRow,
            "Step",
            0,
            [step, rows, first, epoch, flags, lr, correction1, correction2, keep, nonce]
        );
        // Only `record.wgsl` uses `Record`, but all shaders declare it.
        assert_twins!(Record, "Record", 0, [loss, hits, grad_norm, first_bad, step, rows, nonce]);
    }
}
