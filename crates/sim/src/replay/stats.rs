//! Sums over many numbers, as numpy computes them.

/// The mean; 0 of nothing.
pub(super) fn mean(numbers: &[f64]) -> f64 {
    if numbers.is_empty() { 0.0 } else { numbers.iter().sum::<f64>() / numbers.len() as f64 }
}

/// The standard deviation of a whole population.
pub(super) fn deviation(numbers: &[f64]) -> f64 {
    let middle = mean(numbers);
    let squares: Vec<f64> = numbers.iter().map(|number| (number - middle).powi(2)).collect();
    mean(&squares).sqrt()
}

/// The numbers in ascending order.
pub(super) fn sorted(numbers: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

/// The percentile of numbers in ascending order, with straight lines between them; 0 of nothing.
pub(super) fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = last as f64 * percent / 100.0;
    let below = whole(place.floor()).min(last);
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    low + (high - low) * (place - below as f64)
}

/// A whole number of a float that is one, and not negative.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as casts saturate; callers count things")]
pub(super) fn whole(number: f64) -> usize {
    number.max(0.0) as usize
}
