//! Which exporter each role of host runs: the names under which a site knows its figures.

use std::fmt;
use std::str::FromStr;

use crate::sim::cluster::readings::ServiceReadings;

/// What looks at a mailbox store, apart from its machine and its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxFamily {
    /// The zmstat files as Carbonio hands them on.
    Textfile,
    /// Carbonio's `/metrics` within mailboxd, by Micrometer.
    Servlet,
    /// The Python exporters that most Zimbra sites run.
    PythonStats,
    /// The newer Python exporter.
    PythonNew,
}

/// What looks at Postfix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MtaFamily {
    Textfile,
    PostfixExporter,
    Telegraf,
    Python,
}

/// What looks at the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineFamily {
    NodeExporter,
    Telegraf,
}

/// What looks at OpenLDAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryFamily {
    OpenldapExporter,
    Telegraf,
}

/// The exporters of a site.
///
/// As text: `mailbox=textfile+servlet,mta=postfix_exporter,machine=telegraf,directory=telegraf,pages=whole`;
/// what is not named is as by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Families {
    /// One or more; so is `mta`.
    pub mailbox: Vec<MailboxFamily>,
    pub mta: Vec<MtaFamily>,
    pub machine: MachineFamily,
    pub directory: DirectoryFamily,
    /// All that the exporters print, rather than what a site keeps of it: the buckets of histograms, half of
    /// the modes of each core and those columns of mailboxd that nobody draws go first.
    pub whole_pages: bool,
}

/// A Carbonio site: text files, the servlet that mailboxd has anyway, and postfix_exporter for its rates.
impl Default for Families {
    fn default() -> Self {
        Families {
            mailbox: vec![MailboxFamily::Textfile, MailboxFamily::Servlet],
            mta: vec![MtaFamily::Textfile, MtaFamily::PostfixExporter],
            machine: MachineFamily::NodeExporter,
            directory: DirectoryFamily::OpenldapExporter,
            whole_pages: false,
        }
    }
}

const MAILBOX: [(&str, MailboxFamily); 4] = [
    ("textfile", MailboxFamily::Textfile),
    ("servlet", MailboxFamily::Servlet),
    ("python", MailboxFamily::PythonStats),
    ("python_new", MailboxFamily::PythonNew),
];
const MTA: [(&str, MtaFamily); 4] = [
    ("textfile", MtaFamily::Textfile),
    ("postfix_exporter", MtaFamily::PostfixExporter),
    ("telegraf", MtaFamily::Telegraf),
    ("python", MtaFamily::Python),
];
const MACHINE: [(&str, MachineFamily); 2] =
    [("node_exporter", MachineFamily::NodeExporter), ("telegraf", MachineFamily::Telegraf)];
const DIRECTORY: [(&str, DirectoryFamily); 2] =
    [("openldap_exporter", DirectoryFamily::OpenldapExporter), ("telegraf", DirectoryFamily::Telegraf)];

/// What is wrong with the text of `Families`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{part}`: expected {expected}")]
pub struct FamiliesError {
    part: String,
    expected: String,
}

impl FromStr for Families {
    type Err = FamiliesError;

    fn from_str(text: &str) -> Result<Self, FamiliesError> {
        let mut families = Families::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key {
                "mailbox" => families.mailbox = some_of(value, &MAILBOX)?,
                "mta" => families.mta = some_of(value, &MTA)?,
                "machine" => families.machine = one_of(value, &MACHINE)?,
                "directory" => families.directory = one_of(value, &DIRECTORY)?,
                "pages" => families.whole_pages = one_of(value, &[("kept", false), ("whole", true)])?,
                _ => {
                    let expected = "mailbox=…, mta=…, machine=…, directory=… or pages=…".to_owned();
                    return Err(FamiliesError { part: part.to_owned(), expected });
                }
            }
        }
        Ok(families)
    }
}

impl fmt::Display for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mailbox={},mta={}", names(&self.mailbox, &MAILBOX), names(&self.mta, &MTA))?;
        write!(f, ",machine={}", names(&[self.machine], &MACHINE))?;
        write!(f, ",directory={}", names(&[self.directory], &DIRECTORY))?;
        f.write_str(if self.whole_pages { ",pages=whole" } else { "" })
    }
}

fn one_of<T: Copy>(word: &str, known: &[(&str, T)]) -> Result<T, FamiliesError> {
    let found = known.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        FamiliesError { part: word.to_owned(), expected: names.join(", ") }
    })
}

fn some_of<T: Copy>(words: &str, known: &[(&str, T)]) -> Result<Vec<T>, FamiliesError> {
    words.split('+').map(|word| one_of(word, known)).collect()
}

fn names<T: Copy + PartialEq>(values: &[T], known: &[(&str, T)]) -> String {
    let name = |value: &T| known.iter().find(|(_, other)| other == value).map_or("", |(name, _)| name);
    values.iter().map(name).collect::<Vec<_>>().join("+")
}

/// One process that answers scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exporter {
    Node,
    /// With the inputs that the site's families ask of it.
    Telegraf,
    Textfile,
    Servlet,
    PythonStats,
    PythonNew,
    Mysqld,
    /// Counts the answers in mailboxd's access log by code.
    MailboxLog,
    /// The same of nginx.
    NginxLog,
    Postfix,
    Clamav,
    DnsProbe,
    Nginx,
    Memcached,
    HttpProbe,
    Openldap,
}

