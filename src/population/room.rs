//! Adds and removes members while the others train: places their regions, and estimates the memory to reserve.
//!
//! A member needs a region in each of eight arenas. An arena has one leading role; gradients, for example, follow the
//! layout of the parameters, so that a kernel reaches both by one offset. Regions never move: a member takes the first
//! gap that is long enough.

use std::ops::Range;
use std::sync::Arc;

use super::{Buffer, Member, Population, STATE, Sizes};

/// The leading role of each arena, and its followers with their elements per element of the leading role.
const ARENAS: [(Buffer, &[(Buffer, usize)]); 8] = [
    (Buffer::Params, &[(Buffer::Grads, 1), (Buffer::Moments, 2)]),
    (Buffer::Stats, &[]),
    (Buffer::Acts, &[]),
    (Buffer::Z, &[(Buffer::Dz, 1)]),
    (Buffer::Index, &[(Buffer::RowLoss, 2)]),
    (Buffer::Partials, &[]),
    (Buffer::Looks, &[]),
    (Buffer::Inputs, &[]),
];

/// Memory of a population whose members come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Elements of every role.
    pub sizes: Sizes,
    /// Most layers of a member, including the output layer.
    pub layers: usize,
    /// Most sub-models of a member.
    pub sub_models: usize,
}

impl Room {
    /// Room for `slots` members like `members`, in any mixture: 1.1 times `slots` of the mean, plus one of the largest,
    /// as gaps do not always fit; at most `slots` of the largest, at least one.
    pub fn for_members(members: &[&Member], slots: usize) -> Room {
        let slots = slots.max(1);
        let mut sizes: Sizes = [0; Buffer::COUNT];
        for (own, followers) in ARENAS {
            let of = |member: &&Member| member.sizes[own as usize];
            let largest = members.iter().map(of).max().unwrap_or(0);
            let total: usize = members.iter().map(of).sum();
            let mixed = (total * slots).div_ceil(members.len().max(1));
            let elements = (mixed + mixed / 10 + largest).min(slots * largest).next_multiple_of(4);
            sizes[own as usize] = elements;
            for &(follower, times) in followers {
                sizes[follower as usize] = times * elements;
            }
        }
        sizes[Buffer::State as usize] = STATE * slots;
        let most = |of: fn(&Member) -> usize| members.iter().map(|member| of(member)).max();
        let layers = most(|member| member.layers.len()).unwrap_or(0);
        Room { sizes, layers, sub_models: most(Member::sub_models).unwrap_or(1) }
    }

    /// Bytes of memory for all roles.
    pub fn bytes(&self) -> u64 {
        4 * self.sizes.iter().map(|&elements| elements as u64).sum::<u64>()
    }

    /// Whether `member` fits into the empty room.
    pub fn holds(&self, member: &Member) -> bool {
        member.layers.len() <= self.layers
            && member.sub_models() <= self.sub_models
            && ARENAS.iter().all(|&(own, _)| member.sizes[own as usize] <= self.sizes[own as usize])
    }
}

impl Population {
    /// `slots` vacant slots, to be filled by [`Population::place`].
    pub fn with_room(slots: usize, room: Room) -> Population {
        let nobody = Arc::new(Member::nobody());
        let mut sizes = room.sizes;
        sizes[Buffer::State as usize] = STATE * slots;
        for (own, followers) in ARENAS {
            for &(follower, times) in followers {
                sizes[follower as usize] = times * sizes[own as usize];
            }
        }
        Population {
            members: vec![nobody; slots],
            bases: (0..slots).map(vacant_base).collect(),
            sizes,
            layers: room.layers,
            sub_models: room.sub_models,
            refillable: true,
        }
    }

    /// The room reserved for members.
    pub fn room(&self) -> Room {
        Room { sizes: self.sizes, layers: self.layers, sub_models: self.sub_models }
    }

    /// Whether `slot` is vacant.
    pub fn is_vacant(&self, slot: usize) -> bool {
        self.members[slot].layers.is_empty()
    }

    /// Vacant slots.
    pub fn vacant(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|&slot| self.is_vacant(slot))
    }

    /// Puts a member into `slot`, replacing its present one. False, with nothing changed, if there is no room at
    /// present, or if the population was made without room.
    #[must_use]
    pub fn place(&mut self, slot: usize, member: impl Into<Arc<Member>>) -> bool {
        let member = member.into();
        let fits = member.layers.len() <= self.layers && member.sub_models() <= self.sub_models;
        if !self.refillable || !fits {
            return false;
        }
        let mut base = vacant_base(slot);
        for (own, followers) in ARENAS {
            let others = (0..self.len()).filter(|&other| other != slot);
            let taken = others.map(|other| self.region(other, own)).collect();
            let Some(start) = first_fit(taken, member.sizes[own as usize], self.sizes[own as usize]) else {
                return false;
            };
            base[own as usize] = start;
            for &(follower, times) in followers {
                base[follower as usize] = times * start;
            }
        }
        self.bases[slot] = base;
        self.members[slot] = member;
        true
    }

    /// Takes the member out of `slot`.
    pub fn vacate(&mut self, slot: usize) {
        self.members[slot] = Arc::new(Member::nobody());
        self.bases[slot] = vacant_base(slot);
    }
}

/// Regions of a vacant slot: only its state has one.
fn vacant_base(slot: usize) -> Sizes {
    let mut base = [0; Buffer::COUNT];
    base[Buffer::State as usize] = STATE * slot;
    base
}

/// Start of the first gap of `len` elements between the regions that are `taken`, in `0..room`.
fn first_fit(mut taken: Vec<Range<usize>>, len: usize, room: usize) -> Option<usize> {
    if len == 0 {
        return Some(0);
    }
    taken.retain(|region| !region.is_empty());
    taken.sort_unstable_by_key(|region| region.start);
    let mut start: usize = 0;
    for region in taken {
        if region.start >= start + len {
            break;
        }
        start = region.end;
    }
    (start + len <= room).then_some(start)
}

#[cfg(test)]
mod tests;
