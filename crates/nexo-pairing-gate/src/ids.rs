//! Sets of senders in little memory, and found quickly.

use std::borrow::Cow;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use nexo_pairing_core::SenderId;

/// How many digits fit beside the prefix: 10¹⁸ is less than 2⁶⁰.
const MAX_DIGITS: usize = 18;

/// A canonical id, looked at once.
#[derive(Debug, Clone)]
pub(crate) struct Sender<'a> {
    id: Cow<'a, str>,
    number: Option<u64>,
}

impl<'a> Sender<'a> {
    /// Reads a canonical id; `None` where it is none.
    #[inline]
    pub(crate) fn parse(id: impl Into<Cow<'a, str>>) -> Option<Self> {
        let sender = Self::new(id);
        (sender.number.is_some() || SenderId::check(&sender.id).is_ok()).then_some(sender)
    }

    /// Takes an id as it is.
    pub(crate) fn new(id: impl Into<Cow<'a, str>>) -> Self {
        let id = id.into();
        Self { number: number(&id), id }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.id
    }
}

/// The ids of one sender. The first, which most have alone, needs no memory of its own.
#[derive(Debug, Default)]
pub(crate) struct Senders<'a> {
    first: Option<Sender<'a>>,
    others: Vec<Sender<'a>>,
}

impl<'a> Senders<'a> {
    pub(crate) fn first(&self) -> Option<&Sender<'a>> {
        self.first.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Sender<'a>> {
        self.first.iter().chain(&self.others)
    }

    /// Adds an id, unless it is there.
    // Every message passes here: left to the compiler, a call takes 3 % of a decision.
    #[inline(always)]
    pub(crate) fn add(&mut self, sender: Sender<'a>) {
        if self.first.is_none() {
            self.first = Some(sender);
        } else if self.iter().all(|known| known.as_str() != sender.as_str()) {
            self.others.push(sender);
        }
    }
}

/// A value for each of many senders. Most ids are numbers: 8 bytes each, rather than a text.
///
/// The hash is keyed by chance. That it is no cryptographic one is enough here: what is stored was
/// let in by the operator or is capped, so that strangers, who can only ask, cannot make collisions.
#[derive(Debug)]
pub(crate) struct Ids<V> {
    numbers: HashMap<u64, V, RandomState>,
    texts: HashMap<Box<str>, V, RandomState>,
}

impl<V> Ids<V> {
    pub(crate) fn get(&self, sender: &Sender<'_>) -> Option<&V> {
        match sender.number {
            Some(number) => self.numbers.get(&number),
            None => self.texts.get(&*sender.id),
        }
    }

    pub(crate) fn contains(&self, sender: &Sender<'_>) -> bool {
        self.get(sender).is_some()
    }

    /// Sets a sender's value; returns the old one.
    pub(crate) fn insert(&mut self, sender: &Sender<'_>, value: V) -> Option<V> {
        match sender.number {
            Some(number) => self.numbers.insert(number, value),
            None => self.texts.insert(sender.id.as_ref().into(), value),
        }
    }

    /// Removes a sender; returns the value.
    pub(crate) fn remove(&mut self, sender: &Sender<'_>) -> Option<V> {
        match sender.number {
            Some(number) => self.numbers.remove(&number),
            None => self.texts.remove(&*sender.id),
        }
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.numbers.values().chain(self.texts.values())
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len() + self.texts.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<V> Default for Ids<V> {
    fn default() -> Self {
        Self { numbers: HashMap::default(), texts: HashMap::default() }
    }
}

/// The number that stands for an id and for no other: what a channel puts before its decimal number,
/// and that number. `None` for anything else, and for a number with leading zeros.
fn number(id: &str) -> Option<u64> {
    let (kind, digits) = match id.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (2, digits),
        [b'l', b'i', b'd', b':', digits @ ..] => (3, digits),
        digits => (0, digits),
    };
    if !(1..=MAX_DIGITS).contains(&digits.len()) || digits[0] == b'0' {
        return None;
    }
    let (eights, rest) = digits.as_chunks();
    let mut number = 0;
    for eight in eights {
        number = number * 100_000_000 + eight_digits(*eight)?;
    }
    for &byte in rest {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u64::from(byte - b'0');
    }
    Some(kind << 60 | number)
}

/// The number that eight digits are: all at once, by adding neighbours up three times, which takes a
/// third of the instructions of one after the other.
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    let text = u64::from_le_bytes(digits);
    // `0` to `9` are 0x30 to 0x39: they begin with a 3, and still do with 6 added.
    let begins = [text & HIGH, text.wrapping_add(0x0606_0606_0606_0606) & HIGH];
    if begins != [0x3030_3030_3030_3030; 2] {
        return None;
    }
    let ones = text & !HIGH;
    let tens = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let hundreds = (tens * 100 + (tens >> 16)) & 0x0000_ffff_0000_ffff;
    Some((hundreds * 10_000 + (hundreds >> 32)) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_differs_in_one_character_is_another_sender() {
        let ids = [
            "1",
            "+1",
            "-1",
            "lid:1",
            "01",
            "+01",
            "--1",
            "+-1",
            "",
            "+",
            "-",
            "lid:",
            "0",
            "lid",
            "+0",
            "1 ",
            "1a",
            "lid:01",
            "LID:1",
            "999999999999999999",
            "1999999999999999999",
            "+999999999999999999",
            "+1999999999999999999",
            "lid:18446744073709551615",
            "18446744073709551617",
            "\u{661}",
            "id:1",
        ];
        let mut lists = Ids::default();
        for (index, id) in ids.iter().enumerate() {
            assert!(!lists.contains(&Sender::new(*id)), "{id}");
            lists.insert(&Sender::new(*id), index);
        }
        assert_eq!(lists.len(), ids.len());
        assert_eq!(lists.values().collect::<HashSet<_>>().len(), ids.len());
        for (index, id) in ids.iter().enumerate() {
            assert_eq!(lists.get(&Sender::new(*id)), Some(&index), "{id}");
            lists.remove(&Sender::new(*id));
        }
        assert_eq!(lists.len(), 0);
    }

    #[test]
    fn eight_digits_are_read_as_one_after_the_other() {
        for text in ["00000000", "00000001", "10000000", "12345678", "90909090", "99999999"] {
            let digits = text.as_bytes().try_into().unwrap();
            assert_eq!(eight_digits(digits), text.parse().ok(), "{text}");
        }
        for place in 0..8 {
            for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
                let mut digits = *b"12345678";
                digits[place] = byte;
                assert_eq!(eight_digits(digits), None, "{digits:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_number_is_the_ids_own_and_tells_what_stands_before_it(
            digits in 1..=MAX_DIGITS,
            random: u64,
        ) {
            let value = random % 10_u64.pow(digits as u32);
            for (kind, prefix) in (0..).zip(["", "+", "-", "lid:"]) {
                let id = format!("{prefix}{value}");
                prop_assert_eq!(number(&id), (value > 0).then_some(kind << 60 | value), "{}", id);
            }
        }
    }

    #[test]
    fn the_usual_ids_are_kept_as_numbers() {
        for id in ["+5491155556666", "+123456789012345", "lid:123456789012345", "1", "-100123"] {
            assert!(number(id).is_some(), "{id}");
        }
    }
}
