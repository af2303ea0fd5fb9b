//! Reads moments as servers write them.

use delivery_core::Timestamp;

/// A moment from 1970 on: [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) with any offset; what is finer than a
/// millisecond is dropped.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers::<3>(date, '-', [4, 2, 2])?;
    let split = time.rfind(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(split);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers::<3>(time, ':', [2, 2, 2])?;
    let offset = match zone.strip_prefix(['+', '-']) {
        None => 0,
        Some(offset) => {
            let [hours, minutes] = numbers::<2>(offset, ':', [2, 2])?;
            let minutes = (hours <= 23 && minutes <= 59).then_some(hours * 60 + minutes)?;
            if zone.starts_with('+') { minutes } else { -minutes }
        }
    };
    let exists = hour <= 23 && minute <= 59 && second <= 60 && day >= 1 && day <= days_in(year, month)?;
    if !exists || fraction.is_empty() || !fraction.bytes().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let minutes = days(year, month, day) * 1_440 + hour * 60 + minute - offset;
    let millis = (minutes * 60 + second) * 1_000 + millis;
    u64::try_from(millis).ok().map(Timestamp::from_millis)
}

/// Numbers with so many digits each.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|it| it.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn days_in(year: i64, month: i64) -> Option<i64> {
    Some(match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    })
}

/// Days since 1970-01-01 in the Gregorian calendar.
///
/// Howard Hinnant, [`days_from_civil`](https://howardhinnant.github.io/date_algorithms.html#days_from_civil), for years
/// from 0 on.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (year.div_euclid(400), year.rem_euclid(400));
    let doy = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1969-12-31T18:30:00.5-05:30", Some(500)),
            ("2026-11-24T09:32:19.125678901Z", Some(1_795_512_739_125)),
            ("2026-11-24t10:32:19.1z", Some(1_795_516_339_100)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-24T24:00:00Z", None),
            ("2026-11-24T09:32:19", None),
            ("2026-11-24", None),
            ("0001-01-01T00:00:00Z", None),
            ("2026-11-24T09:32:19.Z", None),
            ("2026-11-24T09:32:19+1:00", None),
            ("", None),
        ] {
            assert_eq!(parse(text).map(Timestamp::as_millis), millis, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(millis in 0_u64..253_402_300_800_000) {
            let moment = Timestamp::from_millis(millis);
            prop_assert_eq!(parse(&moment.to_string()), Some(moment));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*", near in "[0-9TZ:.+-]{0,30}") {
            let _ = (parse(&text), parse(&near));
        }
    }
}
