//! Whether two paths lead to one file.

use std::path::Path;

/// Whether both paths lead to one existing file: by another spelling, a symbolic link or a hard link. On Windows, hard
/// links are not recognised.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let identity = |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
        matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
    }
    #[cfg(not(unix))]
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_recognised_under_every_name() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a"), "x").unwrap();
        fs::write(at("b"), "x").unwrap();
        fs::create_dir(at("sub")).unwrap();
        assert!(is_same_file(&at("a"), &at("sub/../a")));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("a", at("link")).unwrap();
            fs::hard_link(at("a"), at("hard")).unwrap();
            std::os::unix::fs::symlink("none", at("dangling")).unwrap();
            assert!(is_same_file(&at("a"), &at("link")) && is_same_file(&at("hard"), &at("a")));
            assert!(!is_same_file(&at("dangling"), &at("dangling")));
        }
        assert!(!is_same_file(&at("a"), &at("b")) && !is_same_file(&at("none"), &at("none")));
    }
}
