//! Processor, memory and the board's serial number.

use super::{Category, Outcome, Roots, Row, Scan, Source, read};

/// The hardware. One row; its key is the board's serial number, which only root may read: without it the
/// key is [`super::UNKNOWN`].
#[derive(Debug, Clone, Copy)]
pub struct Hardware;

impl Source for Hardware {
    fn category(&self) -> Category {
        Category::Hardware
    }

    fn scan(&self, roots: &Roots) -> Outcome {
        let path = roots.proc("meminfo");
        let meminfo = match read::bytes(&path) {
            Ok(content) => content,
            Err(error) => {
                return Outcome::unavailable(format!("cannot read {}: {error}", path.display()));
            }
        };
        let path = roots.proc("cpuinfo");
        let cpuinfo = match read::bytes(&path) {
            Ok(content) => content,
            Err(error) => {
                return Outcome::unavailable(format!("cannot read {}: {error}", path.display()));
            }
        };
        let kilobytes = |name: &str| {
            let value = field(&meminfo, name)?;
            let number: i64 = read::parse(read::words(value).next()?)?;
            number.checked_mul(1024)
        };
        let total = kilobytes("MemTotal");
        let free = kilobytes("MemAvailable").or_else(|| kilobytes("MemFree"));
        let used = total
            .zip(free)
            .map(|(total, free)| total.saturating_sub(free));
        let serial = read::line(&roots.path("sys/class/dmi/id/board_serial"));
        let row = Row::new()
            .text_or_unknown("cpu_name", field(&cpuinfo, "model name"))
            .integer_if("cpu_cores", cores(&cpuinfo))
            .integer_if("memory_free", free)
            .integer_if("memory_total", total)
            .integer_if("memory_used", used)
            .text_or_unknown(
                "serial_number",
                serial.as_deref().and_then(|line| read::words(line).next()),
            );
        let row = match speed_mhz(roots, &cpuinfo) {
            Some(mhz) => row.real("cpu_speed", mhz),
            None => row,
        };
        let mut scan = Scan::new();
        scan.rows.push(row);
        Outcome::Scanned(scan)
    }
}

/// The first `name : value` of a /proc file.
fn field<'a>(content: &'a [u8], name: &str) -> Option<&'a [u8]> {
    fields(content, name).next()
}

fn fields<'a>(content: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    read::lines(content).filter_map(move |line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        (line[..colon].trim_ascii() == name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
    })
}

/// The number of processors: the last index and one.
fn cores(cpuinfo: &[u8]) -> Option<i64> {
    let last: i64 = fields(cpuinfo, "processor")
        .filter_map(read::parse)
        .last()?;
    last.checked_add(1)
}

/// The processor's speed in MHz: the highest that it can have. Where the kernel does not tell (virtual
/// machines), the present one rounded up; where it tells both, the present one would make the hardware
/// look changed at every scan. `None` rather than 0.
fn speed_mhz(roots: &Roots, cpuinfo: &[u8]) -> Option<f64> {
    let highest_khz = (0..cores(cpuinfo).unwrap_or(1).clamp(1, 4096))
        .filter_map(|cpu| {
            let file = format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq");
            read::number(&roots.path(&file))
        })
        .max();
    if let Some(khz) = highest_khz.filter(|khz| *khz > 0) {
        // Whole megahertz of a real processor: far below where a float loses whole numbers.
        return u32::try_from(khz / 1000).ok().map(f64::from);
    }
    let present: f64 = read::parse(field(cpuinfo, "cpu MHz")?)?;
    (present.is_finite() && present > 0.0).then(|| present.trunc() + 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::super::fixture::{Fixture, reason, scanned};
    use super::*;

    const CPUINFO: &str = "processor\t: 0\nmodel name\t: Some CPU\ncpu MHz\t\t: 3693.062\n\n\
                           processor\t: 1\nmodel name\t: Some CPU\ncpu MHz\t\t: 1200.000\n";
    const MEMINFO: &str = "MemTotal:       1000 kB\nMemFree:  100 kB\nMemAvailable:    400 kB\n";

    #[test]
    fn a_virtual_machine() {
        let fixture = Fixture::new()
            .file("proc/cpuinfo", CPUINFO)
            .file("proc/meminfo", MEMINFO)
            .file("sys/class/dmi/id/board_serial", "ABC 1\n");
        let scan = scanned(Hardware.scan(&fixture.roots()));
        let row = &scan.rows[0];
        assert_eq!(row.get("cpu_cores"), Some(&Value::Integer(2)));
        assert_eq!(row.get("cpu_speed"), Some(&Value::Real(3694.0)));
        assert_eq!(row.get("memory_total"), Some(&Value::Integer(1_024_000)));
        assert_eq!(row.get("memory_free"), Some(&Value::Integer(409_600)));
        assert_eq!(row.get("memory_used"), Some(&Value::Integer(614_400)));
        assert_eq!(row.get("serial_number").unwrap().stored_text(), "ABC");
    }

    #[test]
    fn the_highest_frequency_is_preferred_because_it_stays() {
        let fixture = Fixture::new()
            .file("proc/cpuinfo", CPUINFO)
            .file("proc/meminfo", MEMINFO)
            .file(
                "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
                "4000000\n",
            )
            .file(
                "sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq",
                "4700000\n",
            );
        let scan = scanned(Hardware.scan(&fixture.roots()));
        assert_eq!(scan.rows[0].get("cpu_speed"), Some(&Value::Real(4700.0)));
        assert_eq!(
            scan.rows[0].get("serial_number").unwrap().stored_text(),
            " "
        );
    }

    #[test]
    fn garbage_leaves_values_out_and_does_not_fail() {
        let fixture = Fixture::new()
            .file("proc/cpuinfo", b"processor : x\ncpu MHz : nan\n\xff\xfe\n")
            .file("proc/meminfo", "MemTotal: 99999999999999999999 kB\n");
        let scan = scanned(Hardware.scan(&fixture.roots()));
        for column in ["cpu_cores", "cpu_speed", "memory_total", "memory_used"] {
            assert_eq!(scan.rows[0].get(column), None, "{column}");
        }
    }

    #[test]
    fn without_proc_it_is_unavailable() {
        let fixture = Fixture::new().file("proc/meminfo", MEMINFO);
        assert!(reason(Hardware.scan(&fixture.roots())).contains("cpuinfo"));
    }
}
