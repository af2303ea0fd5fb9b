use serde_json::json;

use super::*;

#[test]
fn a_path_points_at_one_value() {
    let document = json!({
        "ok": true,
        "data": [{ "name": "web", "value": 1 }, { "name": "db", "value": "2" }],
        "a-b": { "c": null },
    });
    let several = |first: &str, second: &str| {
        let seen = format!("the first at {first} and {second}");
        Err(Nothing::Unusable(format!(
            "several values match where there should be one, {seen}"
        )))
    };
    let (one, two, null, yes) = (json!(1), json!("2"), Value::Null, json!(true));
    for (path, found) in [
        ("$.ok", Ok(&yes)),
        ("{$.ok}", Ok(&yes)),
        ("{.ok}", Ok(&yes)),
        (" { $.ok } ", Ok(&yes)),
        ("$.data[0].value", Ok(&one)),
        ("$.data[-1].value", Ok(&two)),
        ("$['a-b'].c", Ok(&null)),
        ("{$.data[?(@.name == 'db')].value}", Ok(&two)),
        ("$.missing", Err(Nothing::NoData)),
        ("$.data[7].value", Err(Nothing::NoData)),
        ("$.data[?@.name == 'none'].value", Err(Nothing::NoData)),
        (
            "$.data[*].value",
            several("$['data'][0]['value']", "$['data'][1]['value']"),
        ),
    ] {
        assert_eq!(
            Path::parse("jsonPath", path).unwrap().find(&document),
            found,
            "{path}"
        );
    }
}

#[test]
fn a_mistake_is_named_with_its_position() {
    for (path, found) in [
        ("", "``, wrong from column 1 on"),
        ("data", "`data`, wrong from column 1 on"),
        ("$.data[", "`$.data[`, wrong from column 8 on"),
        (
            "{$.data[?@.x = 1]}",
            "`$.data[?@.x = 1]`, wrong from column 13 on",
        ),
        ("{range .items}", "`range .items`, wrong from column 1 on"),
    ] {
        let error = Path::parse("jsonPath", path).unwrap_err().to_string();
        let expected = "expected a JSONPath (RFC 9535) such as $.data[0].value";
        assert_eq!(error, format!("jsonPath: {found}; {expected}"));
    }
}

/// Where a path points, as paths.
fn places(path: &str, document: &Value) -> Vec<String> {
    let path = Path::parse("jsonPath", path).unwrap();
    let mut places = Vec::new();
    let walked = Walk::new(document).along(&path.0, &mut |_, trail| {
        places.push(at(trail));
        ControlFlow::Continue(())
    });
    assert_eq!(walked, ControlFlow::Continue(()));
    places
}

