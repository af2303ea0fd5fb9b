//! Texts in back quotes, which our parser of PromQL reads as if they had escapes.

use std::borrow::Cow;

/// The same query, with texts in back quotes that hold a backslash written in double quotes: `` `5\d` `` is `"5\\d"`.
pub(crate) fn replaced(query: &str) -> Cow<'_, str> {
    if !query.contains('`') || !query.contains('\\') {
        return Cow::Borrowed(query);
    }
    let mut text = String::with_capacity(query.len() + 8);
    let mut rest = query;
    while let Some(start) = rest.find(['`', '"', '\'', '#']) {
        let (before, behind) = rest.split_at(start);
        text.push_str(before);
        let length = match behind.chars().next() {
            Some('#') => behind.find('\n').unwrap_or(behind.len()),
            Some(mark @ ('"' | '\'')) => quoted(behind, mark),
            _ => {
                let raw = behind.get(1..).and_then(|it| it.split_once('`'));
                if let Some((raw, behind)) = raw.filter(|it| it.0.contains('\\')) {
                    quote(raw, &mut text);
                    rest = behind;
                    continue;
                }
                // Without an end, it goes on to the query's.
                raw.map_or(behind.len(), |it| it.0.len() + 2)
            }
        };
        let (same, behind) = behind.split_at(length);
        text.push_str(same);
        rest = behind;
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The length of a text in quotes, with them.
fn quoted(text: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, it) in text.char_indices().skip(1) {
        if it == mark && !escaped {
            return at + it.len_utf8();
        }
        escaped = it == '\\' && !escaped;
    }
    text.len()
}

fn quote(raw: &str, text: &mut String) {
    text.push('"');
    for it in raw.chars() {
        match it {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_a_backslash_in_back_quotes_is_written_otherwise() {
        for (query, same) in [
            (r"x{a=~`5\d\d`}", r#"x{a=~"5\\d\\d"}"#),
            (r#"x{a=~`"\.`, b="`"}"#, r#"x{a=~"\"\\.", b="`"}"#),
            ("x{a=`\\\n`}", r#"x{a="\\\n"}"#),
            (r"x{a=`b`, c='\''} + `\", r"x{a=`b`, c='\''} + `\"),
            ("x # `\\`\n + y{a=`\\`}", "x # `\\`\n + y{a=\"\\\\\"}"),
            (r#"x{a="\"`\`"}"#, r#"x{a="\"`\`"}"#),
            (r#"x{a="`\"#, r#"x{a="`\"#),
            ("é`é\\`é", "é\"é\\\\\"é"),
        ] {
            assert_eq!(replaced(query), same, "{query}");
        }
    }
}
