//! As much XML as Route 53 answers with: elements and text, without CDATA, comments or processing of any kind.
//!
//! An element is found by its name wherever it is; none of those that are read here contains another of its name. What
//! [`is_plain`] lets through cannot hide one.

/// Whether there is nothing but elements and text in it.
pub(super) fn is_plain(text: &str) -> bool {
    !text.contains("<!") && text.trim_start_matches("<?xml").matches("<?").next().is_none()
}

/// What is between the tags of each element of this name.
pub(super) fn elements<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (inner, after) = next(rest, name)?;
        rest = after;
        Some(inner)
    })
}

/// The text of the first element of this name; `None` if it has elements or an entity that XML does not have of itself.
pub(super) fn text(text: &str, name: &str) -> Option<String> {
    let (inner, _) = next(text, name)?;
    let mut plain = String::with_capacity(inner.len());
    let mut rest = inner.trim();
    while let Some(at) = rest.find(['<', '&']) {
        plain.push_str(&rest[..at]);
        let (entity, after) = rest[at..].strip_prefix('&')?.split_once(';')?;
        plain.push(match entity {
            "quot" => '"',
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "apos" => '\'',
            _ => {
                let number = entity.strip_prefix('#')?;
                let hexadecimal = number.strip_prefix('x').map(|digits| u32::from_str_radix(digits, 16));
                char::from_u32(hexadecimal.unwrap_or_else(|| number.parse()).ok()?)?
            }
        });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("&quot;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// What an error says: its code and message, or, for a batch, only messages.
pub(super) fn explain(body: &str) -> Option<String> {
    let message = text(body, "Message")?;
    Some(match text(body, "Code") {
        Some(code) => format!("{message} [{code}]"),
        None => message,
    })
}

/// The inside of the next element of this name, and what follows it.
fn next<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let open = format!("<{name}");
    let mut from = 0;
    loop {
        let at = from + text[from..].find(&open)?;
        let tag = &text[at + open.len()..];
        let end = tag.find('>')?;
        match tag.as_bytes()[0] {
            b'>' | b' ' | b'\n' if !tag[..end].ends_with('/') => {
                let inside = &tag[end + 1..];
                let close = format!("</{name}>");
                let length = inside.find(&close)?;
                return Some((&inside[..length], &inside[length + close.len()..]));
            }
            // `<HostedZones>` when `HostedZone` is looked for, or an empty element.
            _ => from = at + open.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_whole_name() {
        let zones = "<?xml version=\"1.0\"?>\n<R xmlns=\"https://x/\"><HostedZones><HostedZone><Id>/hostedzone/A</Id></HostedZone>\
                     <HostedZone a=\"b\"><Id>/hostedzone/B</Id></HostedZone><HostedZone/></HostedZones></R>";
        let ids: Vec<_> = elements(zones, "HostedZone").map(|zone| text(zone, "Id").unwrap()).collect();
        assert_eq!(ids, ["/hostedzone/A", "/hostedzone/B"]);
        assert!(is_plain(zones));
    }

    #[test]
    fn text_is_unescaped_and_escaped() {
        let value = "<Value> &quot;a&amp;&lt;&#65;&#x42;&quot; </Value>";
        assert_eq!(text(value, "Value").unwrap(), "\"a&<AB\"");
        assert_eq!(escape("\"a&<>\""), "&quot;a&amp;&lt;&gt;&quot;");
    }

    #[test]
    fn what_is_no_plain_text_is_none() {
        for wrong in ["<V>&nbsp;</V>", "<V><b/></V>", "<V>", "<V", "<", "", "<V>&#xffffff;</V>", "<V>&x</V>"]
        {
            assert_eq!(text(wrong, "V"), None, "{wrong}");
        }
        assert!(
            !is_plain("<!DOCTYPE x>") && !is_plain("<a><![CDATA[<Id>]]></a>") && !is_plain("<a><?php ?></a>")
        );
    }

    #[test]
    fn an_error_is_explained() {
        let denied = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>";
        assert_eq!(explain(denied).unwrap(), "not you [AccessDenied]");
        let batch =
            "<InvalidChangeBatch><Messages><Message>it is another</Message></Messages></InvalidChangeBatch>";
        assert_eq!(explain(batch).unwrap(), "it is another");
        assert_eq!(explain("busy"), None);
    }
}
