//! What UPnP writes and reads as XML. Answers are scanned for the few elements that matter, without
//! a tree: nothing that a router nests can exhaust the stack.

/// The contents of the first element of this name, whatever its namespace.
pub(super) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    elements(text, name).next()
}

/// The contents of the elements of this name that are not within each other, in order.
pub(super) fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('<')?;
            rest = after;
            let end = after.find([' ', '\t', '\r', '\n', '/', '>']).unwrap_or(after.len());
            let tag = &after[..end];
            if tag.rsplit(':').next() != Some(name) {
                continue;
            }
            let (attributes, contents) = after[end..].split_once('>')?;
            if attributes.ends_with('/') {
                rest = contents;
                return Some("");
            }
            let close = format!("</{tag}");
            let mut ends = contents.match_indices(&close);
            // The name may begin a longer one.
            let (close, _) = ends.find(|(at, found)| {
                contents[at + found.len()..].starts_with([' ', '\t', '\r', '\n', '>'])
            })?;
            rest = &contents[close..];
            return Some(contents[..close].trim());
        }
    })
}

/// A text as it was before it was put into XML.
pub(super) fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&apos;", "'").replace("&amp;", "&")
}

/// A call of an action of a service. Names and values are our own, and need no escapes.
pub(super) fn call(service: &str, action: &str, arguments: &[(&str, &str)]) -> String {
    let arguments: String =
        arguments.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
    format!(
        "<?xml version=\"1.0\"?>\r\n\
         <s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>\
         <u:{action} xmlns:u=\"{service}\">{arguments}</u:{action}>\
         </s:Body></s:Envelope>\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_whatever_their_namespace_and_attributes() {
        let text = "<?xml?><s:a x=\"1\"> one </s:a><b/><a>two</a><a />";
        assert_eq!(elements(text, "a").collect::<Vec<_>>(), ["one", "two", ""]);
        assert_eq!(element(text, "b"), Some(""));
        assert_eq!(element(text, "c"), None);
        assert_eq!(element("<ab>1</ab><a>2</a>", "a"), Some("2"));
        assert_eq!(element("<a><ab>1</ab></a >", "a"), Some("<ab>1</ab>"));
    }

    #[test]
    fn text_cut_anywhere_ends_the_search() {
        let text = "<a><é:b c=\"d\">x</é:b></a>";
        for (end, _) in text.char_indices() {
            assert!(element(&text[..end], "b").is_none_or(|found| found == "x"));
        }
    }

    #[test]
    fn any_depth_of_nesting_is_read() {
        let text = format!("{}<b>x</b>", "<a>".repeat(20_000));
        assert_eq!(element(&text, "b"), Some("x"));
    }

    #[test]
    fn escapes_are_resolved_once() {
        assert_eq!(unescaped("/ctl?a=1&amp;lt;&lt;"), "/ctl?a=1&lt;<");
    }
}
