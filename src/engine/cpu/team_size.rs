//! How many threads work on one member: as many as were measured to be worth it.
//!
//! A team of threads that meet after every operation gains little on a small network, and loses manyfold on a busy
//! machine, where one of them is always put aside. So training begins with one thread. Larger teams are tried for a
//! moment, and kept where twice as many threads gain [`GAIN`]; they are tried again from time to time, ever more rarely
//! if that fails. A team that waits instead of working [breaks up](Stretch) at once. The bits of the results do not
//! depend on any of this.

use std::time::Duration;

/// What twice as many threads must gain.
pub const GAIN: f64 = 1.15;
/// Multiply-adds per step that justify a try of one more thread.
const WORTH: f64 = 1e6;
/// A team is judged by this many seconds of its work.
const JUDGED: f64 = 0.002;
/// A speed is roughly the mean over the last so many seconds of work.
const REMEMBERED: f64 = 0.1;
/// Seconds of work between tries of larger teams, at least and at most: three times as many after each failure.
const GAPS: [f64; 2] = [0.01, 1.0];
/// Seconds of work until a smaller team is tried.
const DOWN: f64 = 10.0;
/// A team that has worked for so many seconds may be tried again soon after it breaks up.
const LASTING: f64 = 0.5;
/// Calls in which a team that is tried may fail to come together.
const MISSES: u32 = 2;
/// Seconds of a call that justify calling a team.
const SHORT: f64 = 0.0005;

/// The most threads for each of `members` members with `work` multiply-adds per step.
pub fn most(threads: usize, members: usize, work: f64) -> usize {
    (threads / members.max(1)).min((work / WORTH) as usize).max(1)
}

/// A part of a call in which a team kept its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    pub size: usize,
    /// Multiply-adds.
    pub work: f64,
    pub seconds: f64,
}

/// Measured speed.
#[derive(Clone, Copy, Debug, Default)]
struct Speed {
    work: f64,
    seconds: f64,
}

impl Speed {
    fn add(&mut self, work: f64, seconds: f64) {
        if self.seconds > REMEMBERED {
            (self.work, self.seconds) = (self.work / 2.0, self.seconds / 2.0);
        }
        (self.work, self.seconds) = (self.work + work, self.seconds + seconds);
    }
    fn rate(self) -> f64 {
        self.work / self.seconds.max(1e-9)
    }
    fn is_known(self) -> bool {
        self.seconds >= JUDGED
    }
}

/// Chooses the size of teams for one kind of step.
#[derive(Clone, Debug, Default)]
pub struct TeamSize {
    /// Speed of teams of 1, 2, 4, ... threads, as far as any call allowed.
    speeds: Vec<Speed>,
    /// The size in use, as its logarithm, as are all levels.
    level: usize,
    /// The size that is tried, and in how many calls that team did not come together.
    tried: Option<(usize, u32)>,
    /// Seconds of work since the last try, since the last try of a smaller team, and since the last change.
    since_try: f64,
    since_down: f64,
    since_change: f64,
    /// Seconds of work until a larger team is tried.
    gap: f64,
}

impl TeamSize {
    /// The number of threads for the next call of `work` multiply-adds: a power of two, at most `most`. What was learned
    /// stays if `most` is less for a while, because others compute, too.
    pub fn choose(&mut self, most: usize, work: f64) -> usize {
        let largest = most.max(1).ilog2() as usize;
        if self.speeds.len() <= largest {
            self.speeds.resize(largest + 1, Speed::default());
        }
        let level = self.tried.map_or(self.level, |(level, _)| level).min(largest);
        if self.expected(1, work).is_none_or(|seconds| seconds.as_secs_f64() < SHORT) {
            1
        } else {
            1 << level
        }
    }

    /// How long a call of `work` multiply-adds will take a team of `size`, if that is known.
    pub fn expected(&self, size: usize, work: f64) -> Option<Duration> {
        let speed = self.speeds.get(size.ilog2() as usize).filter(|speed| speed.seconds > 0.0)?;
        Some(Duration::from_secs_f64(work / speed.rate().max(1.0)))
    }

    /// Takes note of a call that allowed `most` threads and for which a team of `wanted` was called, which was `broken`
    /// up or not.
    pub fn learn(&mut self, most: usize, wanted: usize, stretches: &[Stretch], broken: bool) {
        for stretch in stretches {
            if let Some(speed) = self.speeds.get_mut(stretch.size.ilog2() as usize) {
                speed.add(stretch.work, stretch.seconds);
            }
            for since in [&mut self.since_try, &mut self.since_down, &mut self.since_change] {
                *since += stretch.seconds;
            }
        }
        let largest = most.max(1).ilog2() as usize;
        match self.tried {
            Some((level, _)) if level > largest => self.tried = None,
            Some(_) if broken => self.fail(),
            // Whatever the speeds: it waited instead of working.
            None if broken => {
                if self.since_change >= LASTING {
                    self.gap = 0.0;
                }
                self.change(self.level.min(wanted.ilog2() as usize).saturating_sub(1));
                self.fail();
            }
            Some((level, _)) if self.speeds[level].is_known() => self.judge(level),
            Some((level, misses)) if wanted == 1 << level => {
                let came = stretches.iter().any(|stretch| stretch.size == wanted);
                self.tried = Some((level, if came { misses } else { misses + 1 }));
                if misses >= MISSES {
                    self.fail();
                }
            }
            Some(_) => {}
            None => self.try_another(largest),
        }
    }