/// The examples of RFC 9535, sections 1.5, 2.3 and 2.5.
#[test]
fn paths_point_where_the_rfc_says() {
    let letters = json!(["a", "b", "c", "d", "e", "f", "g"]);
    let numbers = json!({ "o": { "j": 1, "k": 2 }, "a": [5, 3, [{ "j": 4 }, { "k": 6 }]] });
    let nested = json!({
        "a": [3, 5, 1, 2, 4, 6, { "b": "j" }, { "b": "k" }, { "b": {} }, { "b": "kilo" }],
        "o": { "p": 1, "q": 2, "r": 3, "s": 5, "t": { "u": 6 } },
        "e": "f",
    });
    for (document, path, expected) in [
        (&letters, "$[1:3]", "$[1] $[2]"),
        (&letters, "$[5:]", "$[5] $[6]"),
        (&letters, "$[1:5:2]", "$[1] $[3]"),
        (&letters, "$[5:1:-2]", "$[5] $[3]"),
        (&letters, "$[::-1]", "$[6] $[5] $[4] $[3] $[2] $[1] $[0]"),
        (&letters, "$[:2:0]", ""),
        (&letters, "$[-2:]", "$[5] $[6]"),
        (&letters, "$[0:-5:3]", "$[0]"),
        (&letters, "$[1:9007199254740991:9007199254740991]", "$[1]"),
        (&letters, "$[-9007199254740991:1:1]", "$[0]"),
        (&letters, "$[-1, 0, 7, -8]", "$[6] $[0]"),
        (&letters, "$[0:2, 5]", "$[0] $[1] $[5]"),
        (&letters, "$[0, 0]", "$[0] $[0]"),
        (&numbers, "$..j", "$['a'][2][0]['j'] $['o']['j']"),
        (
            &numbers,
            "$.a..[0, 1]",
            "$['a'][0] $['a'][1] $['a'][2][0] $['a'][2][1]",
        ),
        (&numbers, "$..[0]", "$['a'][0] $['a'][2][0]"),
        (
            &numbers,
            "$.o[*, *]",
            "$['o']['j'] $['o']['k'] $['o']['j'] $['o']['k']",
        ),
        (&nested, "$.a[?@.b == 'kilo']", "$['a'][9]"),
        (&nested, "$.a[?(@.b == 'kilo')]", "$['a'][9]"),
        (&nested, "$.a[?@ > 3.5]", "$['a'][1] $['a'][4] $['a'][5]"),
        (&nested, "$.a[?@.b]", "$['a'][6] $['a'][7] $['a'][8] $['a'][9]"),
        (&nested, "$[?@[?@.b]]", "$['a']"),
        (&nested, "$[?@.*]", "$['a'] $['o']"),
        (
            &nested,
            "$.o[?@ < 3, ?@ < 3]",
            "$['o']['p'] $['o']['q'] $['o']['p'] $['o']['q']",
        ),
        (&nested, "$.a[?@ < 2 || @.b == \"k\"]", "$['a'][2] $['a'][7]"),
        (&nested, "$.a[?match(@.b, '[jk]')]", "$['a'][6] $['a'][7]"),
        (
            &nested,
            "$.a[?search(@.b, '[jk]')]",
            "$['a'][6] $['a'][7] $['a'][9]",
        ),
        (&nested, "$.o[?@ > 1 && @ < 4]", "$['o']['q'] $['o']['r']"),
        (&nested, "$.o[?@.u || @.x]", "$['o']['t']"),
        (
            &nested,
            "$.a[?@.b == $.x]",
            "$['a'][0] $['a'][1] $['a'][2] $['a'][3] $['a'][4] $['a'][5]",
        ),
        (&nested, "$[?count(@.*) == 5]", "$['o']"),
        (&nested, "$[?length(@) >= 5]", "$['a'] $['o']"),
        (&nested, "$.a[?length(@.b) == 4]", "$['a'][9]"),
        (&nested, "$[?value(@..u) == 6]", "$['o']"),
        (&nested, "$[?!@.u && @ != 'f' && !(@[0])]", "$['o']"),
    ] {
        assert_eq!(places(path, document).join(" "), expected, "{path}");
    }
}

/// The table of section 2.3.5.3 of RFC 9535.
#[test]
fn values_compare_as_the_rfc_says() {
    let document =
        json!({ "here": [0], "obj": { "x": "y" }, "arr": [2, 3], "big": 9_007_199_254_740_993_i64 });
    for (condition, holds) in [
        ("$.absent1 == $.absent2", true),
        ("$.absent1 <= $.absent2", true),
        ("$.absent == 'g'", false),
        ("$.absent1 != $.absent2", false),
        ("$.absent != 'g'", true),
        ("1 <= 2", true),
        ("1 > 2", false),
        ("13 == '13'", false),
        ("'a' <= 'b'", true),
        ("'a' > 'b'", false),
        ("$.obj == $.arr", false),
        ("$.obj != $.arr", true),
        ("$.obj == $.obj", true),
        ("$.obj != $.obj", false),
        ("$.arr == $.arr", true),
        ("$.arr != $.arr", false),
        ("$.obj == 17", false),
        ("$.obj != 17", true),
        ("$.obj <= $.arr", false),
        ("$.obj < $.arr", false),
        ("$.obj <= $.obj", true),
        ("$.arr <= $.arr", true),
        ("1 <= $.arr", false),
        ("1 >= $.arr", false),
        ("1 > $.arr", false),
        ("1 < $.arr", false),
        ("true <= true", true),
        ("true > true", false),
        ("null == null", true),
        ("1 == 1.0", true),
        ("1e2 == 100", true),
        ("0.1 == 0.10000000000000002", false),
        ("$.big == 9007199254740991", false),
        ("$.big > 9007199254740991", true),
        ("length('äöü') == 3", true),
        ("length($.absent) == $.absent", true),
        ("count($.arr[*]) == length($.arr)", true),
    ] {
        let found = places(&format!("$.here[?{condition}]"), &document);
        assert_eq!(!found.is_empty(), holds, "{condition}");
    }
}

