//! Words of strangers, made fit to be shown.
//!
//! What an authority, a provider or a certificate says ends up on somebody's terminal. There a control character is a command:
//! it moves the cursor, changes the title, or makes a line look like one of ours. So do the marks that turn the direction of
//! text. Each becomes a space. Nothing else is changed: what a text means is for its reader to judge.

/// The text without what a terminal obeys, and of it at most so many characters.
pub fn plain(text: &str, chars_max: usize) -> String {
    let mut chars = text.chars().map(|c| if is_obeyed(c) { ' ' } else { c });
    let mut plain: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() {
        plain.push('…');
    }
    plain
}

/// Control characters, and those that turn the direction of what follows (UAX #9).
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        assert_eq!(plain("a\u{1b}[31mb\r\nc\u{9b}1m\u{202e}d\0", 100), "a [31mb  c 1m d ");
        assert_eq!(plain("Grüße, 世界", 100), "Grüße, 世界");
    }

    #[test]
    fn what_is_too_long_says_so() {
        assert_eq!(plain("abc", 3), "abc");
        assert_eq!(plain("abcd", 3), "abc…");
    }
}