impl Exporter {
    /// Its customary job and port; a prober stands for what it probes.
    pub fn job_and_port(self) -> (&'static str, u16) {
        match self {
            Exporter::Node => ("node", 9100),
            Exporter::Telegraf => ("telegraf", 9273),
            Exporter::Textfile => ("carbonio", 9110),
            Exporter::Servlet => ("mailboxd", 8080),
            Exporter::PythonStats => ("zimbra", 9093),
            Exporter::PythonNew => ("zimbra", 9095),
            Exporter::Mysqld => ("mysqld", 9104),
            Exporter::MailboxLog => ("mtail", 3903),
            Exporter::NginxLog => ("nginxlog", 4040),
            Exporter::Postfix => ("postfix", 9154),
            Exporter::Clamav => ("clamav", 9810),
            Exporter::DnsProbe => ("blackbox_dns", 53),
            Exporter::Nginx => ("nginx", 9113),
            Exporter::Memcached => ("memcached", 9150),
            Exporter::HttpProbe => ("blackbox_https", 443),
            Exporter::Openldap => ("openldap", 9330),
        }
    }
}

impl Families {
    /// Another site's choice, the same for the same seed: one exporter a role, so that whoever reads it
    /// cannot count on the default names.
    pub fn drawn(seed: u64) -> Self {
        let mut state = seed;
        let mut draw = |n: usize| (split_mix(&mut state) % n as u64) as usize;
        Families {
            mailbox: match draw(5) {
                4 => vec![MailboxFamily::Textfile, MailboxFamily::PythonStats],
                i => vec![MAILBOX[i].1],
            },
            mta: match draw(5) {
                4 => vec![MtaFamily::PostfixExporter, MtaFamily::Python],
                i => vec![MTA[i].1],
            },
            machine: MACHINE[draw(MACHINE.len())].1,
            directory: DIRECTORY[draw(DIRECTORY.len())].1,
            whole_pages: draw(4) == 0,
        }
    }

    /// The exporters on a host of this role, in the order of its pages.
    pub fn exporters(&self, service: &ServiceReadings) -> Vec<Exporter> {
        let node = (self.machine == MachineFamily::NodeExporter).then_some(Exporter::Node);
        let mut telegraf = self.machine == MachineFamily::Telegraf;
        let mut own = Vec::new();
        match service {
            ServiceReadings::Mailbox(_) => {
                own.extend(self.mailbox.iter().map(|family| match family {
                    MailboxFamily::Textfile => Exporter::Textfile,
                    MailboxFamily::Servlet => Exporter::Servlet,
                    MailboxFamily::PythonStats => Exporter::PythonStats,
                    MailboxFamily::PythonNew => Exporter::PythonNew,
                }));
                own.extend([Exporter::Mysqld, Exporter::MailboxLog]);
            }
            ServiceReadings::Mta(_) => {
                own.extend(self.mta.iter().filter_map(|family| match family {
                    MtaFamily::Textfile => Some(Exporter::Textfile),
                    MtaFamily::PostfixExporter => Some(Exporter::Postfix),
                    MtaFamily::Python => Some(Exporter::PythonStats),
                    MtaFamily::Telegraf => None,
                }));
                telegraf |= self.mta.contains(&MtaFamily::Telegraf);
                if self.mailbox.contains(&MailboxFamily::PythonNew) {
                    own.push(Exporter::PythonNew);
                }
                own.extend([Exporter::Clamav, Exporter::DnsProbe]);
            }
            ServiceReadings::Proxy(_) => {
                own.extend([Exporter::Nginx, Exporter::NginxLog, Exporter::Memcached, Exporter::HttpProbe]);
            }
            ServiceReadings::Directory(_) => match self.directory {
                DirectoryFamily::OpenldapExporter => own.push(Exporter::Openldap),
                DirectoryFamily::Telegraf => telegraf = true,
            },
        }
        let telegraf = telegraf.then_some(Exporter::Telegraf);
        node.into_iter().chain(telegraf).chain(own).collect()
    }
}

/// The next number of SplitMix64 (Steele, Lea and Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_read_as_they_are_written() {
        for seed in 0..200 {
            let drawn = Families::drawn(seed);
            assert_eq!(drawn.to_string().parse(), Ok(drawn.clone()), "{drawn}");
            assert_eq!(Families::drawn(seed), drawn);
        }
        assert_eq!("".parse(), Ok(Families::default()));
        let error = "mta=sendmail".parse::<Families>().unwrap_err();
        assert_eq!(error.to_string(), "`sendmail`: expected textfile, postfix_exporter, telegraf, python");
        assert!("color=red".parse::<Families>().is_err());
    }

    #[test]
    fn drawn_families_cover_every_exporter() {
        let drawn: Vec<Families> = (0..200).map(Families::drawn).collect();
        assert!(MAILBOX.iter().all(|(_, family)| drawn.iter().any(|d| d.mailbox.contains(family))));
        assert!(MTA.iter().all(|(_, family)| drawn.iter().any(|d| d.mta.contains(family))));
        assert!(MACHINE.iter().all(|(_, family)| drawn.iter().any(|d| d.machine == *family)));
        assert!(DIRECTORY.iter().all(|(_, family)| drawn.iter().any(|d| d.directory == *family)));
    }
}