#[test]
fn what_has_no_meaning_or_no_bound_is_refused() {
    for (path, says) in [
        (
            "$[?length(@.*) > 1]",
            "an argument that may be several values; expected names and numbers only",
        ),
        ("$[?length(@.a)]", "`length("),
        ("$[?count(1) > 1]", "got a literal"),
        (
            "$[?match(@.a, @.b)]",
            "which the answer would have to tell; expected a pattern in quotes",
        ),
        (
            "$[?match(@.a, '(')]",
            "the pattern '(' (unclosed group); expected a regular expression",
        ),
        (
            "$[?search(@.a, '((a{100}){100}){100}')]",
            "the pattern '((a{100}){100}){100}' (",
        ),
        (
            "$[?in(@.a, $.b)]",
            "expected one of length, count, value, match and search",
        ),
        (
            "$[?@[?@[?@[?@[?@[?@[?@[?@[?@.a]]]]]]]]]",
            "too deep at column 26; expected at most 8 brackets",
        ),
        (
            &format!("${}", ".a".repeat(512)),
            "1025 bytes; expected at most 1024 bytes",
        ),
    ] {
        let error = Path::parse("jsonPath", path).unwrap_err().to_string();
        assert!(
            error.starts_with("jsonPath: ") && error.contains(says),
            "{path}: {error}"
        );
    }
}

mod work {
    use super::*;

    /// The steps that it takes to find something, which are never more than a walk may have.
    fn steps(path: &str, document: &Value) -> (u64, bool) {
        let path = Path::parse("jsonPath", path).unwrap();
        let mut walk = Walk::new(document);
        let found = path.walked(&mut walk);
        let too_much = Nothing::Unusable(format!("the path takes more than {MOST} steps in this answer"));
        assert!(walk.spent() <= MOST);
        (walk.spent(), found == Err(too_much))
    }

    #[test]
    fn what_asks_for_too_much_is_ended() {
        let flat = Value::Array((0..100_000).map(|it| json!({ "a": it })).collect());
        let mut deep = json!({ "a": 1 });
        for _ in 0..120 {
            deep = json!({ "a": deep, "b": [1] });
        }
        let long = json!([{ "a": "a".repeat(1_000_000) }]);
        for (path, document) in [
            ("$[?count($..*) > 1 && @.x]", &flat),
            ("$[?$[?$[?@.x]]]", &flat),
            ("$[?$ == @.x || count($..*) == 0]", &flat),
            ("$..[?$..[?$..[?$..[?$..[?@.x]]]]]", &deep),
            ("$..a..a..a..a..a..a..x", &deep),
            ("$..[?@..[?@..[?@..x]]]", &deep),
            ("$[?search(@.a, '(a*)*(a*)*(a|b){50}c')]", &long),
        ] {
            let (_, too_much) = steps(path, document);
            assert!(too_much, "{path}");
        }
    }

    #[test]
    fn unions_of_unions_are_ended() {
        let mut document = json!(1);
        for _ in 0..60 {
            document = json!([document]);
        }
        let path = format!("${}.x", "[*,*]".repeat(60));
        assert!(steps(&path, &document).1);
        let path = format!("${}", "[0,0,0,0,0,0]".repeat(60));
        let (spent, too_much) = steps(&path, &document);
        assert!(!too_much && spent < 200, "the second one is enough: {spent}");
    }

