//! Regions of members that come and go, compared with a map of every element.

use super::*;
use crate::population::Loss;
use crate::population::random::pcg4d;

/// A member with a few small layers; only its sizes matter here.
fn member(word: impl Fn(u32) -> u32) -> Arc<Member> {
    let network = crate::spec::Network {
        hidden: (0..word(0) % 4).map(|layer| 1 + (word(1 + layer) % 12) as usize).collect(),
        batch_norm: word(9).is_multiple_of(2).then(Default::default),
        ..Member::nobody().training.network
    };
    let batch_size = 2 + (word(10) % 300) as usize;
    let training = crate::spec::Training { network, batch_size, ..Member::nobody().training };
    Arc::new(Member::new(&training, Loss::SquaredError, 5, 1001).expect("a step is possible"))
}

/// The owner of each element of a role, marked one by one.
///
/// # Errors
/// If an element has two owners or is not in the role.
fn owners(population: &Population, role: Buffer) -> Result<Vec<Option<usize>>, String> {
    let mut owner = vec![None; population.sizes[role as usize]];
    for slot in 0..population.len() {
        for at in population.region(slot, role) {
            match owner.get_mut(at) {
                Some(free @ None) => *free = Some(slot),
                Some(Some(other)) => return Err(format!("{role:?}[{at}] is in slots {other} and {slot}")),
                None => return Err(format!("{role:?}[{at}] of slot {slot} is beyond its end")),
            }
        }
    }
    Ok(owner)
}

/// The first run of `len` elements without an owner.
fn first_free(owner: &[Option<usize>], len: usize) -> Option<usize> {
    if len == 0 {
        return Some(0);
    }
    (0..(owner.len() + 1).saturating_sub(len)).find(|&at| owner[at..at + len].iter().all(Option::is_none))
}

#[test]
fn new_members_take_the_first_free_gap() {
    let (mut placed, mut refused) = (0, 0);
    for case in 0..12u32 {
        let kinds: Vec<Arc<Member>> = (0..6).map(|kind| member(|i| pcg4d([case, kind, i, 3])[0])).collect();
        let word = |turn: u32, i: u32| pcg4d([case, turn, i, 4])[0] as usize;
        let slots = 2 + word(0, 0) % 6;
        let some: Vec<&Member> = kinds.iter().map(|kind| &**kind).collect();
        let mut population = Population::with_room(slots, Room::for_members(&some, slots));
        for turn in 1..80 {
            let (slot, kind) = (word(turn, 1) % slots, &kinds[word(turn, 2) % kinds.len()]);
            let before = population.clone();
            population.vacate(slot);
            assert!(population.is_vacant(slot));
            if word(turn, 3).is_multiple_of(4) {
                continue;
            }
            let free = Buffer::ALL.map(|role| {
                let owner =
                    owners(&population, role).unwrap_or_else(|e| panic!("case {case}, turn {turn}: {e}"));
                first_free(&owner, kind.sizes[role as usize])
            });
            // Replaces the present member.
            let mut population_ = before.clone();
            let found = population_.place(slot, kind.clone());
            let expected = ARENAS.iter().all(|(own, _)| free[*own as usize].is_some());
            assert_eq!(found, expected, "case {case}, turn {turn}");
            if found {
                placed += 1;
                for (own, followers) in ARENAS {
                    let start = population_.bases[slot][own as usize];
                    assert_eq!(Some(start), free[own as usize], "case {case}, turn {turn}: {own:?}");
                    for &(follower, times) in followers {
                        assert_eq!(population_.bases[slot][follower as usize], times * start);
                    }
                }
            } else {
                refused += 1;
                assert_eq!((&population_.bases, population_.room()), (&before.bases, before.room()));
                assert!((0..slots).all(|k| Arc::ptr_eq(&population_.members[k], &before.members[k])));
            }
            for role in Buffer::ALL {
                let owned = owners(&population_, role);
                assert!(owned.is_ok(), "case {case}, turn {turn}: {owned:?}");
            }
            // The other members have not moved.
            for other in (0..slots).filter(|&other| other != slot) {
                assert_eq!(population_.bases[other], before.bases[other], "case {case}, turn {turn}");
            }
            population = population_;
        }
    }
    assert!(placed > 300 && refused > 20, "{placed} placed, {refused} refused");
}

/// The negative control: the map detects overlapping regions, and regions beyond the end.
#[test]
fn overlaps_are_detected() {
    let one = member(|i| i);
    let mut population = Population::with_room(2, Room::for_members(&[&one], 2));
    assert!(population.place(0, one.clone()) && population.place(1, one));
    let right = population.bases[1];
    for (wrong, what) in [(right[0] - 1, "in slots 0 and 1"), (right[0] + 1, "beyond its end")] {
        population.bases[1][Buffer::Params as usize] = wrong;
        let error = owners(&population, Buffer::Params).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn room_for_equal_members_is_never_too_small_and_one_member_always_fits() {
    let word = |nth: u32| move |i: u32| pcg4d([nth, i, 1, 5])[0];
    for nth in 0..20 {
        let (one, other) = (member(word(nth)), member(word(nth + 100)));
        let mut equal = Population::with_room(7, Room::for_members(&[&one], 7));
        assert!([3, 0, 6, 1, 5, 2, 4].into_iter().all(|slot| equal.place(slot, one.clone())));
        assert_eq!(equal.vacant().count(), 0);
        let room = Room::for_members(&[&one, &other], 1);
        for member in [&one, &other] {
            assert!(room.holds(member) && Population::with_room(1, room).place(0, member.clone()));
        }
        let tight = Room::for_members(&[&one], 1);
        let fits = Population::with_room(1, tight).place(0, other.clone());
        assert_eq!(fits, tight.holds(&other));
    }
}

#[test]
fn a_population_without_room_accepts_no_member() {
    let one = member(|i| i);
    let mut population = Population::new(vec![one.clone(), one.clone()]);
    population.vacate(0);
    assert!(!population.place(0, one));
}
