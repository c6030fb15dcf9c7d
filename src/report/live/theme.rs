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

    /// Of curves.
    pub fn marker(self) -> Marker {
        if self.braille { Marker::Braille } else { Marker::Dot }
    }

    /// Of the selected curve: without colours it has a form of its own.
    pub fn selected_marker(self) -> Marker {
        match (self.colours, self.braille) {
            (true, _) => self.marker(),
            (false, true) => Marker::Dot,
            (false, false) => Marker::Block,
        }
    }

    /// A sample of curves with that marker, for a legend.
    pub fn sample(self, marker: Marker) -> &'static str {
        match marker {
            _ if self.colours => "━ ",
            Marker::Braille => "⠒ ",
            Marker::Dot => "• ",
            _ => "█ ",
        }
    }
}