    #[test]
    fn what_people_write_takes_few_steps() {
        let series = |it: usize| json!({ "name": format!("series-{it}"), "value": it, "tags": ["a", "b"] });
        let document = json!({ "data": (0..10_000).map(series).collect::<Vec<_>>() });
        for (path, most) in [
            ("$.data[0].value", 10),
            ("$.data[-1:].value", 10),
            ("$.data[?@.name == 'series-9999'].value", 100_000),
            ("$.data[?match(@.name, 'series-9+')].value", 2_000_000),
            ("$..[?@.name == 'series-77'].value", 600_000),
        ] {
            let (spent, too_much) = steps(path, &document);
            assert!(!too_much && spent <= most, "{path}: {spent}");
        }
        // A slice of huge steps does not count up to them.
        let (spent, _) = steps("$.data[0:9007199254740991:9007199254740991]", &document);
        assert!(spent < 10, "{spent}");
    }

    /// The stack holds the deepest document with the deepest path.
    #[test]
    fn the_deepest_walk_fits_into_a_thread() {
        let mut document = String::from("1");
        for _ in 0..60 {
            document = format!("[{{\"a\":{document}}}]");
        }
        let document: Value = serde_json::from_str(&document).unwrap();
        for path in [
            "$..[?$..[?$..[?$..[?$..[?$..[?$..[?$..[?@.x]]]]]]]]",
            "$..[?$..[?$..[?$..[?$..[?$..[?$..[?@.x == $]]]]]]]",
        ] {
            let document = document.clone();
            let thread = std::thread::Builder::new().stack_size(1024 * 1024);
            let walked = thread.spawn(move || steps(path, &document)).unwrap();
            assert!(walked.join().unwrap().1);
        }
    }

    /// Whatever nests and is wrong at the innermost place is read within a bound, too.
    #[test]
    fn a_path_that_is_hard_to_read_is_read() {
        for (open, within, close) in [
            ("length(", "@.a", ")"),
            ("count(@[?", "@.a", "])"),
            ("!(", "@", ")"),
            ("[?@", "", "]"),
        ] {
            for wrong in ["", "=", "("] {
                let path = format!("$[?{}{within}{wrong}{} == 1]", open.repeat(7), close.repeat(7));
                let _ = Path::parse("jsonPath", &path);
            }
        }
    }
}

#[test]
fn several_selectors_of_a_step_are_answered_node_by_node() {
    let document = json!({ "a": [null], "b": [null] });
    let found = places("$[?@.b < @.a || !@.c][0, 'a', *]", &document);
    assert_eq!(found, ["$['a'][0]", "$['a'][0]", "$['b'][0]", "$['b'][0]"]);
}

mod the_same_as_the_library {
    use jsonpath_rust::query::js_path_process;
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3..4_i64).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[abc]", inner, 0..4)
                    .prop_map(|it| Value::Object(it.into_iter().collect())),
            ]
        })
    }

    fn any_path() -> impl Strategy<Value = String> {
        let step = prop_oneof![
            "\\.[abc]",
            Just(String::from(".*")),
            "\\[-?[1-3]\\]",
            "\\[(-?[1-3])?:(-?[1-3])?(:-?[1-2])?\\]",
            "\\.\\.[abc]",
            Just(String::from("[0, 'a', *]")),
            Just(String::from("[?@.a == 1]")),
            Just(String::from("[?@.b < @.a || !@.c]")),
            Just(String::from("[?@ >= 0 && @ != 2]")),
        ];
        prop::collection::vec(step, 0..4).prop_map(|it| format!("${}", it.concat()))
    }

    proptest! {
        #[test]
        fn whatever_is_asked(document in any_value(), path in any_path()) {
            let query = parse_json_path(&path).unwrap();
            let mut found: Vec<String> =
                js_path_process(&query, &document).unwrap().into_iter().map(|it| it.path).collect();
            let mut ours = places(&path, &document);
            // The library answers several selectors of one step each for all nodes; RFC 9535, section 2.5.1.2, wants them
            // all for each node, as here.
            found.sort_unstable();
            ours.sort_unstable();
            prop_assert_eq!(ours, found, "{} in {}", path, document);
        }
    }
}
