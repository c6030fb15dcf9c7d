//! A figure as PNG: its SVG, drawn by resvg.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{FontResolver, Options, Tree, fontdb};
use skrifa::{FontRef, MetadataProvider};

/// Pixels of the picture per SVG pixel.
const SCALE: f32 = 2.0;

/// Why a figure could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// No font of this machine has this character.
    #[error("no font of this machine has '{0}'")]
    NoFont(char),
    #[error("the figure cannot be drawn: {0}")]
    Draw(String),
}

/// The built-in Latin and Greek font (Ubuntu Light), so that a picture is the same on every machine, then the installed
/// fonts.
static FONTS: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let own = fonts.faces().next().and_then(|face| face.families.first()).map(|(family, _)| family.clone());
    fonts.load_system_fonts();
    fonts.set_sans_serif_family(own.unwrap_or_default());
    Arc::new(fonts)
});

/// Draws an SVG of [`super::svg()`].
///
/// # Errors
/// [`PngError::NoFont`] if no font has a character of its texts, [`PngError::Draw`].
pub fn png(svg: &str) -> Result<Vec<u8>, PngError> {
    let draw = |problem: &dyn ToString| PngError::Draw(problem.to_string());
    if let Some(missing) = letters(svg).find(|&c| best_face(c, &FONTS).is_none()) {
        return Err(PngError::NoFont(missing));
    }
    let font_resolver = FontResolver {
        select_fallback: Box::new(|letter, _, fonts| best_face(letter, fonts)),
        ..FontResolver::default()
    };
    let options = Options { fontdb: FONTS.clone(), font_resolver, ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(|error| draw(&error))?;
    let size = tree.size().to_int_size().scale_by(SCALE).ok_or_else(|| draw(&"it is too large"))?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or_else(|| draw(&"it is too large"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| draw(&error))
}

/// The non-ASCII characters of the figure.
fn letters(svg: &str) -> impl Iterator<Item = char> + '_ {
    svg.chars().filter(|c| !c.is_ascii())
}

/// The best font face that has `letter`: upright, sans-serif, for Simplified Chinese, of normal weight.
fn best_face(letter: char, fonts: &fontdb::Database) -> Option<fontdb::ID> {
    let has = |data: &[u8], index: u32| {
        FontRef::from_index(data, index).is_ok_and(|font| font.charmap().map(letter).is_some())
    };
    let serves = |face: &&fontdb::FaceInfo| fonts.with_face_data(face.id, has).unwrap_or(false);
    let rank = |face: &&fontdb::FaceInfo| {
        let named = |words: &[&str]| {
            face.families.iter().any(|(name, _)| words.iter().any(|word| name.contains(word)))
        };
        let (serif, other) = (!named(&["Sans", "Hei", "Gothic"]), !named(&["SC", "CN", "GB", "Hei"]));
        let heavy = face.weight.0.abs_diff(fontdb::Weight::NORMAL.0);
        (face.style != fontdb::Style::Normal, serif, other, named(&["Mono"]), heavy)
    };
    fonts.faces().filter(serves).min_by_key(rank).map(|face| face.id)
}
