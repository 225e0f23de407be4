//! Dates of the format `strict_date_optional_time||epoch_millis`, and the date arithmetic of range queries.

const DAY_MS: i64 = 86_400_000;

/// Days from 1970-01-01 to this day of the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let next = if month == 12 {
        days_from_civil(year + 1, 1, 1)
    } else {
        days_from_civil(year, month + 1, 1)
    };
    next - days_from_civil(year, month, 1)
}

/// Takes exactly `width` digits from the front of the text.
fn digits(text: &str, width: usize) -> Option<(i64, &str)> {
    let (front, rest) = text.split_at_checked(width)?;
    if front.bytes().all(|byte| byte.is_ascii_digit()) {
        Some((front.parse().ok()?, rest))
    } else {
        None
    }
}

/// Milliseconds since 1970 of a date text, or nothing when it is not one.
pub fn parse(text: &str) -> Option<i64> {
    strict_date_optional_time(text).or_else(|| epoch_millis(text))
}

fn epoch_millis(text: &str) -> Option<i64> {
    text.split_once('.')
        .map_or(text, |(whole, _)| whole)
        .parse()
        .ok()
}

/// `yyyy[-MM[-dd['T'HH[:mm[:ss[.SSS]]][zone]]]]`
pub fn strict_date_optional_time(text: &str) -> Option<i64> {
    let (year, mut rest) = digits(text, 4)?;
    let (mut month, mut day) = (1, 1);
    if let Some(after) = rest.strip_prefix('-') {
        (month, rest) = digits(after, 2)?;
        if let Some(after) = rest.strip_prefix('-') {
            (day, rest) = digits(after, 2)?;
        }
    }
    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let date_ms = days_from_civil(year, month, day) * DAY_MS;
    match rest.strip_prefix('T') {
        None if rest.is_empty() => Some(date_ms),
        None => None,
        Some("") => Some(date_ms),
        Some(time) => Some(date_ms + time_ms(time)?),
    }
}

fn time_ms(text: &str) -> Option<i64> {
    let (hour, mut rest) = digits(text, 2)?;
    let (mut minute, mut second, mut millisecond) = (0, 0, 0);
    if let Some(after) = rest.strip_prefix(':') {
        (minute, rest) = digits(after, 2)?;
        if let Some(after) = rest.strip_prefix(':') {
            (second, rest) = digits(after, 2)?;
            if let Some(after) = rest.strip_prefix(['.', ',']) {
                let width = after.bytes().take_while(u8::is_ascii_digit).count();
                if !(1..=9).contains(&width) {
                    return None;
                }
                millisecond = format!("{:0<3}", &after[..width.min(3)]).parse().ok()?;
                rest = &after[width..];
            }
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let zone_ms = match rest {
        "" | "Z" => 0,
        _ => {
            let (sign, zone) = if let Some(zone) = rest.strip_prefix('+') {
                (1, zone)
            } else {
                (-1, rest.strip_prefix('-')?)
            };
            let (hours, after) = digits(zone, 2)?;
            let minutes = match after.strip_prefix(':').unwrap_or(after) {
                "" => 0,
                minutes => {
                    digits(minutes, 2)
                        .filter(|(value, rest)| *value < 60 && rest.is_empty())?
                        .0
                }
            };
            sign * (hours * 60 + minutes) * 60_000
        }
    };
    Some(((hour * 60 + minute) * 60 + second) * 1000 + millisecond - zone_ms)
}

/// A bound of a range query: a date, or `now` and a date with arithmetic (`now-1d/d`, `2026-01-01||+1h`).
///
/// `round_up` says to which end a rounded unit goes. Units of months and years are not modelled: nothing then.
pub fn parse_math(text: &str, now_ms: i64, round_up: bool) -> Option<i64> {
    let (mut value, mut rest) = match text.strip_prefix("now") {
        Some(rest) => (now_ms, rest),
        None => match text.split_once("||") {
            Some((date, rest)) => (parse(date)?, rest),
            None => return parse(text),
        },
    };
    while !rest.is_empty() {
        let operation = rest.as_bytes()[0];
        rest = rest.get(1..)?;
        let width = rest.bytes().take_while(u8::is_ascii_digit).count();
        let amount: i64 = if width == 0 {
            1
        } else {
            rest[..width].parse().ok()?
        };
        rest = &rest[width..];
        let unit_ms = match rest.as_bytes().first()? {
            b's' => 1000,
            b'm' => 60_000,
            b'h' | b'H' => 3_600_000,
            b'd' => DAY_MS,
            b'w' => 7 * DAY_MS,
            _ => return None,
        };
        rest = &rest[1..];
        value = match operation {
            b'+' => value.checked_add(amount.checked_mul(unit_ms)?)?,
            b'-' => value.checked_sub(amount.checked_mul(unit_ms)?)?,
            b'/' => {
                let start = value - value.rem_euclid(unit_ms);
                if round_up { start + unit_ms - 1 } else { start }
            }
            _ => return None,
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_strictly() {
        assert_eq!(parse("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse("2026-02-02T00:00:00.123Z"), Some(1_769_990_400_123));
        assert_eq!(parse("2000-02-29T23:59:59+01:00"), Some(951_865_199_000));
        assert_eq!(parse("1969-12-31"), Some(-DAY_MS));
        assert_eq!(parse("1769990400123"), Some(1_769_990_400_123));
        for bad in [
            "yesterday",
            "2026-13-01",
            "2026-02-30",
            "2026-1-1",
            "2026-01-01 00:00:00",
            "2026-01-01T25:00",
            "",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn arithmetic_rounds_to_the_side_of_the_bound() {
        let now = parse("2026-03-10T12:34:56Z").unwrap();
        assert_eq!(parse_math("now-1d/d", now, false), parse("2026-03-09"));
        assert_eq!(
            parse_math("now/h", now, true),
            parse("2026-03-10T12:59:59.999Z")
        );
        assert_eq!(
            parse_math("2026-03-10||+2h", now, false),
            parse("2026-03-10T02:00:00Z")
        );
        assert_eq!(parse_math("now-1M", now, false), None);
    }
}
