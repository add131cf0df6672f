//! Numbers on the command lines of benchmarks: whole, and no larger than makes sense.

/// A whole number from 1 to `MOST`.
/// # Errors
/// What is allowed.
pub(crate) fn upto<T: TryFrom<u64>, const MOST: u64>(text: &str) -> Result<T, String> {
    let number = text.parse::<u64>().ok().filter(|number| (1..=MOST).contains(number));
    number
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| format!("{text:?} is no whole number from 1 to {MOST}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_whole_and_within_what_makes_sense() {
        assert_eq!(upto::<u32, 64>("64"), Ok(64));
        for bad in ["0", "65", "x", "1.5", "-1", "", "18446744073709551615", "18446744073709551616"] {
            assert_eq!(upto::<u32, 64>(bad), Err(format!("{bad:?} is no whole number from 1 to 64")));
        }
    }
}
