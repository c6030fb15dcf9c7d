//! Colours, or what stands for them where `NO_COLOR` asks for none.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    pub colours: bool,
    /// Curves in braille dots; the fonts of consoles without a window system lack them.
    pub braille: bool,
}

impl Theme {
    fn of(self, colour: Color, otherwise: Modifier) -> Style {
        if self.colours { Style::new().fg(colour) } else { Style::new().add_modifier(otherwise) }
    }

    pub fn good(self) -> Style {
        self.of(Color::Green, Modifier::BOLD)
    }

    pub fn bad(self) -> Style {
        self.of(Color::Red, Modifier::BOLD)
    }

    pub fn warn(self) -> Style {
        self.of(Color::Yellow, Modifier::BOLD)
    }

    pub fn accent(self) -> Style {
        self.of(Color::Cyan, Modifier::empty())
    }

    pub fn dim(self) -> Style {
        self.of(Color::DarkGray, Modifier::DIM)
    }

    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub fn marker(self) -> Marker {
        if self.braille { Marker::Braille } else { Marker::Dot }
    }
}
