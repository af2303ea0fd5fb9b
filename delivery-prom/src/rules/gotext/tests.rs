//! What Go takes and what it refuses, and where it says so. `tests/rule_texts.rs` puts such templates to `promtool`, too.

use proptest::prelude::*;

use super::*;

const FUNCTIONS: [&str; 3] = ["print", "eq", "first"];

fn read(text: &str) -> Result<Tree, Refused> {
    parse(text, &["$labels"], &|it| FUNCTIONS.contains(&it))
}

#[test]
fn what_go_takes_is_read() {
    for text in [
        "",
        "a } b { c }}",
        "{{ print }}",
        "{{- print -}}",
        "{{print}}",
        "{{/* a }} b */}}{{- /* c */ -}}",
        "{{ . }}{{ .a }}{{ .a.b }}{{ $ }}{{ $.a }}{{ $labels.a.b }}",
        "{{ (print 1).a }}{{ print.a }}",
        "{{ 1 }}{{ -1 }}{{ +1 }}{{ 0x1F }}{{ 0b1 }}{{ 0o17 }}{{ 017 }}{{ 1_000 }}{{ 1.5e3 }}{{ .5 }}{{ 0x1p-2 }}",
        "{{ 1i }}{{ 1+2i }}{{ 'a' }}{{ '\\'' }}{{ '\\x41' }}{{ true }}{{ nil }}",
        "{{ \"a\\t\\\"\\u00e9\\101\" }}{{ `a\\d\n}}` }}",
        "{{ print 1 2 | print | print 3 }}",
        "{{ print 1 | }}",
        "{{ (1) | print (print (print)) }}",
        "{{ $x := 1 }}{{ $x }}{{ $x = 2 }}",
        "{{ $never = 1 }}{{ $never }}",
        "{{ if $x := 1 }}{{ $x }}{{ else if $x }}{{ $x }}{{ else }}{{ $x }}{{ end }}",
        "{{ range . }}{{ break }}{{ continue }}{{ else }}{{ end }}",
        "{{ range $i, $x := . }}{{ $i }}{{ $x }}{{ end }}",
        "{{ range $i, $labels }}{{ end }}",
        "{{ with 1 }}{{ . }}{{ else with 2 }}{{ . }}{{ else }}{{ end }}",
        "{{ define \"a\" }}{{ . }}{{ end }}{{ template \"a\" }}{{ template \"a\" 1 }}{{ template \"b\" }}",
        "{{ block \"a\" . }}{{ . }}{{ end }}",
        "{{ define \"a\" }} {{ end }}{{ define \"a\" }}x{{ end }}{{ define \"a\" }}\n{{ end }}",
        "{{ print\n1\n}}",
        "{{ $labels.größe }}",
    ] {
        assert_eq!(read(text).err(), None, "{text}");
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "it is a table")]
fn what_go_refuses_is_refused_with_its_place() {
    let mut wrong = Vec::new();
    for (text, at, why) in [
        ("a {{ print", 2, "an action has no end"),
        ("a {{ print }", 2, "an action has no end"),
        ("a {{ print } }}", 11, "`}` where"),
        ("{{", 0, "an action has no end"),
        ("{{ }}", 3, "an action has no value"),
        ("{{/* a", 0, "a comment has no end"),
        ("{{/* a */ }}", 9, "a comment is not alone"),
        ("{{ /* a */ }}", 3, "`/` where"),
        ("{{ print( }}", 8, "a parenthesis has no end"),
        ("{{ (print }}", 3, "a parenthesis has no end"),
        ("{{ print) }}", 8, "`)` without a `(`"),
        ("{{ () }}", 4, "a pair of parentheses has no value"),
        ("{{ \"a }}", 3, "a text has no end"),
        ("{{ \"a\n\" }}", 3, "a text has no end"),
        ("{{ `a }}", 3, "a text has no end"),
        ("{{ 'a }}", 3, "a text has no end"),
        ("{{ 'ab' }}", 3, "`'ab'` has an escape"),
        ("{{ '' }}", 3, "`''` has an escape"),
        ("{{ \"\\q\" }}", 3, "has an escape"),
        ("{{ \"\\400\" }}", 3, "has an escape"),
        ("{{ \"\\ud800\" }}", 3, "has an escape"),
        ("{{ \"\\'\" }}", 3, "has an escape"),
        ("{{ 1a }}", 3, "\"1a\" is no number"),
        ("{{ 1+2 }}", 3, "is no number"),
        ("{{ 0x }}", 3, "`0x` is no number"),
        ("{{ 0x1.8 }}", 3, "`0x1.8` is no number"),
        ("{{ 1e999 }}", 3, "`1e999` is no number"),
        ("{{ 1__0 }}", 3, "`1__0` is no number"),
        ("{{ 089 }}", 3, "`089` is an integer of more than 64 bits, or"),
        (
            "{{ 18446744073709551616 }}",
            3,
            "is an integer of more than 64 bits",
        ),
        (
            "{{ -9223372036854775809 }}",
            3,
            "is an integer of more than 64 bits",
        ),
        ("{{ upper }}", 3, "there is no function `upper`"),
        ("{{ print upper }}", 9, "there is no function `upper`"),
        (
            "{{ $lables.a }}",
            3,
            "variable `$lables` is not declared here (expected `$`, `$labels`)",
        ),
        (
            "{{ if $x := 1 }}{{ end }}{{ $x }}",
            28,
            "variable `$x` is not declared",
        ),
        (
            "{{ define \"a\" }}{{ $labels }}{{ end }}",
            19,
            "variable `$labels` is not declared here (expected `$`)",
        ),
        ("{{ $labels-a }}", 10, "'-' directly behind a name"),
        ("{{ print+1 }}", 8, "'+' directly behind a name"),
        ("{{ print\u{a0}1 }}", 8, "directly behind a name"),
        ("{{ # }}", 3, "`#` where"),
        ("{{ \u{7f} }}", 3, "is no character of an action"),
        ("{{ § }}", 3, "is no character of an action"),
        ("{{ : }}", 3, "`:` where `:=` should stand"),
        ("{{ | print }}", 3, "`|` where"),
        ("{{ print | | print }}", 11, "`|` where"),
        ("{{ print | 1 }}", 11, "a constant or `.` behind `|`"),
        ("{{ print | . }}", 11, "a constant or `.` behind `|`"),
        ("{{ 1.a }}", 3, "is no number"),
        ("{{ \"a\".b }}", 6, "field `.b` of `\"a\"`, which has none"),
        ("{{ ..a }}", 4, "field `.a` of `.`, which has none"),
        ("{{ print \"a\"1 }}", 12, "`1` where a space"),
        ("{{ $x, $y := 1 }}", 5, "too many variables"),
        ("{{ range $x, $y, $z := . }}{{ end }}", 15, "too many variables"),
        ("{{ range $x, 1 }}{{ end }}", 13, "`1` where the second variable"),
        ("{{ $x := }}", 9, "an action has no value"),
        ("{{ 1 := 2 }}", 5, "`:=` where"),
        ("{{ if }}{{ end }}", 6, "`if` has no value"),
        ("{{ if 1 }}", 10, "the template ends inside a block"),
        ("{{ if 1 }}{{ else }}", 20, "the template ends inside a block"),
        (
            "{{ if 1 }}{{ else }}{{ else }}{{ end }}",
            23,
            "`else` where `end` should stand",
        ),
        ("{{ if 1 }}{{ else with 1 }}{{ end }}", 18, "`with` where"),
        ("{{ if 1 }}{{ else range 1 }}{{ end }}", 18, "`range` where"),
        ("{{ if 1 }}{{ end if }}", 17, "`if` where }}"),
        ("{{ end }}", 0, "`end` without a block"),
        ("{{ else }}", 3, "`else` without an `if`"),
        ("{{ break }}", 3, "`break` outside of `range`"),
        (
            "{{ range . }}{{ define \"a\" }}{{ end }}{{ end }}",
            16,
            "`define` where",
        ),
        (
            "{{ range . }}{{ block \"a\" . }}{{ continue }}{{ end }}{{ end }}",
            33,
            "`continue` outside",
        ),
        (
            "{{ define a }}{{ end }}",
            10,
            "`a` where the name in quotes of `define`",
        ),
        (
            "{{ define \"a\" 1 }}{{ end }}",
            14,
            "`1` where }} behind the name",
        ),
        (
            "{{ define \"a\" }}{{ else }}{{ end }}",
            19,
            "`else` where `end` of `define`",
        ),
        (
            "{{ define \"a\" }}x{{ end }}{{ define \"a\" }}y{{ end }}",
            36,
            "template \"a\" is defined twice",
        ),
        ("{{ template }}", 12, "`}}` where the name"),
        ("{{ block \"a\" }}{{ end }}", 13, "`block` has no value"),
    ] {
        let read = read(text);
        if !matches!(&read, Err(it) if it.at == at && it.why.contains(why) && !it.only_here) {
            wrong.push(format!("{text}: {read:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_nested_deeper_than_anybody_writes_is_not_read() {
    for (one, inside, end) in [
        ("(", "{{ 1 }}", ")"),
        ("{{ if 1 }}", "x", "{{ end }}"),
        ("{{ if 1 }}{{ else if 1 }}", "", "{{ end }}"),
    ] {
        let text = |levels: usize| {
            if one == "(" {
                ["{{ ", &one.repeat(levels), "1", &end.repeat(levels), " }}"].concat()
            } else {
                [&one.repeat(levels), inside, &end.repeat(levels)].concat()
            }
        };
        assert_eq!(read(&text(40)).err(), None, "{one}");
        let refused = read(&text(10_000)).expect_err(one);
        assert!(refused.only_here, "{refused:?}");
    }
}

#[test]
fn a_tree_has_the_order_of_the_text() {
    let tree = read("{{ if $x := .a }} {{ else }}b{{ $x.c | print \"d\" }}{{ end }}").unwrap();
    let [Node::If(branch)] = &tree.body[..] else {
        panic!("{tree:?}");
    };
    assert_eq!(branch.pipe.takes, ["$x"]);
    assert_eq!(branch.body, [Node::Text { blank: true }]);
    let [Node::Text { blank: false }, Node::Action(pipe)] = &branch.otherwise[..] else {
        panic!("{tree:?}");
    };
    let commands: Vec<_> = pipe
        .commands
        .iter()
        .map(|it| (&it.first.term, it.others.len()))
        .collect();
    assert_eq!(
        commands,
        [
            (&Term::Variable("$x".into()), 0),
            (&Term::Function("print".into()), 1)
        ]
    );
    assert_eq!(
        (pipe.commands[0].first.at, &pipe.commands[0].first.fields[..]),
        (32, &["c".to_owned()][..])
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        _ = read(&text);
        _ = read(&["{{", &text, "}}"].concat());
    }

    #[test]
    fn nothing_made_of_gos_own_words_panics(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "{{", "}}", "{{- ", " -}}", " ", "if", "else", "end", "range", "with", "define", "template", "block", "\"a\"",
                "`", "\"", "'", "$x", "$labels", ".a", ".", "print", "(", ")", "|", ":=", "=", ",", "1", "0x", "+", "1i", "nil",
                "true", "/*", "*/", "é", "\n", "break", "\\",
            ]),
            0..40,
        ),
    ) {
        _ = read(&words.concat());
        _ = read(&words.join(" "));
    }
}
