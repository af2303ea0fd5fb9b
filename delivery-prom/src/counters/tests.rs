//! Counters as scrapes find them: one line per series, one column per scrape, a second apart.

use proptest::prelude::*;

use super::*;

fn second(at: u64) -> Timestamp {
    Timestamp::from_millis(at * 1_000)
}

/// `instance code: 1 2 . 4`, where a dot is a scrape that did not find the series.
fn counters(lines: &[&str]) -> Vec<Counter> {
    let counter = |line: &&str| {
        let (labels, samples) = line.split_once(':').unwrap();
        let (instance, name) = labels.split_once(' ').unwrap();
        let key = if name.starts_with("le=") { "le" } else { "code" };
        let labels = BTreeMap::from([
            ("instance".to_owned(), instance.to_owned()),
            (key.to_owned(), name.trim_start_matches("le=").to_owned()),
        ]);
        let samples = (0..)
            .map(second)
            .zip(samples.split_whitespace())
            .filter_map(|(at, count)| Some((at, count.parse().ok()?)));
        Counter {
            labels,
            samples: samples.collect(),
        }
    };
    lines.iter().map(counter).collect()
}

fn process() -> [String; 1] {
    ["instance".to_owned()]
}

fn rise(lines: &[&str]) -> Result<u64, Nothing> {
    rises(&counters(lines), &process()).map(|it| it.0.values().sum())
}

// One process

#[test]
fn what_was_counted_between_the_first_and_the_last_scrape() {
    assert_eq!(rise(&["a 200: 10 11 15"]), Ok(5));
    assert_eq!(rise(&["a 200: 10 10 10"]), Ok(0));
    assert_eq!(rise(&["a 200: 10 11 15", "a 500: 1 1 3"]), Ok(7));
}

#[test]
fn one_scrape_tells_nothing() {
    let once = || Err(Nothing::TooFewScrapes { seen: 1, needed: 2 });
    assert_eq!(rise(&["a 200: 10"]), once());
    assert_eq!(rise(&["a 200: 10", "b 200: . 7"]), once());
    assert_eq!(rise(&[]), Err(Nothing::NoData));
}

#[test]
fn a_process_that_was_started_anew_counts_from_0() {
    assert_eq!(rise(&["a 200: 10 14 3 8"]), Ok(4 + 3 + 5));
    assert_eq!(
        rise(&["a 200: 10 14 3", "a 500: 1 1 2"]),
        Ok(4 + 3 + 2),
        "all its counters do, even one that has overtaken itself"
    );
    assert_eq!(rise(&["a 200: 10 14 3", "a 500: 5 5 ."]), Ok(4 + 3));
    assert_eq!(rise(&["a 200: 10 14 3 4", "a 500: 5 5 . 7"]), Ok(4 + 3 + 1 + 7));
    assert_eq!(
        rise(&["a 200: 10 14 3", "b 200: 1 1 2"]),
        Ok(4 + 3 + 1),
        "and no other process does"
    );
}

#[test]
fn a_series_that_appears_counts_from_0_when_its_process_was_seen_before() {
    assert_eq!(rise(&["a 200: 10 11 12", "a 500: . 3 4"]), Ok(2 + 3 + 1));
    assert_eq!(rise(&["a 200: 10 11 12", "a 500: . . 4"]), Ok(2 + 4));
}

#[test]
fn a_process_that_appears_is_taken_up_from_there() {
    assert_eq!(rise(&["a 200: 10 11 12", "b 200: . 900 903"]), Ok(2 + 3));
}

#[test]
fn a_missed_scrape_loses_and_invents_nothing() {
    assert_eq!(rise(&["a 200: 10 . 12", "a 500: 0 . 1"]), Ok(2 + 1));
    assert_eq!(rise(&["a 200: 10 . 3", "a 500: 5 . 1"]), Ok(3 + 1));
}

/// Behind a gateway, for example, that gives all of them its own name.
#[test]
fn processes_that_cannot_be_told_apart_spoil_little() {
    assert_eq!(rise(&["a 200: 10 14 3", "a 201: 900 903 905"]), Ok(4 + 3 + 3 + 2));
    assert_eq!(rise(&["a 200: 10 14 15", "a 201: 900 . 905"]), Ok(5 + 5));
    let nameless = ["job".to_owned(), "pod".to_owned()];
    let counters = counters(&["a 200: 10 14 3", "b 200: 1 1 2", "b 500: . . 7"]);
    let Rises(rises) = rises(&counters, &nameless).unwrap();
    assert_eq!(
        rises.values().sum::<u64>(),
        4 + 3 + 1,
        "each is followed by itself, and taken up where it appears"
    );
}

// Requests

#[test]
fn failed_requests_are_some_of_all() {
    let all = counters(&["a 200: 10 30", "a 500: 1 3", "b 200: 5 10"]);
    let failed = counters(&["a 500: 1 3"]);
    let good = counters(&["a 200: 10 30", "b 200: 5 10"]);
    let expected = Ok(Tally { total: 27, errors: 2 });
    assert_eq!(tally(&all, &failed, Picked::Failed, &process()), expected);
    assert_eq!(tally(&all, &good, Picked::Good, &process()), expected);
    assert_eq!(
        tally(&all, &[], Picked::Failed, &process()),
        Ok(Tally { total: 27, errors: 0 })
    );
}

#[test]
fn a_scrape_between_the_two_answers_changes_nothing() {
    let all = counters(&["a 200: 10 30", "a 500: 1 3"]);
    let later = counters(&["a 500: 1 3 50"]);
    assert_eq!(
        tally(&all, &later, Picked::Failed, &process()).map(|it| it.errors),
        Ok(2)
    );
    let another_metric = counters(&["a failures: 1 3 50"]);
    assert_eq!(
        tally(&all, &another_metric, Picked::Failed, &process()).map(|it| it.errors),
        Ok(2)
    );
}

