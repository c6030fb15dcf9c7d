//! Quoting of words for a shell.

/// `word` for a shell: quoted if it contains more than letters, digits and harmless signs. A POSIX shell gets single
/// quotes; the two shells of Windows get double quotes, which no path there contains.
pub fn shell_word(word: &str) -> String {
    shell_word_of(word, cfg!(windows))
}

fn shell_word_of(word: &str, windows: bool) -> String {
    let signs = if windows { "-_./\\:+=" } else { "-_./:,+=@%" };
    let harmless = |c: char| c.is_alphanumeric() || signs.contains(c);
    if !word.is_empty() && word.chars().all(harmless) {
        word.into()
    } else if windows && !word.contains('"') {
        format!("\"{word}\"")
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
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
            ("日本.csv", "日本.csv", "日本.csv"),
        ] {
            assert_eq!(shell_word_of(word, false), posix);
            assert_eq!(shell_word_of(word, true), windows);
        }
    }
}
