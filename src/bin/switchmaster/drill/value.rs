//! Values that tell which write they are of: [`of`], [`number`].

/// What follows the number, where a value is to be longer.
const FILLING: char = '.';

/// A value of this size, or the number alone where that is longer.
pub(crate) fn of(number: u64, size: usize) -> String {
    let mut value = number.to_string();
    let missing = size.saturating_sub(value.len());
    value.extend(std::iter::repeat_n(FILLING, missing));
    value
}

/// The number of a value.
pub(crate) fn number(value: &str) -> Option<u64> {
    value.trim_end_matches(FILLING).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_its_size_and_its_number() {
        for (number_of_it, size, value) in [(7, 0, "7"), (1234, 3, "1234"), (12, 5, "12...")] {
            assert_eq!(of(number_of_it, size), value);
            assert_eq!(number(value), Some(number_of_it));
        }
        assert_eq!(number("x.."), None);
    }
}
