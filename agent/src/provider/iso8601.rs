//! Points in time as the Indexer's `date` fields take them.

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A point in time, in milliseconds since 1970 UTC, as ISO-8601 with milliseconds and `Z`:
/// `2026-05-20T08:56:35.784Z`. `None` outside the years 0 to 9999, which no `date` field would take.
#[must_use]
pub fn utc_from_millis(unix_ms: i64) -> Option<String> {
    let (year, month, day) = civil_from_days(unix_ms.div_euclid(DAY_MS));
    if !(0..=9999).contains(&year) {
        return None;
    }
    let ms = unix_ms.rem_euclid(DAY_MS);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        ms % 1000
    ))
}

/// The same for whole seconds.
pub(super) fn utc_from_seconds(unix_seconds: i64) -> Option<String> {
    utc_from_millis(unix_seconds.checked_mul(1000)?)
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Eras of
/// 400 years, each starting in March so that the leap day is the last of its year.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points_in_time() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_779_267_395_784, "2026-05-20T08:56:35.784Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(utc_from_millis(ms).as_deref(), Some(text));
        }
    }

    #[test]
    fn no_date_field_takes_these() {
        assert_eq!(utc_from_millis(i64::MAX), None);
        assert_eq!(utc_from_millis(i64::MIN), None);
        assert_eq!(utc_from_seconds(i64::MAX), None);
    }
}
