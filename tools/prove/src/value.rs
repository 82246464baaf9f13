// SPDX-License-Identifier: GPL-2.0
//! Abstract values: the facts about a value that hold in every run.

use crate::ir::{Binary, Cast, Predicate, SymId};

/// An object on the stack of a caller, or the range that a root is given: an index into the known contents.
pub type ObjectId = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Abstract {
    /// No run comes here.
    Bottom,
    /// An integer of `width` bits. The bits in `zero` are 0, and those in `one` are 1.
    Bits { width: u8, zero: u64, one: u64 },
    /// The address of a symbol, and an offset.
    Address(SymId, i64),
    /// The address of an object whose contents are known, and an offset.
    Object(ObjectId, i64),
    /// A non-null pointer.
    NonNull,
    /// Anything.
    Top,
}

use Abstract::*;

fn mask(width: u8) -> u64 {
    if width >= 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    }
}

impl Abstract {
    pub fn bits(width: u8, zero: u64, one: u64) -> Self {
        let (zero, one) = (zero & mask(width), one & mask(width));
        if width == 0 || zero | one == 0 || zero & one != 0 {
            return Top;
        }
        Bits { width, zero, one }
    }

    pub fn int(width: u8, value: u64) -> Self {
        Self::bits(width, !value, value)
    }

    pub fn constant(self) -> Option<u64> {
        match self {
            Bits { width, zero, one } if zero | one == mask(width) => Some(one),
            _ => None,
        }
    }

    pub fn is_null(self) -> bool {
        self.constant() == Some(0)
    }

    /// Returns whether the value is not zero. A symbol that may be missing has the address 0, and is `Top` therefore.
    pub fn is_nonzero(self) -> bool {
        match self {
            NonNull | Object(..) | Address(..) => true,
            Bits { one, .. } => one != 0,
            _ => false,
        }
    }

    fn is_pointer(self) -> bool {
        matches!(self, NonNull | Object(..) | Address(..))
    }