#[test]
fn without_a_request_there_is_nothing_to_judge() {
    let all = counters(&["a 200: 10 10"]);
    assert_eq!(tally(&all, &[], Picked::Failed, &process()), Err(Nothing::NoData));
}

#[test]
fn more_failed_requests_than_requests_are_unusable() {
    let all = counters(&["a 200: 10 12"]);
    let failed = counters(&["a failures: 0 5"]);
    for picked in [Picked::Failed, Picked::Good] {
        assert!(matches!(
            tally(&all, &failed, picked, &process()),
            Err(Nothing::Unusable(why)) if why.contains("requests of 2")
        ));
    }
}

// Durations

const BUCKETS: &[&str] = &[
    "a le=0.1: 5 10",
    "a le=0.5: 8 20",
    "a le=+Inf: 8 22",
    "b le=0.1: 0 1",
    "b le=0.5: 0 1",
    "b le=+Inf: 0 1",
];

#[test]
fn buckets_are_a_histogram() {
    let histogram = histogram(&counters(BUCKETS), 1_000.0, &process()).unwrap();
    assert_eq!(
        histogram.buckets(),
        [(100.0, 6), (500.0, 13), (f64::INFINITY, 15)]
    );
}

#[test]
fn slower_than_a_bound_is_counted() {
    let histogram = histogram(&counters(BUCKETS), 1_000.0, &process()).unwrap();
    assert_eq!(slower(&histogram, 500.0), Ok(Tally { total: 15, errors: 2 }));
    for (than, nearest) in [
        (250.0, "the nearest: 100 and 500"),
        (50.0, "the nearest: 100"),
        (750.0, "the nearest: 500"),
    ] {
        let Err(Nothing::Unusable(why)) = slower(&histogram, than) else {
            panic!("{than}")
        };
        assert!(why.contains(nearest), "{why}");
    }
    let none = Histogram::new(vec![(f64::INFINITY, 3)]).unwrap();
    assert!(matches!(slower(&none, 1.0), Err(Nothing::Unusable(why)) if why.contains("there is none")));
}

#[test]
fn what_are_no_buckets_is_unusable() {
    for lines in [
        &["a 200: 1 2"][..],
        &["a le=soon: 1 2"],
        &["a le=0.5: 1 2"],
        &["a le=0.5: 1 9", "a le=+Inf: 1 2"],
    ] {
        assert!(
            matches!(
                histogram(&counters(lines), 1.0, &process()),
                Err(Nothing::Unusable(_))
            ),
            "{lines:?}"
        );
    }
}

// Replies

fn window(from: u64, to: u64) -> Window {
    Window {
        from: second(from),
        to: second(to),
    }
}

fn matrix(values: &str) -> String {
    format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{"instance":"a"}},"values":{values}}}]}}}}"#
    )
}

#[test]
fn only_samples_within_the_window_count() {
    let body = matrix(r#"[[9.999,"1"],[10,"2"],[15,"3"],[20,"5"],[20.001,"900"]]"#);
    let counters = read(&crate::reply::parse(body.as_bytes()).unwrap(), window(10, 20)).unwrap();
    assert_eq!(
        counters[0].samples,
        [(second(10), 2), (second(15), 3), (second(20), 5)]
    );
    assert_eq!(newest(&counters), Some(second(20)));
    let reply = crate::reply::parse(body.as_bytes()).unwrap();
    assert_eq!(read(&reply, window(30, 40)), Err(Nothing::NoData));
}

#[test]
fn what_is_no_count_is_unusable() {
    for (value, says) in [
        ("1.5", "is 1.5, which is no count"),
        ("-1", "is -1, which is no count"),
        ("NaN", "is NaN, which is no count"),
        ("+Inf", "is inf, which is no count"),
        ("1e17", "which is no count"),
    ] {
        let body = matrix(&format!(r#"[[10,"{value}"]]"#));
        let read = read(&crate::reply::parse(body.as_bytes()).unwrap(), window(0, 20));
        assert!(
            matches!(&read, Err(Nothing::Unusable(why)) if why.contains(says)),
            "{read:?}"
        );
    }
    let garbage = matrix(r#"[[10,"1"],7]"#);
    let read = read(&crate::reply::parse(garbage.as_bytes()).unwrap(), window(0, 20));
    assert!(
        matches!(&read, Err(Nothing::Unusable(why)) if why.contains("cannot be read")),
        "{read:?}"
    );
}

proptest! {
    /// Whatever the counters did and whenever they were scraped, the windows of a run add up to the whole.
    #[test]
    fn windows_that_meet_in_a_scrape_add_up(steps in proptest::collection::vec((0_u64..50, any::<bool>()), 2..20), cut in 0_usize..20) {
        let cut = 1 + cut % (steps.len() - 1);
        let (mut value, mut counted) = (7_u64, 0_u64);
        let mut samples = Vec::new();
        for (at, (step, restart)) in (0..).zip(&steps) {
            // A restart that nobody could see is none.
            if *restart && *step < value { value = *step } else { value += step }
            if at > 0 { counted += step }
            samples.push((second(at), value));
        }
        let of = |samples: &[(Timestamp, u64)]| {
            let counter = Counter { labels: BTreeMap::new(), samples: samples.to_vec() };
            rises(&[counter], &process()).map_or(0, |it| it.0.values().sum::<u64>())
        };
        prop_assert_eq!(of(&samples), counted);
        prop_assert_eq!(of(&samples[..=cut]) + of(&samples[cut..]), counted);
    }
}
