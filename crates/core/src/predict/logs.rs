//! Times as logarithms, in whole numbers: the same on every machine.
//!
//! Run times spread over six powers of ten and a guess is as wrong as its ratio to the truth, so
//! everything is learned from logarithms to the base 2, in steps of 1/1024 of a doubling.

/// A time or a ratio as a logarithm: 1,024 is one doubling.
pub(super) type Log = i32;

/// Steps in one doubling.
pub(super) const OCTAVE: Log = 1 << BITS;

/// One, of weights and of closeness.
pub(super) const ONE: u64 = 1 << 16;

const BITS: u32 = 10;

/// The longest time: `u64::MAX` ms, less one step.
pub(super) const LONGEST: Log = 64 * OCTAVE - 1;

/// 2^(1/2), 2^(1/4), ... 2^(1/1024), with 30 bits after the point.
const ROOTS: [u64; BITS as usize] = [
    1_518_500_250,
    1_276_901_417,
    1_170_923_762,
    1_121_280_436,
    1_097_253_708,
    1_085_434_106,
    1_079_572_136,
    1_076_653_033,
    1_075_196_443,
    1_074_468_888,
];

/// The logarithm of a time, rounded down; of 0 as of 1 ms.
pub(super) fn log(millis: u64) -> Log {
    let millis = millis.max(1);
    let whole = millis.ilog2();
    let mut mantissa = (u128::from(millis) << 31) >> whole;
    let mut log = whole;
    for _ in 0..BITS {
        mantissa = (mantissa * mantissa) >> 31;
        let bit = u32::from(mantissa >= 1 << 32);
        mantissa >>= bit;
        log = (log << 1) | bit;
    }
    log.cast_signed()
}

/// The longest time of a logarithm: no shorter than any time that has it, so that a run as long as
/// the one that it was predicted from does not outlive its prediction.
pub(super) fn millis(log: Log) -> u64 {
    let next = log.clamp(0, LONGEST).cast_unsigned() + 1;
    let scaled = u128::from(power(next)) << (next >> BITS);
    u64::try_from((scaled - 1) >> 30).unwrap_or(u64::MAX).max(1)
}

/// How near two times are: the shorter in the longer, in parts of [`ONE`].
pub(super) fn closeness(a: Log, b: Log) -> u64 {
    let apart = a.abs_diff(b);
    let whole = apart >> BITS;
    if whole > 15 {
        return 0;
    }
    ((ONE << 30) / power(apart)) >> whole
}

/// 2 to the fraction of a logarithm, with 30 bits after the point.
fn power(log: u32) -> u64 {
    let bit = |at: &u32| log & (1 << (BITS - 1 - at)) != 0;
    (0..BITS).zip(ROOTS).filter(|(at, _)| bit(at)).fold(1 << 30, |product, (_, root)| (product * root) >> 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_from_its_logarithm_within_a_thousandth() {
        for time in (0..60).map(|i| 1_u64 << i).chain([3, 7, 999, 86_400_000, 123_456_789_012, u64::MAX]) {
            let back = millis(log(time));
            assert!(back >= time && back - time <= time / 1000 + 1, "{time} came back as {back}");
        }
        assert_eq!((log(1), log(2), log(1024), log(0)), (0, OCTAVE, 10 * OCTAVE, 0));
    }

    #[test]
    fn closeness_is_the_shorter_time_in_the_longer() {
        assert_eq!(closeness(5, 5), ONE);
        assert_eq!(closeness(0, OCTAVE), ONE / 2);
        assert_eq!(closeness(3 * OCTAVE, OCTAVE), ONE / 4);
        assert_eq!(closeness(0, 40 * OCTAVE), 0);
        let third = closeness(log(1_000_000), log(3_000_000));
        assert!(third.abs_diff(ONE / 3) < ONE / 500, "{third}");
    }
}