    /// Returns the facts true of both values.
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (Bottom, value) | (value, Bottom) => value,
            (a, b) if a == b => a,
            (
                Bits {
                    width,
                    zero: z1,
                    one: o1,
                },
                Bits {
                    width: other,
                    zero: z2,
                    one: o2,
                },
            ) if width == other => Self::bits(width, z1 & z2, o1 & o2),
            (a, b) if a.is_pointer() && b.is_pointer() => NonNull,
            _ => Top,
        }
    }

    /// Returns the facts of both, which hold at the same time.
    pub fn meet(self, other: Self) -> Self {
        match (self, other) {
            (Top, value) | (value, Top) => value,
            (
                Bits {
                    width,
                    zero: z1,
                    one: o1,
                },
                Bits {
                    width: other,
                    zero: z2,
                    one: o2,
                },
            ) if width == other && (z1 | z2) & (o1 | o2) == 0 => {
                Self::bits(width, z1 | z2, o1 | o2)
            }
            // Both hold, so either will do. No run comes here if they exclude each other.
            (value, _) => value,
        }
    }

    /// Returns the known bits of an integer: the zeroes, and the ones.
    fn known(self) -> (u64, u64) {
        match self {
            Bits { zero, one, .. } => (zero, one),
            _ => (0, 0),
        }
    }

    pub fn binary(op: Binary, a: Self, b: Self, width: u8) -> Self {
        if a == Bottom || b == Bottom {
            return Bottom;
        }
        let ((az, ao), (bz, bo)) = (a.known(), b.known());
        match op {
            Binary::And => return Self::bits(width, az | bz, ao & bo),
            Binary::Or => return Self::bits(width, az & bz, ao | bo),
            Binary::Xor => return Self::bits(width, (az & bz) | (ao & bo), (az & bo) | (ao & bz)),
            _ => {}
        }
        if op == Binary::Mul && (a.is_null() || b.is_null()) {
            return Self::int(width, 0);
        }
        let amount = b
            .constant()
            .filter(|amount| *amount < u64::from(width))
            .map(|amount| amount as u32);
        match (op, amount) {
            (Binary::Shl, Some(by)) => {
                return Self::bits(width, (az << by) | mask(by as u8), ao << by)
            }
            (Binary::LShr, Some(by)) => {
                return Self::bits(width, (az >> by) | !(mask(width) >> by), ao >> by)
            }
            (Binary::AShr, Some(by)) => {
                let sign = 1 << (width - 1);
                let high = !(mask(width) >> by);
                let zero = (az >> by) | if az & sign != 0 { high } else { 0 };
                let one = (ao >> by) | if ao & sign != 0 { high } else { 0 };
                return Self::bits(width, zero, one);
            }
            _ => {}
        }
        if let (Some(a), Some(b)) = (a.constant(), b.constant()) {
            return match op {
                Binary::Add => Self::int(width, a.wrapping_add(b)),
                Binary::Sub => Self::int(width, a.wrapping_sub(b)),
                Binary::Mul => Self::int(width, a.wrapping_mul(b)),
                Binary::UDiv if b != 0 => Self::int(width, a / b),
                Binary::URem if b != 0 => Self::int(width, a % b),
                _ => Top,
            };
        }
        if matches!(op, Binary::Add | Binary::Sub) {
            // The low bits known of both are known of the result.
            let low = (az | ao)
                .trailing_ones()
                .min((bz | bo).trailing_ones())
                .min(width.into());
            let low = mask(low as u8);
            let value = if op == Binary::Add {
                ao.wrapping_add(bo)
            } else {
                ao.wrapping_sub(bo)
            };
            return Self::bits(width, !value & low, value & low);
        }
        Top
    }

    pub fn cast(cast: Cast, value: Self, from: u8, to: u8) -> Self {
        match (cast, value) {
            (_, Bottom) => Bottom,
            (Cast::Same, value) => value,
            (Cast::Trunc, Bits { zero, one, .. }) => Self::bits(to, zero, one),
            (Cast::ZExt, value) => {
                let (zero, one) = value.known();
                Self::bits(to, zero | !mask(from), one)
            }
            (Cast::SExt, Bits { zero, one, .. }) => {
                let (sign, high) = (1u64 << (from - 1), !mask(from));
                let extend = |bits: u64| if bits & sign != 0 { bits | high } else { bits };
                Self::bits(to, extend(zero), extend(one))
            }
            _ => Top,
        }
    }

    /// Returns the outcome of a comparison of `width` bits, as a value of one bit.
    pub fn compare(predicate: Predicate, a: Self, b: Self, width: u8) -> Self {
        if a == Bottom || b == Bottom {
            return Bottom;
        }
        let outcome = |known: Option<bool>| known.map_or(Top, |known| Self::int(1, known.into()));
        if a.is_pointer() || b.is_pointer() {
            let equal = if (a.is_null() && b.is_nonzero()) || (b.is_null() && a.is_nonzero()) {
                Some(false)
            } else if a == b && a != NonNull {
                Some(true)
            } else {
                None
            };
            return match predicate {
                Predicate::Eq => outcome(equal),
                Predicate::Ne => outcome(equal.map(|equal| !equal)),
                _ => Top,
            };
        }
        let ((az, ao), (bz, bo)) = (a.known(), b.known());
        if (az & bo) | (ao & bz) != 0 {
            match predicate {
                Predicate::Eq => return outcome(Some(false)),
                Predicate::Ne => return outcome(Some(true)),
                _ => {}
            }
        }
        if let (Some(a), Some(b)) = (a.constant(), b.constant()) {
            match predicate {
                Predicate::Eq => return outcome(Some(a == b)),
                Predicate::Ne => return outcome(Some(a != b)),
                _ => {}
            }
        }
        if width == 0 {
            return Top;
        }
        // With the sign bits turned over, signed numbers are in the order of unsigned ones.
        let flip = match predicate {
            Predicate::Sgt | Predicate::Sge | Predicate::Slt | Predicate::Sle => 1 << (width - 1),
            _ => 0,
        };
        let range = |zero: u64, one: u64| {
            let (zero, one) = ((zero & !flip) | (one & flip), (one & !flip) | (zero & flip));
            (one, !zero & mask(width))
        };
        let ((a_min, a_max), (b_min, b_max)) = (range(az, ao), range(bz, bo));
        let less = if a_max < b_min {
            Some(true)
        } else if a_min >= b_max {
            Some(false)
        } else {
            None
        };
        let greater = if a_min > b_max {
            Some(true)
        } else if a_max <= b_min {
            Some(false)
        } else {
            None
        };
        outcome(match predicate {
            Predicate::Ult | Predicate::Slt => less,
            Predicate::Uge | Predicate::Sge => less.map(|less| !less),
            Predicate::Ugt | Predicate::Sgt => greater,
            Predicate::Ule | Predicate::Sle => greater.map(|greater| !greater),
            Predicate::Eq | Predicate::Ne => None,
        })
    }

    /// Returns the pointer at an offset from this one, which is unknown if `by` is `None`.
    pub fn offset(self, by: Option<i64>, inbounds: bool) -> Self {
        match (self, by) {
            (Bottom, _) => Bottom,
            (Address(symbol, offset), Some(by)) => Address(symbol, offset.wrapping_add(by)),
            (Object(object, offset), Some(by)) => Object(object, offset.wrapping_add(by)),
            (value, Some(0)) => value,
            (value, _) if value.is_pointer() && inbounds => NonNull,
            _ => Top,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: u8 = 3;

    /// All abstract values of few bits, and for each its integers.
    fn all() -> Vec<(Abstract, Vec<u64>)> {
        let mut all = vec![];
        for zero in 0..8u64 {
            for one in (0..8).filter(|one| one & zero == 0) {
                let value = Abstract::bits(WIDTH, zero, one);
                all.push((
                    value,
                    (0..8)
                        .filter(|int| int & zero == 0 && int & one == one)
                        .collect(),
                ));
            }
        }
        all
    }

    fn holds(value: Abstract, int: u64) -> bool {
        match value {
            Bits { zero, one, .. } => int & zero == 0 && int & one == one,
            Bottom => false,
            _ => true,
        }
    }

    fn signed(int: u64) -> i64 {
        if int & 4 != 0 {
            int as i64 - 8
        } else {
            int as i64
        }
    }

    #[test]
    fn no_result_is_ruled_out_that_is_possible() {
        let shift = |b: u64| b < u64::from(WIDTH);
        type Concrete = fn(u64, u64) -> u64;
        let operations: [(Binary, Concrete); 11] = [
            (Binary::Add, |a, b| a.wrapping_add(b)),
            (Binary::Sub, |a, b| a.wrapping_sub(b)),
            (Binary::Mul, |a, b| a.wrapping_mul(b)),
            (Binary::UDiv, |a, b| a.checked_div(b).unwrap_or(0)),
            (Binary::URem, |a, b| a.checked_rem(b).unwrap_or(0)),
            (Binary::Shl, |a, b| a << b),
            (Binary::LShr, |a, b| a >> b),
            (Binary::AShr, |a, b| (signed(a) >> b) as u64),
            (Binary::And, |a, b| a & b),
            (Binary::Or, |a, b| a | b),
            (Binary::Xor, |a, b| a ^ b),
        ];
        for (op, concrete) in operations {
            for (a, all_a) in all() {
                for (b, all_b) in all() {
                    let result = Abstract::binary(op, a, b, WIDTH);
                    for (a, b) in all_a
                        .iter()
                        .flat_map(|a| all_b.iter().map(move |b| (*a, *b)))
                    {
                        let defined = match op {
                            Binary::UDiv | Binary::URem => b != 0,
                            Binary::Shl | Binary::LShr | Binary::AShr => shift(b),
                            _ => true,
                        };
                        let int = concrete(a, if defined { b } else { 1 }) & 7;
                        assert!(!defined || holds(result, int), "{op:?} {a} {b}: {result:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_outcome_is_ruled_out_that_is_possible() {
        type Concrete = fn(u64, u64) -> bool;
        let predicates: [(Predicate, Concrete); 10] = [
            (Predicate::Eq, |a, b| a == b),
            (Predicate::Ne, |a, b| a != b),
            (Predicate::Ugt, |a, b| a > b),
            (Predicate::Uge, |a, b| a >= b),
            (Predicate::Ult, |a, b| a < b),
            (Predicate::Ule, |a, b| a <= b),
            (Predicate::Sgt, |a, b| signed(a) > signed(b)),
            (Predicate::Sge, |a, b| signed(a) >= signed(b)),
            (Predicate::Slt, |a, b| signed(a) < signed(b)),
            (Predicate::Sle, |a, b| signed(a) <= signed(b)),
        ];
        for (predicate, concrete) in predicates {
            let mut decided = 0;
            for (a, all_a) in all() {
                for (b, all_b) in all() {
                    let outcome = Abstract::compare(predicate, a, b, WIDTH);
                    decided += u32::from(outcome != Top);
                    for (a, b) in all_a
                        .iter()
                        .flat_map(|a| all_b.iter().map(move |b| (*a, *b)))
                    {
                        assert!(
                            holds(outcome, concrete(a, b).into()),
                            "{predicate:?} {a} {b}: {outcome:?}"
                        );
                    }
                }
            }
            assert!(decided > 100, "{predicate:?} is hardly ever decided");
        }
    }

    #[test]
    fn casts_and_joins_keep_every_value() {
        for (a, all_a) in all() {
            for int in &all_a {
                assert!(holds(Abstract::cast(Cast::ZExt, a, WIDTH, 8), *int));
                assert!(holds(
                    Abstract::cast(Cast::SExt, a, WIDTH, 8),
                    signed(*int) as u64 & 0xff
                ));
                assert!(holds(Abstract::cast(Cast::Trunc, a, WIDTH, 2), int & 3));
            }
            for (b, all_b) in all() {
                assert!(
                    all_a.iter().chain(&all_b).all(|int| holds(a.join(b), *int)),
                    "{a:?} {b:?}"
                );
            }
        }
    }

    #[test]
    fn what_holds_twice_is_kept() {
        for (a, all_a) in all() {
            for (b, all_b) in all() {
                let both = a.meet(b);
                assert!(all_a
                    .iter()
                    .filter(|int| all_b.contains(int))
                    .all(|int| holds(both, *int)));
            }
        }
    }

    #[test]
    fn pointers_are_compared_by_what_they_are() {
        let null = Abstract::int(64, 0);
        let compare = |a, b| Abstract::compare(Predicate::Eq, a, b, 64).constant();
        assert_eq!(compare(Address(1, 0), null), Some(0));
        assert_eq!(compare(Address(1, 0), Address(1, 0)), Some(1));
        assert_eq!(compare(NonNull, NonNull), None);
        // Two symbols may be one: an alias, or merged by the linker.
        assert_eq!(compare(Address(1, 0), Address(2, 0)), None);
        assert_eq!(Address(1, 0).join(null), Top);
        assert_eq!(Address(1, 0).join(Address(1, 8)), NonNull);
    }
}
