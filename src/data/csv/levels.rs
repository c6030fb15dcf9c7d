//! The different texts of a column.

use std::hash::BuildHasher;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

/// Texts in the order of their first appearance, each of them once. A text's code is its place.
#[derive(Clone, Debug, Default)]
pub(super) struct Levels {
    pub texts: Vec<String>,
    codes: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Levels {
    /// The code of a text, which is added if it is new.
    pub fn code(&mut self, text: &str) -> u32 {
        let Levels { texts, codes, hasher } = self;
        let hash = |code: &u32| hasher.hash_one(texts[*code as usize].as_str());
        match codes.entry(hasher.hash_one(text), |code| texts[*code as usize] == text, hash) {
            Entry::Occupied(found) => *found.get(),
            Entry::Vacant(place) => {
                let code = texts.len() as u32;
                place.insert(code);
                texts.push(text.to_owned());
                code
            }
        }
    }

    /// The code of a text that is there.
    pub fn find(&self, text: &str) -> Option<u32> {
        let same = |code: &u32| self.texts[*code as usize] == text;
        self.codes.find(self.hasher.hash_one(text), same).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_of_appearance() {
        let mut levels = Levels::default();
        let codes: Vec<u32> = ["b", "a", "b", "", "a"].iter().map(|text| levels.code(text)).collect();
        assert_eq!(
            (codes, levels.texts.as_slice()),
            (vec![0, 1, 0, 2, 1], &["b", "a", ""].map(String::from)[..])
        );
        assert_eq!((levels.find("a"), levels.find("c")), (Some(1), None));
        for i in 0..10_000 {
            assert_eq!(levels.code(&format!("level {i}")), i + 3);
        }
        assert_eq!(levels.find("level 9999"), Some(10_002));
    }
}
