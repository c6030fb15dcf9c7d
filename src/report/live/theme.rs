//! Colours, and their substitutes with `NO_COLOR`.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;

/// The style of the view.
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

    /// The marker of curves.
    pub fn marker(self) -> Marker {
        if self.braille { Marker::Braille } else { Marker::Dot }
    }

    /// The marker of the selected curve, which differs from the others without colours.
    pub fn selected_marker(self) -> Marker {
        match (self.colours, self.braille) {
            (true, _) => self.marker(),
            (false, true) => Marker::Dot,
            (false, false) => Marker::Block,
        }
    }

    /// A sample of a curve with this marker, for a legend.
    pub fn sample(self, marker: Marker) -> &'static str {
        match marker {
            _ if self.colours => "━ ",
            Marker::Braille => "⠒ ",
            Marker::Dot => "• ",
            _ => "█ ",
        }
    }
}
