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
    most: usize,
    /// Speed of teams of 1, 2, 4, ... threads; the last one has the most.
    speeds: Vec<Speed>,
    /// The size in use.
    level: usize,
    /// The size that is tried, and how often that team did not come together.
    tried: Option<(usize, u32)>,
    /// Whether the next try is a larger team, where both are possible.
    up: bool,
    /// Seconds of work since the last try, and since the last change.
    since_try: f64,
    since_change: f64,
    /// Seconds of work until a larger team is tried.
    gap: f64,
}

impl TeamSize {
    fn size(&self, level: usize) -> usize {
        (1 << level).min(self.most)
    }

    /// The number of threads for the next call of `work` multiply-adds, at most `most`.
    pub fn choose(&mut self, most: usize, work: f64) -> usize {
        if most != self.most {
            let levels = most.next_power_of_two().ilog2() as usize + 1;
            *self =
                TeamSize { most, speeds: vec![Speed::default(); levels], up: true, ..TeamSize::default() };
        }
        let size = self.size(self.tried.map_or(self.level, |(level, _)| level));
        if self.expected(1, work).is_none_or(|seconds| seconds.as_secs_f64() < SHORT) { 1 } else { size }
    }

    /// How long a call of `work` multiply-adds will take a team of `size`, if that is known.
    pub fn expected(&self, size: usize, work: f64) -> Option<Duration> {
        let of = |level: usize| self.size(level) == size;
        let speed = self.speeds[(0..self.speeds.len()).find(|&level| of(level))?];
        (speed.seconds > 0.0).then(|| Duration::from_secs_f64(work / speed.rate().max(1.0)))
    }

    /// Takes note of a call for which a team of `wanted` threads was called, and which was `broken` up or not.
    pub fn learn(&mut self, wanted: usize, stretches: &[Stretch], broken: bool) {
        for stretch in stretches {
            if let Some(level) = (0..self.speeds.len()).find(|&level| self.size(level) == stretch.size) {
                self.speeds[level].add(stretch.work, stretch.seconds);
            }
            self.since_try += stretch.seconds;
            self.since_change += stretch.seconds;
        }
        if broken {
            if self.level > 0 && self.since_change >= LASTING {
                self.gap = 0.0;
            }
            self.change(0);
            self.fail();
            return;
        }
        match self.tried {
            Some((level, _)) if self.speeds[level].is_known() => self.judge(level),
            Some((level, misses)) if wanted == self.size(level) => {
                let came = stretches.iter().any(|stretch| stretch.size == wanted);
                self.tried = Some((level, if came { misses } else { misses + 1 }));
                if misses >= MISSES {
                    self.fail();
                }
            }
            Some(_) => {}
            None => self.try_another(),
        }
    }

    fn try_another(&mut self) {
        let largest = self.speeds.len() - 1;
        let up = self.level < largest && (self.up || self.level == 0);
        let is_due = self.since_try >= if up { self.gap } else { DOWN };
        if largest > 0 && is_due && self.speeds[self.level].is_known() {
            let level = if up { self.level + 1 } else { self.level - 1 };
            self.speeds[level] = Speed::default();
            self.tried = Some((level, 0));
        }
    }

    fn judge(&mut self, level: usize) {
        let (small, large) = (level.min(self.level), level.max(self.level));
        let pays = self.speeds[large].rate() >= GAIN * self.speeds[small].rate();
        let best = if pays { large } else { small };
        if best == self.level {
            self.fail();
        } else {
            // The next try goes on in the same direction.
            self.up = best > self.level;
            self.change(best);
        }
    }

    fn change(&mut self, level: usize) {
        (self.level, self.tried, self.since_try, self.since_change) = (level, None, 0.0, 0.0);
    }

    /// The next try is later, and in the other direction.
    fn fail(&mut self) {
        (self.tried, self.since_try, self.up) = (None, 0.0, !self.up);
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
            team.learn(wanted, &[stretch], broken);
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
    fn a_team_that_never_comes_together_is_not_called_each_time() {
        let mut team = TeamSize::default();
        let mut called = 0;
        for _ in 0..1000 {
            let wanted = team.choose(2, 5e6);
            called += usize::from(wanted == 2);
            team.learn(wanted, &[Stretch { size: 1, work: 5e6, seconds: 5e-3 }], false);
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
