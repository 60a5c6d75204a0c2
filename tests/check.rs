//! `foreshock check` against good and hostile configurations, by driving the binary.
//!
//! A hostile fixture says at its end what must be told: a line `#! line:column: what; mend` for each problem.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use foreshock::config::{Config, HttpAuth, SinkKind};
use foreshock::incident::event::Mode;
use proptest::prelude::*;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs `check` on a file of `folder`, in an environment with nothing in it but `env`.
fn check(folder: &Path, file: &str, env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foreshock"))
        .args(["check", "--config", file])
        .current_dir(folder)
        .env_clear()
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn every_hostile_configuration_is_refused_with_all_its_problems() {
    let folder = root().join("fixtures/hostile/config");
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if !file.ends_with(".yaml") {
            continue;
        }
        files += 1;
        let text = fs::read(folder.join(&file)).unwrap();
        let text = String::from_utf8_lossy(&text);
        let want: Vec<String> =
            text.lines().filter_map(|l| l.strip_prefix("#! ")).map(|l| format!("{file}:{l}")).collect();
        assert!(!want.is_empty(), "{file} does not say what must be told");
        let output = check(&folder, &file, &[]);
        assert_eq!(stdout(&output).lines().collect::<Vec<_>>(), want, "{file}");
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert!(output.stderr.is_empty(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(files >= 20, "only {files} hostile configurations found");
}

const EXAMPLE_ENV: [(&str, &str); 5] = [
    ("FORESHOCK_TOKEN", "canary-1-0123456789"),
    ("SCRAPE_PASSWORD", "canary-2"),
    ("KAFKA_PASSWORD", "canary-3"),
    ("RUNNER_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("GRAFANA_TOKEN", "canary-5"),
];

fn parse(text: &str) -> Result<Config, foreshock::config::Problems> {
    let env: BTreeMap<&str, &str> = EXAMPLE_ENV.into();
    Config::parse(text, Path::new("c.yaml"), &root().join("deploy"), &|name| {
        env.get(name).map(|v| v.to_string())
    })
}

fn example() -> String {
    fs::read_to_string(root().join("deploy/foreshock.yaml")).unwrap()
}

#[test]
fn the_example_is_valid() {
    let output = check(&root().join("deploy"), "foreshock.yaml", &EXAMPLE_ENV);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(
        stdout(&output).starts_with("foreshock.yaml is valid: site mail.example.org"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn what_is_valid_and_hardly_wanted_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("c.yaml"), "site: home\nacting: {mode: auto}\n").unwrap();
    let output = check(folder.path(), "c.yaml", &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert!(
        matches!(lines[..], [valid, blind, unrouted]
        if valid.starts_with("c.yaml is valid")
            && blind.starts_with("warning: nothing is watched;")
            && unrouted.starts_with("warning: `acting.mode` is auto and no sink carries")),
        "{lines:?}"
    );
}

/// Puts a key that nobody knows into every section, and reads off what is known there.
#[test]
fn the_example_explains_every_key() {
    let text = example();
    let mut probed = String::new();
    let mut sections = 0;
    for line in text.lines() {
        // A section's first key follows the line that opens it, so its indentation is known.
        let opens =
            line.trim_start().starts_with("- ") || !line.starts_with([' ', '#', '-']) && line.contains(':');
        probed += line;
        probed += "\n";
        if opens && line.trim_start().starts_with("- ") {
            let indent = line.len() - line.trim_start().len() + 2;
            probed += &format!("{}zzzzzzzzzzzz: 1\n", " ".repeat(indent));
            sections += 1;
        }
    }
    for opening in [
        "auth:",
        "  tls:",
        "    tls:",
        "budget:",
        "acting:",
        "limits:",
        "    webhook:",
        "    grafana:",
        "    alertmanager:",
        "remote_write:",
        "    basic_auth:",
    ] {
        let indent = opening.len() - opening.trim_start().len() + 2;
        probed = probed
            .lines()
            .map(|line| {
                let found = line.split('#').next().unwrap_or("").trim_end() == opening;
                sections += usize::from(found);
                if found {
                    format!("{line}\n{}zzzzzzzzzzzz: 1\n", " ".repeat(indent))
                } else {
                    format!("{line}\n")
                }
            })
            .collect();
    }
    probed += "zzzzzzzzzzzz: 1\n";
    let problems = parse(&probed).unwrap_err().0;
    let mut keys = 0;
    for problem in &problems {
        assert_eq!(problem.what, "unknown key `zzzzzzzzzzzz`", "{problem}");
        for key in problem.mend.strip_prefix("known here: ").unwrap().split(", ") {
            let forms = [format!("{key}:"), format!(" {key},"), format!("{key} ")];
            // `email`, `mail` and `smtp` are known only to be refused.
            let refused = ["email", "mail", "smtp"].contains(&key);
            assert!(
                refused || forms.iter().any(|form| text.contains(form.as_str())),
                "`{key}` is not explained"
            );
            keys += 1;
        }
    }
    assert_eq!(problems.len(), sections + 1, "{problems:#?}");
    assert!(keys > 100, "only {keys} keys seen");
}

#[test]
fn the_defaults_shown_in_the_example_are_the_defaults() {
    let shown = parse(&example()).unwrap();
    let bare = parse(
        "site: x\nremote_write:\n\
         scrape: [{job: a, targets: ['a:1']}]\n\
         prometheus: [{url: 'http://a', selectors: [up]}]\n\
         kafka: [{brokers: ['a:1'], topics: [t], format: telegraf_json}]\n\
         zmstat: [{}]\n",
    )
    .unwrap();
    assert_eq!(shown.listen, bare.listen);
    assert_eq!(shown.step_seconds, bare.step_seconds);
    assert_eq!(shown.entity_labels, bare.entity_labels);
    assert_eq!(shown.budget, bare.budget);
    assert_eq!((shown.acting.mode, shown.acting.cooldown), (bare.acting.mode, bare.acting.cooldown));
    assert_eq!(shown.acting.actions_per_hour_max, bare.acting.actions_per_hour_max);
    assert_eq!(shown.packs.len(), bare.packs.len());
    let limits = |config: &Config| {
        let mut limits = config.limits.clone();
        limits.shards = 0;
        format!("{limits:?}")
    };
    assert_eq!(limits(&shown), limits(&bare));
    assert_eq!(format!("{:?}", shown.remote_write), format!("{:?}", bare.remote_write));
    let (a, b) = (&shown.prometheus[0], &bare.prometheus[0]);
    assert_eq!(
        (a.backfill, a.step, a.timeout, a.body_bytes_max),
        (b.backfill, b.step, b.timeout, b.body_bytes_max)
    );
    let (a, b) = (&shown.zmstat[0], &bare.zmstat[0]);
    assert_eq!((&a.directory, a.backfill, a.lateness), (&b.directory, b.backfill, b.lateness));
    assert_eq!((a.line_bytes_max, a.file_bytes_max), (b.line_bytes_max, b.file_bytes_max));
    let (a, b) = (&shown.kafka[0], &bare.kafka[0]);
    assert_eq!((&a.group, a.timestamp_unit, a.lateness), (&b.group, b.timestamp_unit, b.lateness));
    assert_eq!(
        (a.message_bytes_max, a.dead_letter_bytes_max),
        (b.message_bytes_max, b.dead_letter_bytes_max)
    );
    let (a, b) = (&shown.scrapes[1], &bare.scrapes[0]);
    assert_eq!(
        (&a.metrics_path, a.timeout, a.honor_timestamps),
        (&b.metrics_path, b.timeout, b.honor_timestamps)
    );
    assert_eq!((a.body_bytes_max, a.samples_max), (b.body_bytes_max, b.samples_max));
}

#[test]
fn no_secret_is_ever_shown() {
    let config = parse(&example()).unwrap();
    let shown = format!("{config:?} {config:#?} {config}");
    for (_, secret) in EXAMPLE_ENV {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
    let problems = parse(&example().replace("step_seconds: 15", "step_seconds: 0")).unwrap_err().to_string();
    assert!(!problems.contains("canary"), "{problems}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Cuts a piece of the example out and puts another in its place: an answer, whatever comes of it,
    /// and a problem that lies within the text.
    #[test]
    fn no_damage_to_the_example_breaks_the_reader(
        cut in 0usize..8000,
        len in 0usize..400,
        put in prop_oneof!["[\\[\\]{}:,&*!|>'\"%@`#\t\n -]{0,12}", ".{0,12}", Just("\n".repeat(40))],
    ) {
        let mut chars: Vec<char> = example().chars().collect();
        let cut = cut.min(chars.len());
        let end = (cut + len).min(chars.len());
        chars.splice(cut..end, put.chars());
        let text: String = chars.into_iter().collect();
        if let Err(problems) = parse(&text) {
            prop_assert!(!problems.0.is_empty());
            // The parser of YAML ends a line at a lone carriage return too.
            let lines = text.split(['\n', '\r']).count() + 1;
            for problem in problems.0 {
                prop_assert!((1..=lines).contains(&problem.place.line), "{}", problem);
                prop_assert!(problem.place.column >= 1 && !problem.mend.is_empty(), "{}", problem);
            }
        }
    }
}

#[test]
fn four_lines_watch_one_node_exporter() {
    let config = parse("site: home\nscrape:\n  - job: node\n    targets: [127.0.0.1:9100]\n").unwrap();
    assert_eq!(config.scrapes[0].targets, ["127.0.0.1:9100"]);
    assert!(config.listen.ip().is_loopback());
    assert_eq!(config.acting.mode, Mode::Observe);
    assert_eq!(config.budget.pages_per_week, 1.0);
    assert_eq!(config.data_dir, root().join("deploy/foreshock-data"));
    assert!(config.sinks.is_empty() && config.remote_write.is_none());
}

#[test]
fn a_secret_may_come_from_a_file_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "0123456789abcdef-canary\n").unwrap();
    fs::write(
        folder.path().join("runner"),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nwhsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n",
    )
    .unwrap();
    let text = "site: x\nlisten: 0.0.0.0:9750\nauth: {bearer_token_file: token}\n\
                scrape: [{job: a, targets: ['a:1'], bearer_token_file: token}]\n\
                sinks: [{name: r, webhook: {url: 'http://a', secret_file: runner}}]\n";
    let path: PathBuf = folder.path().join("c.yaml");
    fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    assert!(config.auth.is_some());
    assert!(matches!(config.scrapes[0].auth, HttpAuth::Bearer(_)));
    let SinkKind::Webhook { secrets, .. } = &config.sinks[0].kind else { panic!("{:?}", config.sinks) };
    assert_eq!(secrets.len(), 2);
}

#[test]
fn a_pack_is_mended_in_its_own_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("own.yaml"), "name: own\nsignal: []\n").unwrap();
    fs::write(folder.path().join("c.yaml"), "site: x\npacks: [zimbra, ./own.yaml, zimbar, ./missing.yaml]\n")
        .unwrap();
    let output = check(folder.path(), "c.yaml", &[]);
    let told: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0].starts_with("c.yaml:2:29: no pack `zimbar` is built in; did you mean `zimbra`?"),
        "{told:?}"
    );
    assert!(told[1].starts_with("c.yaml:2:37: cannot read the pack ./missing.yaml:"), "{told:?}");
    assert!(told[2].starts_with("./own.yaml:2:1: unknown"), "{told:?}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_missing_file_is_told_like_any_problem() {
    let output = check(root(), "no-such-file.yaml", &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stdout(&output).starts_with("no-such-file.yaml:1:1: cannot read the configuration:"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn help_has_an_example() {
    let output = Command::new(env!("CARGO_BIN_EXE_foreshock")).args(["check", "--help"]).output().unwrap();
    assert!(stdout(&output).contains("Example:\n  foreshock check --config"), "{}", stdout(&output));
}
