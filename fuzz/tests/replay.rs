//! Every seed, every input that once found something, and some mutations of each: a short run in any `cargo test`.

use delivery_fuzz::mutate::Mutator;
use delivery_fuzz::store::Kept;
use delivery_fuzz::{Target, targets};

/// How many mutations each target runs.
const MUTATIONS: usize = 400;

fn replay(name: &str) {
    let target = Target::named(name).unwrap();
    let mut kept = Kept::Seeds.read(name).unwrap();
    assert!(!kept.is_empty(), "`{name}` has no seeds");
    kept.extend(Kept::Found.read(name).unwrap());
    for (path, input) in &kept {
        if let Err(why) = target.try_run(input) {
            panic!("{}: {why}", path.display());
        }
    }
    let inputs: Vec<&[u8]> = kept.iter().map(|(_, it)| it.as_slice()).collect();
    let mut mutator = Mutator::new(0, target.longest, inputs.iter().copied());
    for _ in 0..MUTATIONS {
        let (from, other) = (
            mutator.numbers().below(inputs.len()),
            mutator.numbers().below(inputs.len()),
        );
        let input = mutator.mutate(inputs[from], inputs[other]);
        if let Err(why) = target.try_run(&input) {
            panic!("{name}: {why}\nby {:?}", String::from_utf8_lossy(&input));
        }
    }
}

macro_rules! targets {
    ($($test:ident: $name:literal),+ $(,)?) => {
        $(#[test]
        fn $test() {
            replay($name);
        })+

        #[test]
        fn every_target_is_run_here() {
            let all: Vec<&str> = targets::ALL.iter().map(|it| it.name).collect();
            assert_eq!(all, [$($name),+]);
        }
    };
}

targets! {
    state: "state",
    plan: "plan",
    chaos: "chaos",
    reply: "reply",
    alerts: "alerts",
    template: "template",
    json_metric: "json-metric",
    rules: "rules",
    kayenta: "kayenta",
    journal: "journal",
    duration: "duration",
    address: "address",
}