    fn try_another(&mut self, largest: usize) {
        if self.level > largest || !self.speeds[self.level].is_known() {
            return;
        }
        let level = if self.level > 0 && self.since_down >= DOWN {
            self.since_down = 0.0;
            self.level - 1
        } else if self.level < largest && self.since_try >= self.gap {
            self.level + 1
        } else {
            return;
        };
        self.speeds[level] = Speed::default();
        self.tried = Some((level, 0));
    }

    fn judge(&mut self, level: usize) {
        let (small, large) = (level.min(self.level), level.max(self.level));
        let pays = self.speeds[large].rate() >= GAIN * self.speeds[small].rate();
        match if pays { large } else { small } {
            best if best != self.level => self.change(best),
            // A smaller team that is slower says nothing about larger ones.
            _ if level < self.level => (self.tried, self.since_try) = (None, 0.0),
            _ => self.fail(),
        }
    }

    fn change(&mut self, level: usize) {
        (self.level, self.tried) = (level, None);
        (self.since_try, self.since_down, self.since_change) = (0.0, 0.0, 0.0);
    }

    /// The next larger team is tried later.
    fn fail(&mut self) {
        (self.tried, self.since_try) = (None, 0.0);
        self.gap = (3.0 * self.gap).clamp(GAPS[0], GAPS[1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of work simulated on a machine where a team of `size` does `rate(size)` multiply-adds a second, and
    /// breaks up where that is 0; returns the seconds that each size worked.
    fn simulate(team: &mut TeamSize, most: usize, seconds: f64, rate: impl Fn(usize) -> f64) -> Vec<f64> {
        let (mut spent, mut total) = (vec![0.0; most + 1], 0.0);
        while total < seconds {
            let work = 5e-3 * rate(1);
            let wanted = team.choose(most, work);
            let broken = rate(wanted) == 0.0;
            let size = if broken { 1 } else { wanted };
            let stretch = Stretch { size, work, seconds: work / rate(size) };
            // Breaking up costs a time slice.
            let seconds = stretch.seconds + if broken { 0.01 } else { 0.0 };
            team.learn(most, wanted, &[stretch], broken);
            spent[wanted] += seconds;
            total += seconds;
        }
        spent
    }

    #[test]
    fn teams_grow_while_twice_as_many_threads_gain_enough() {
        for (rates, best) in [
            // 10 % are not enough.
            (vec![0.0, 1e9, 1.1e9], 1),
            (vec![0.0, 1e9, 1.6e9], 2),
            (vec![0.0, 1e9, 1.7e9, 2e9, 2.5e9, 0.0, 0.0, 0.0, 2.6e9], 4),
            (vec![0.0, 1e9, 1.9e9, 2e9, 3.5e9, 0.0, 0.0, 0.0, 6e9], 8),
        ] {
            let mut team = TeamSize::default();
            let spent = simulate(&mut team, rates.len() - 1, 10.0, |size| rates[size]);
            assert!(spent[best] > 9.4, "{rates:?}: {spent:?}");
        }
    }

    #[test]
    fn on_a_busy_machine_teams_are_tried_rarely_and_come_back_when_it_is_free() {
        let mut team = TeamSize::default();
        let busy = |size: usize| if size == 1 { 5e8 } else { 0.0 };
        let free = |size: usize| if size == 1 { 1e9 } else { 1.6e9 };
        simulate(&mut team, 2, 2.0, free);
        let spent = simulate(&mut team, 2, 10.0, busy);
        assert!(spent[2] < 0.3, "{spent:?}");
        let spent = simulate(&mut team, 2, 10.0, free);
        assert!(spent[2] > 8.5, "{spent:?}");
    }

    #[test]
    fn a_larger_team_that_breaks_up_does_not_cost_the_smaller_one() {
        let mut team = TeamSize::default();
        let spent = simulate(&mut team, 4, 60.0, |size| [0.0, 1e9, 1.8e9, 0.0, 0.0][size]);
        assert!(spent[2] > 55.0, "{spent:?}");
    }

    #[test]
    fn what_was_learned_stays_while_others_compute() {
        let mut team = TeamSize::default();
        let rate = |size: usize| 1e9 * size as f64;
        simulate(&mut team, 8, 2.0, rate);
        let mut spent = vec![0.0; 9];
        for call in 0..400 {
            let some = simulate(&mut team, if call % 2 == 0 { 4 } else { 8 }, 0.002, rate);
            some.iter().zip(&mut spent).for_each(|(some, all)| *all += some);
        }
        assert!(spent[4] + spent[8] > 0.9 * spent.iter().sum::<f64>(), "{spent:?}");
    }

    #[test]
    fn a_team_that_never_comes_together_is_not_called_each_time() {
        let mut team = TeamSize::default();
        let mut called = 0;
        for _ in 0..1000 {
            let wanted = team.choose(2, 5e6);
            called += usize::from(wanted == 2);
            team.learn(2, wanted, &[Stretch { size: 1, work: 5e6, seconds: 5e-3 }], false);
        }
        assert!((3..60).contains(&called), "{called} of 1000");
    }

    #[test]
    fn a_team_that_became_too_large_shrinks_without_breaking_up() {
        let mut team = TeamSize::default();
        simulate(&mut team, 4, 2.0, |size| 1e9 * size as f64);
        let spent = simulate(&mut team, 4, 60.0, |size| [0.0, 1e9, 1.9e9, 0.0, 2e9][size]);
        assert!(spent[2] > 40.0, "{spent:?}");
    }

    #[test]
    fn few_members_get_many_threads_if_they_have_work() {
        assert_eq!(most(16, 4, 1e9), 4);
        assert_eq!(most(16, 17, 1e9), 1);
        assert_eq!(most(16, 1, 3.5e6), 3);
        assert_eq!(most(2, 1, 1e3), 1);
    }
}
