//! Texts as a receiver can take them: one line, no longer than it allows, and nothing in them that it would obey.

/// How a character is written in a format; none: as it is.
pub(crate) type Form = fn(char) -> Option<&'static str>;

/// As it is.
pub(crate) const PLAIN: Form = |_| None;

/// Slack reads `<...>` as a link or a mention, and these three
/// [escapes](https://docs.slack.dev/messaging/formatting-message-text#escaping) as the characters themselves.
pub(super) const SLACK: Form = |it| match it {
    '&' => Some("&amp;"),
    '<' => Some("&lt;"),
    '>' => Some("&gt;"),
    _ => None,
};

/// HTML, in text and in attributes.
pub(super) const HTML: Form = |it| match it {
    '"' => Some("&quot;"),
    '\'' => Some("&#39;"),
    it => SLACK(it),
};

/// Markdown by way of Slack's format: an invisible space keeps `@everyone`, `[text](link)` and `<link|text>` from being read
/// as such.
pub(super) const MENTIONS: Form = |it| match it {
    '<' => Some("<\u{200b}"),
    '@' => Some("@\u{200b}"),
    ']' => Some("]\u{200b}"),
    _ => None,
};

/// The markdown of Adaptive Cards, and their `{{DATE(…)}}`: an invisible space keeps both from being read as such. HTML is
/// shown as it is written.
pub(super) const CARD: Form = |it| match it {
    ']' => Some("]\u{200b}"),
    '{' => Some("{\u{200b}"),
    '<' => Some("<\u{200b}"),
    _ => None,
};

/// Markdown and HTML mixed.
pub(super) const MARKUP: Form = |it| match it {
    ']' => Some("]\u{200b}"),
    it => SLACK(it),
};

/// The text in one line as people may see it ([`delivery_core::text`]), of at most `limit` characters, each written as the
/// format wants it. What is left out is marked
/// with `…`.
pub(crate) fn fitted(text: &str, limit: usize, form: Form) -> String {
    let mut fitted = String::new();
    let (mut used, mut room) = (0_usize, 0);
    for it in delivery_core::text::line(text) {
        let before = fitted.len();
        match form(it) {
            Some(written) => fitted.push_str(written),
            None => fitted.push(it),
        }
        used = used.saturating_add(fitted.get(before..).map_or(0, |it| it.chars().count()));
        if used > limit {
            fitted.truncate(room);
            if limit > 0 {
                fitted.push('…');
            }
            return fitted;
        }
        if used < limit {
            room = fitted.len();
        }
    }
    fitted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_is_too_long_or_has_a_line_break(text in any::<String>(), limit in 0_usize..40) {
            for form in [PLAIN, SLACK, HTML, MENTIONS, CARD, MARKUP] {
                let fits = fitted(&text, limit, form);
                prop_assert!(fits.chars().count() <= limit);
                prop_assert!(!fits.contains(char::is_control));
            }
        }
    }

    #[test]
    fn a_text_is_one_line_and_does_what_nobody_tells_it() {
        for (text, form, fits) in [
            ("as it is", PLAIN, "as it is"),
            ("line 1\r\n\tline 2\n", PLAIN, "line 1 line 2"),
            ("bell\u{7}, escape\u{1b}[31m", PLAIN, "bell , escape [31m"),
            ("\u{2028}a\u{2029}b", PLAIN, "a b"),
            ("left \u{202e}to right", PLAIN, "left to right"),
            ("<!channel> & <@U1>", SLACK, "&lt;!channel&gt; &amp; &lt;@U1&gt;"),
            (
                "<b a=\"1\" c='2'>",
                HTML,
                "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;",
            ),
            (
                "@here [a](b) <c|d>",
                MENTIONS,
                "@\u{200b}here [a]\u{200b}(b) <\u{200b}c|d>",
            ),
            (
                "{{DATE(2026-01-01T00:00:00Z)}} [a](b) <at>c</at> <http://d>",
                CARD,
                "{\u{200b}{\u{200b}DATE(2026-01-01T00:00:00Z)}} [a]\u{200b}(b) <\u{200b}at>c<\u{200b}/at> <\u{200b}http://d>",
            ),
            ("<i> [a](b)", MARKUP, "&lt;i&gt; [a]\u{200b}(b)"),
        ] {
            assert_eq!(fitted(text, 100, form), fits, "{text:?}");
        }
    }

    #[test]
    fn a_text_is_as_long_as_it_may_be() {
        for (text, limit, fits) in [
            ("four", 4, "four"),
            ("five5", 4, "fiv…"),
            ("äöüß", 4, "äöüß"),
            ("äöüßx", 4, "äöü…"),
            ("five5", 1, "…"),
            ("five5", 0, ""),
            ("", 0, ""),
        ] {
            assert_eq!(fitted(text, limit, PLAIN), fits, "{text:?} in {limit}");
        }
    }

    #[test]
    fn an_escape_is_never_cut() {
        for limit in 0..=9 {
            let fits = fitted("a<b", limit, SLACK);
            assert!(fits.chars().count() <= limit, "{fits:?} in {limit}");
            assert!(
                ["", "…", "a…", "a&lt;b"].contains(&fits.as_str()),
                "{fits:?} in {limit}"
            );
        }
        assert_eq!(fitted("a<b", 6, SLACK), "a&lt;b");
    }
}
