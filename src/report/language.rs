//! Texts in English and Chinese.

/// A language of the demonstrations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Lang {
    /// English
    #[default]
    En,
    /// Simplified Chinese
    Zh,
}

impl Lang {
    /// The value of HTML's `lang` attribute.
    pub fn tag(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh-Hans",
        }
    }
}

/// One text in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    pub en: String,
    pub zh: String,
}

impl Text {
    /// A text that needs no translation.
    pub fn same(text: impl Into<String>) -> Text {
        let en = text.into();
        Text { zh: en.clone(), en }
    }

    /// The text in one language.
    pub fn of(&self, lang: Lang) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Zh => &self.zh,
        }
    }
}

impl std::ops::Add for Text {
    type Output = Text;

    fn add(self, other: Text) -> Text {
        Text { en: self.en + &other.en, zh: self.zh + &other.zh }
    }
}

/// `text!("English {x}", "中文 {x}")`, formatted as `format!` does.
#[macro_export]
#[doc(hidden)]
macro_rules! text {
    ($en:literal, $zh:literal) => {
        $crate::report::language::Text { en: format!($en), zh: format!($zh) }
    };
}
