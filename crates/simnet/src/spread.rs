//! Quantities in scenarios: fixed, or left to the seed within a range.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::streams::Draws;

/// A span of time in a scenario: `"250 ms"`, `"5 min"`, `"365 days"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(
    /// In microseconds.
    pub u64,
);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds * 1_000_000)
    }

    /// In seconds.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let coarse = if self.0 < 1_000_000 { self.0 } else { self.0 / 1_000 * 1_000 };
        humantime::format_duration(std::time::Duration::from_micros(coarse)).fmt(f)
    }
}

/// What a [`Spread`] can be of.
pub trait Quantity: Copy + PartialOrd + fmt::Display {
    /// What a scenario may say, in words.
    const EXPECTED: &'static str;
    /// Reads one.
    fn parse(text: &str) -> Option<Self>;
    /// Reads one that is written as a bare number.
    fn from_number(number: f64) -> Option<Self>;
    /// The one that lies so far, 0 to 1, between two.
    fn mix(least: Self, most: Self, share: f64) -> Self;
}

impl Quantity for Span {
    const EXPECTED: &'static str = r#"a time like "250 ms", or a range like "10 ms .. 80 ms""#;

    fn parse(text: &str) -> Option<Self> {
        let span = humantime::parse_duration(text).ok()?;
        u64::try_from(span.as_micros()).ok().filter(|span| *span < u64::MAX / 4).map(Self)
    }

    fn from_number(_number: f64) -> Option<Self> {
        None
    }

    fn mix(least: Self, most: Self, share: f64) -> Self {
        Self(u64::mix(least.0, most.0, share))
    }
}

impl Quantity for f64 {
    const EXPECTED: &'static str = r#"a number from 0 on, or a range like "0.01 .. 0.1""#;

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().and_then(Self::from_number)
    }

    fn from_number(number: f64) -> Option<Self> {
        (number.is_finite() && number >= 0.0).then_some(number)
    }

    fn mix(least: Self, most: Self, share: f64) -> Self {
        least + (most - least) * share
    }
}

impl Quantity for u64 {
    const EXPECTED: &'static str = r#"a whole number, or a range like "16 .. 4096""#;

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn from_number(number: f64) -> Option<Self> {
        let is_whole = number >= 0.0 && number.fract() == 0.0 && number < (1_u64 << 53) as f64;
        is_whole.then_some(number as Self)
    }

    fn mix(least: Self, most: Self, share: f64) -> Self {
        let span = (most - least) as f64 + 1.0;
        least + ((span * share) as Self).min(most - least)
    }
}

/// A quantity, or the range from which each run draws one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread<T> {
    least: T,
    most: T,
}

impl<T: Quantity> Spread<T> {
    /// This quantity and no other.
    pub const fn fixed(quantity: T) -> Self {
        Self { least: quantity, most: quantity }
    }

    /// Something in between, both included.
    pub fn between(least: T, most: T) -> Self {
        Self { least, most: if most < least { least } else { most } }
    }

    /// The least it can be.
    #[must_use]
    pub fn least(&self) -> T {
        self.least
    }

    /// The most it can be.
    #[must_use]
    pub fn most(&self) -> T {
        self.most
    }

    /// Whether it is left to the seed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.least < self.most
    }

    /// What this seed draws for this place in a scenario.
    #[must_use]
    pub fn draw(&self, seed: u64, place: &str) -> T {
        let share = Draws::new(seed, place, 0).next() as f64 / u64::MAX as f64;
        T::mix(self.least, self.most, share)
    }
}

impl<'de, T: Quantity> Deserialize<'de> for Spread<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpreadVisitor(PhantomData))
    }
}

struct SpreadVisitor<T>(PhantomData<T>);

impl<T: Quantity> Visitor<'_> for SpreadVisitor<T> {
    type Value = Spread<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Spread<T>, E> {
        let read = |text: &str| {
            let wrong = || E::custom(format_args!("{text:?} is not {}", T::EXPECTED));
            T::parse(text.trim()).ok_or_else(wrong)
        };
        let Some((least, most)) = text.split_once("..") else {
            return read(text).map(Spread::fixed);
        };
        let (least, most) = (read(least)?, read(most)?);
        if most < least {
            return Err(E::custom(format_args!("{text:?} goes from more to less")));
        }
        Ok(Spread { least, most })
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Spread<T>, E> {
        let wrong = || E::custom(format_args!("{number} is not {}", T::EXPECTED));
        T::from_number(number).map(Spread::fixed).ok_or_else(wrong)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Spread<T>, E> {
        self.visit_f64(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Spread<T>, E> {
        self.visit_f64(number as f64)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample {
        time: Spread<Span>,
        share: Spread<f64>,
        size: Spread<u64>,
    }

    fn sample(time: &str, share: &str, size: &str) -> Result<Sample, String> {
        let text = format!("time = {time}\nshare = {share}\nsize = {size}");
        toml::from_str(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn quantities_are_fixed_or_ranges() {
        let fixed = sample(r#""5 min""#, "0.5", "64").unwrap();
        assert_eq!(fixed.time, Spread::fixed(Span::from_secs(300)));
        assert_eq!((fixed.share, fixed.size), (Spread::fixed(0.5), Spread::fixed(64)));
        let open = sample(r#""10 ms..80 ms""#, r#""0 .. 1""#, r#""3 .. 5""#).unwrap();
        assert_eq!(open.time, Spread::between(Span(10_000), Span(80_000)));
        assert!(open.share.is_open() && !fixed.share.is_open());
        let sizes: std::collections::BTreeSet<u64> =
            (0..100).map(|seed| open.size.draw(seed, "size")).collect();
        assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(open.time.draw(7, "here"), open.time.draw(7, "here"));
        assert_ne!(open.time.draw(7, "here"), open.time.draw(7, "there"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (wrong, line, told) in [
            (sample("5", "1", "1"), 1, "a time like"),
            (sample(r#""5 parsecs""#, "1", "1"), 1, "a time like"),
            (sample(r#""5 s""#, r#""0.2 .. 0.1""#, "1"), 2, "from more to less"),
            (sample(r#""5 s""#, "-1.0", "1"), 2, "a number from 0 on"),
            (sample(r#""5 s""#, "1", "1.5"), 3, "a whole number"),
        ] {
            let told_of = wrong.unwrap_err();
            assert!(told_of.contains(&format!("line {line}")), "{told_of}");
            assert!(told_of.contains(told), "{told_of}");
        }
    }
}
