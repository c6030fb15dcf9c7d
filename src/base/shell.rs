//! Quoting of words for a shell.

use std::borrow::Cow;

use super::text::in_line;

/// `word` for a shell: quoted if it contains more than letters, digits and harmless signs. A POSIX shell gets single
/// quotes; the two shells of Windows get double quotes, which no path there contains. A word with control characters,
/// which a terminal would obey, is in `$'...'`, which bash, zsh and POSIX 2024 read.
pub fn shell_word(word: &str) -> String {
    shell_word_of(word, cfg!(windows))
}

fn shell_word_of(word: &str, windows: bool) -> String {
    let signs = if windows { "-_./\\:+=" } else { "-_./:,+=@%" };
    let harmless = |c: char| c.is_alphanumeric() || signs.contains(c);
    if !windows && matches!(in_line(word), Cow::Owned(_)) {
        let escaped: String = word.chars().map(dollar_quoted).collect();
        format!("$'{escaped}'")
    } else if !word.is_empty() && word.chars().all(harmless) {
        word.into()
    } else if windows && !word.contains('"') {
        format!("\"{word}\"")
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A character within `$'...'`.
fn dollar_quoted(c: char) -> String {
    match c {
        '\'' | '\\' => format!("\\{c}"),
        _ if in_line(c.encode_utf8(&mut [0; 4])) == c.to_string() => c.into(),
        _ if c.is_ascii() => format!("\\{:03o}", c as u32),
        _ => format!("\\u{:04x}", c as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_the_shell_of_the_system() {
        for (word, posix, windows) in [
            ("runs/a-1", "runs/a-1", "runs/a-1"),
            ("", "''", "\"\""),
            ("my runs/a", "'my runs/a'", "\"my runs/a\""),
            (r"C:\runs\a", r"'C:\runs\a'", r"C:\runs\a"),
            (r"C:\my runs\a", r"'C:\my runs\a'", r#""C:\my runs\a""#),
            ("it's", r"'it'\''s'", "\"it's\""),
            ("256,128", "256,128", "\"256,128\""),
            ("a\u{1b}[1m'\n\u{202e}", r"$'a\033[1m\'\012\u202e'", "\"a\u{1b}[1m'\n\u{202e}\""),
            ("日本.csv", "日本.csv", "日本.csv"),
        ] {
            assert_eq!(shell_word_of(word, false), posix);
            assert_eq!(shell_word_of(word, true), windows);
        }
    }
}
