//! Subnormal numbers count as zero while a thread computes.
//!
//! Numbers below 1.2e-38 cost x86 processors a hundred cycles and more each. Trainings make many: probabilities of
//! confident predictions, moments of inputs that are always zero. GPUs flush them, too.

/// Subnormal operands and results of this thread's arithmetic are zero while it lives.
///
/// Every thread of the engine holds one for the whole of its work, so results do not depend on the number of threads.
pub(super) struct Flush {
    before: Word,
}

impl Flush {
    /// From now on.
    pub fn begin() -> Flush {
        let before = read();
        write(before | FLUSH);
        Flush { before }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        write(self.before);
    }
}

#[cfg(target_arch = "x86_64")]
use x86_64::{FLUSH, Word, read, write};

/// MXCSR: flush to zero, denormals are zero.
#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::asm;

    pub type Word = u32;
    pub const FLUSH: Word = 1 << 15 | 1 << 6;

    pub fn read() -> Word {
        let mut word: Word = 0;
        // SAFETY: stores the register at this place.
        unsafe { asm!("stmxcsr [{}]", in(reg) &mut word, options(nostack, preserves_flags)) };
        word
    }

    pub fn write(word: Word) {
        // SAFETY: the value was read before, or differs in `FLUSH` alone, so rounding and exceptions stay as they are.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &word, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
use aarch64::{FLUSH, Word, read, write};

/// FPCR: flush to zero.
#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use std::arch::asm;

    pub type Word = u64;
    pub const FLUSH: Word = 1 << 24;

    pub fn read() -> Word {
        let word: Word;
        // SAFETY: reads a register.
        unsafe { asm!("mrs {}, fpcr", out(reg) word, options(nomem, nostack, preserves_flags)) };
        word
    }

    pub fn write(word: Word) {
        // SAFETY: the value was read before, or differs in `FLUSH` alone, so rounding and exceptions stay as they are.
        unsafe { asm!("msr fpcr, {}", in(reg) word, options(nomem, nostack, preserves_flags)) };
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use other::{FLUSH, Word, read, write};

/// Processors without such a register keep subnormal numbers.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod other {
    pub type Word = u32;
    pub const FLUSH: Word = 0;

    pub fn read() -> Word {
        0
    }

    pub fn write(_: Word) {}
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn subnormal_numbers_are_zero_meanwhile_and_then_again_numbers() {
        let half = || black_box(f32::MIN_POSITIVE) * black_box(0.5);
        assert!(half() > 0.0);
        {
            let _flush = Flush::begin();
            assert_eq!(half(), 0.0);
            assert_eq!(black_box(f32::from_bits(1)) * black_box(1e30), 0.0);
            let _again = Flush::begin();
            assert_eq!(black_box(f32::MIN_POSITIVE) * black_box(1.0), f32::MIN_POSITIVE);
        }
        assert!(half() > 0.0);
    }
}
