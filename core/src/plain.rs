//! Lines that people read: reasons, notes, labels. Nothing in them moves the cursor or turns the writing direction around, so
//! that a line means in a terminal and on a page what it says.

/// Whether a text is one plain line: no control characters, and none of the marks that override or isolate a writing
/// direction (Unicode UAX #9, section 2), which can make a text read as another one.
pub fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || turns(c))
}

const fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_every_script_are_plain_and_tricks_are_not() {
        for plain in ["", "spam, again", "Ärger", "سبام", "ספאם", "👍🏽", "a\u{200d}b"] {
            assert!(is_plain(plain), "{plain}");
        }
        for trick in ["a\nb", "a\tb", "\u{1b}[31m", "gpj\u{202e}exe", "\u{2066}x\u{2069}", "\u{9b}31m"] {
            assert!(!is_plain(trick), "{trick:?}");
        }
    }
}
