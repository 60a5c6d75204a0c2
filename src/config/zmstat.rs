//! The section `zmstat`: directories of Zimbra's own statistics.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::Zmstat;
use super::collectors::bytes;
use super::load::Zone;
use super::read::{Placed, Section};
use super::scalar::{Bytes, show_duration};

/// Where Zimbra's installer puts them.
const DIRECTORY: &str = "/opt/zimbra/zmstat";
const DAY: Duration = Duration::from_secs(86_400);

/// `site_zone` is that of hosts that name none.
pub(super) fn zmstat(root: &Section, site_zone: &TimeZone) -> Vec<Zmstat> {
    let mut directories: Vec<Zmstat> = Vec::new();
    for section in root.list("zmstat") {
        let at = section.at;
        let Some(directory) = directory(section, site_zone) else { continue };
        if directories.iter().any(|known| known.host == directory.host) {
            let what = format!("two directories are of the host `{}`", directory.host);
            root.reader.sink.push(at, what, "name each one's own: `host: store1`");
        }
        if directories.iter().any(|known| known.directory == directory.directory) {
            let what = format!("the directory {} stands here twice", directory.directory.display());
            root.reader.sink.push(at, what, "keep one of them");
        }
        directories.push(directory);
    }
    directories
}

fn directory(section: Section, site_zone: &TimeZone) -> Option<Zmstat> {
    const HOUR: Duration = Duration::from_secs(3600);
    let directory = Zmstat {
        directory: section.or("directory", PathBuf::from(DIRECTORY)),
        host: host(&section).unwrap_or_default(),
        timezone: section.get::<Zone>("timezone").map_or_else(|| site_zone.clone(), |zone| zone.0),
        backfill: section.within("backfill", 30 * DAY, Duration::ZERO..=400 * DAY, show_duration),
        lateness: section.within("lateness", Duration::from_secs(10), Duration::ZERO..=HOUR, show_duration),
        line_bytes_max: bytes(&section, "line_bytes_max", Bytes(Bytes::MIB)),
        file_bytes_max: bytes(&section, "file_bytes_max", Bytes(256 * Bytes::MIB)) as u64,
    };
    section.finish();
    (!directory.host.is_empty()).then_some(directory)
}

/// The host that is named, or this one.
fn host(section: &Section) -> Option<String> {
    if section.node("host").is_some() {
        return section.get::<Placed<String>>("host").map(|host| host.value);
    }
    let own = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let own = own.filter(|name| !name.is_empty());
    if own.is_none() {
        section.reader.sink.push(section.at, "this machine does not say its name", "add `host: store1`");
    }
    own
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Problems};

    fn parse(zmstat: &str) -> Result<Vec<Zmstat>, Problems> {
        let text = format!("site: home\ntimezone: Europe/Berlin\nzmstat:\n{zmstat}");
        Config::parse(&text, Path::new("c.yaml"), Path::new("etc"), &|_| None).map(|config| config.zmstat)
    }

    #[test]
    fn a_directory_needs_nothing_to_be_said_of_it() {
        let [found] = &parse("  - {}\n").unwrap()[..] else { panic!("one is expected") };
        assert_eq!(found.directory, Path::new("/opt/zimbra/zmstat"));
        assert_eq!(found.host, nix::unistd::gethostname().unwrap().into_string().unwrap());
        assert_eq!(found.timezone.iana_name(), Some("Europe/Berlin"));
        assert_eq!((found.backfill, found.lateness), (30 * DAY, Duration::from_secs(10)));
    }

    #[test]
    fn each_key_is_heard() {
        let text = "  - {directory: stats, host: store1, timezone: America/New_York, backfill: 0s, lateness: 1s}\n\
                    \x20 - {directory: other, host: store2, line_bytes_max: 2KiB, file_bytes_max: 3MiB}\n";
        let [first, second] = &parse(text).unwrap()[..] else { panic!("two are expected") };
        assert_eq!((first.directory.as_path(), first.host.as_str()), (Path::new("etc/stats"), "store1"));
        assert_eq!(first.timezone.iana_name(), Some("America/New_York"));
        assert_eq!((first.backfill, first.lateness), (Duration::ZERO, Duration::from_secs(1)));
        assert_eq!((second.line_bytes_max, second.file_bytes_max), (2048, 3 << 20));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, want) in [
            ("  - {director: x}\n", "c.yaml:4:6: unknown key `director`"),
            ("  - {timezone: Mars/Olympus}\n", "c.yaml:4:16: `Mars/Olympus` is no time zone"),
            ("  - {backfill: 500d}\n", "c.yaml:4:16: `backfill` is out of bounds: 500d"),
            (
                "  - {host: a, directory: x}\n  - {host: a, directory: y}\n",
                "c.yaml:5:5: two directories are of",
            ),
            ("  - {host: a, directory: x}\n  - {host: b, directory: x}\n", "stands here twice"),
        ] {
            let told = parse(text).unwrap_err().to_string();
            assert!(told.contains(want), "{told} does not say {want}");
        }
    }
}
