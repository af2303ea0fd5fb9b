//! The table `cases.txt`: a rule, what its expression yields at each tick, and what becomes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use delivery_core::Timestamp;
use delivery_core::alerting::{Alert, AlertRule, AlertState, Alerts, Element, Labels, replay};
use delivery_core::time::PromDuration;

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) rule: AlertRule,
    pub(crate) expr: String,
    pub(crate) every: Duration,
    /// Series for `promtool`, as it writes them.
    pub(crate) input: Vec<(String, String)>,
    /// What the expression yields at each tick.
    pub(crate) ticks: Vec<Vec<Element>>,
    expected: Vec<String>,
}

impl Case {
    pub(crate) fn all() -> Vec<Self> {
        let text = include_str!("cases.txt");
        text.split("\n\n").map(|it| Self::read(it.trim())).collect()
    }

    /// Three elements that come and go as they like, under a rule as it comes. The same for the same seed.
    pub(crate) fn random(seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |end: u64| {
            // Xorshift, Marsaglia 2003.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % end
        };
        let mut lines = vec![
            format!("# random {seed}"),
            format!("for: {}s", below(5) * 30),
            format!("keep_firing_for: {}s", below(4) * 45),
            "annotation a: {{ $value | humanize }} {{ $labels.pod }}".into(),
        ];
        match below(3) {
            0 => lines.push("label pod: {{ $labels.pod | toUpper }}".into()),
            1 => lines.push("label value: {{ $value }}".into()),
            _ => {}
        }
        for pod in ["a", "b", "c"] {
            let gaps = below(4);
            let value = |below: &mut dyn FnMut(u64) -> u64| {
                if below(4) < gaps {
                    ".".into()
                } else {
                    (below(3) * 700).to_string()
                }
            };
            let values: Vec<String> = (0..24).map(|_| value(&mut below)).collect();
            lines.push(format!("yields {{pod=\"{pod}\"}}: {}", values.join(" ")));
        }
        Self::read(&lines.join("\n"))
    }

    fn read(text: &str) -> Self {
        let mut case = Self {
            name: String::new(),
            rule: AlertRule::new("Tested"),
            expr: "signal".into(),
            every: Duration::from_secs(60),
            input: Vec::new(),
            ticks: Vec::new(),
            expected: Vec::new(),
        };
        let mut yields = Vec::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("# ") {
                case.name = name.into();
            } else if let Some(expected) = line.strip_prefix("expect ") {
                case.expected.push(expected.into());
            } else if let Some(series) = line.strip_prefix("yields ") {
                yields.push(series.rsplit_once(": ").unwrap());
            } else if let Some(series) = line.strip_prefix("input ") {
                let (series, values) = series.rsplit_once(": ").unwrap();
                case.input.push((series.into(), values.into()));
            } else {
                let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line}"));
                match key.split_once(' ').unwrap_or((key, "")) {
                    ("for", _) => case.rule.hold = duration(value),
                    ("keep_firing_for", _) => case.rule.keep_firing_for = duration(value),
                    ("every", _) => case.every = duration(value),
                    ("expr", _) => case.expr = value.into(),
                    ("label", name) => _ = case.rule.labels.insert(name.into(), value.parse().unwrap()),
                    ("annotation", name) => {
                        _ = case.rule.annotations.insert(name.into(), value.parse().unwrap());
                    }
                    _ => panic!("{key} is no word of a case"),
                }
            }
        }
        case.record(&yields);
        case
    }

    fn record(&mut self, yields: &[(&str, &str)]) {
        let signal = self.input.is_empty();
        for (series, values) in yields {
            let mut labels = labels(series);
            if signal {
                labels.insert("__name__".into(), "signal".into());
                self.input
                    .push((format!("signal{series}"), promtool_values(values)));
            }
            for (at, value) in values.split(' ').enumerate() {
                self.ticks.resize_with(self.ticks.len().max(at + 1), Vec::new);
                if value != "." {
                    let value = value.parse().unwrap();
                    self.ticks[at].push(Element {
                        labels: labels.clone(),
                        value,
                    });
                }
            }
        }
    }

    pub(crate) fn moment(&self, tick: usize) -> Timestamp {
        Timestamp::from_millis(0).after(self.every * u32::try_from(tick).unwrap())
    }

    /// The alerts after every tick; none where the rule could not be evaluated.
    pub(crate) fn replay(&self) -> Vec<Option<Alerts>> {
        let ticks = self.ticks.iter().cloned().enumerate();
        replay(&self.rule, ticks.map(|(at, it)| (self.moment(at), it)))
            .map(|(_, it)| it.ok())
            .collect()
    }

    pub(crate) fn fails(&self) -> bool {
        self.replay().contains(&None)
    }

    /// What went otherwise than the table says.
    pub(crate) fn difference(&self) -> Option<String> {
        let mut lines = Vec::new();
        let mut before = BTreeMap::new();
        for (at, alerts) in self.replay().into_iter().enumerate() {
            let now = written(self.moment(at));
            let Some(alerts) = alerts else {
                lines.push(format!("{now} error"));
                continue;
            };
            let after: BTreeMap<Labels, String> =
                alerts.iter().map(|it| (it.labels.clone(), line(it))).collect();
            for labels in before.keys().filter(|it| !after.contains_key(*it)) {
                lines.push(format!("{now} gone {}", braces(labels)));
            }
            for (labels, line) in &after {
                if before.get(labels) != Some(line) {
                    lines.push(format!("{now} {line}"));
                }
            }
            before = after;
        }
        (lines != self.expected).then(|| {
            let (got, expected) = (lines.join("\n  "), self.expected.join("\n  "));
            format!("{}\n got\n  {got}\n expected\n  {expected}", self.name)
        })
    }
}

fn line(alert: &Alert) -> String {
    let state = match alert.state {
        AlertState::Inactive => "inactive",
        AlertState::Pending => "pending",
        AlertState::Firing => "firing",
    };
    let texts: Vec<String> = alert
        .annotations
        .iter()
        .map(|(name, it)| format!(" {name}={it:?}"))
        .collect();
    let texts = texts.concat();
    format!(
        "{state} since {} {}{texts}",
        written(alert.active_at),
        braces(&alert.labels)
    )
}

fn written(moment: Timestamp) -> String {
    match moment.as_millis() / 1000 {
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

fn braces(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != "alertname")
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

fn labels(braces: &str) -> Labels {
    let inside = braces
        .strip_prefix('{')
        .and_then(|it| it.strip_suffix('}'))
        .unwrap();
    let pairs = inside.split(", ").filter(|it| !it.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap();
            (name.into(), value.trim_matches('"').into())
        })
        .collect()
}

fn duration(text: &str) -> Duration {
    text.parse::<PromDuration>().unwrap().into()
}

/// A value that is not there any more is stale, or an instant query would still find the last one.
fn promtool_values(values: &str) -> String {
    let mut there = false;
    let values = values.split(' ').map(|it| match it {
        "." if there => {
            there = false;
            "stale"
        }
        "." => "_",
        "+Inf" => {
            there = true;
            "Inf"
        }
        value => {
            there = true;
            value
        }
    });
    values.collect::<Vec<_>>().join(" ")
}
