//! Durations: measured one by one, told by their quantiles.

use std::time::{Duration, Instant};

/// How long something took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let made = work();
    (made, began.elapsed())
}

/// A value of which the given share is not larger, in milliseconds.
pub fn quantile(times: &[Duration], share: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
}

/// The median, in milliseconds.
pub fn median(times: &[Duration]) -> f64 {
    quantile(times, 0.5)
}

/// Half and nearly all of them, in milliseconds.
pub fn spread(times: &[Duration]) -> String {
    let (half, most) = (median(times), quantile(times, 0.99));
    format!("p50 {} ms, p99 {} ms", short(half), short(most))
}

/// A number to three digits that count.
pub fn short(number: f64) -> String {
    let digits = match number.abs() {
        n if n >= 100.0 => 0,
        n if n >= 10.0 => 1,
        n if n >= 1.0 => 2,
        _ => 3,
    };
    format!("{number:.digits$}")
}

/// A count with its thousands set apart.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
