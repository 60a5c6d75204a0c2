//! What pages of real exporters and of bad ones read as, and the agreement with prometheus-parse.

use super::*;
use proptest::prelude::*;

/// Every line of `page` as `labels value time`, or `!line reason`.
fn read(page: &str, format: Format) -> Vec<String> {
    let mut bytes = page.as_bytes().to_vec();
    let mut page = bytes.as_mut_slice();
    let mut scanner = Scanner::new(format);
    let (mut labels, mut lines) = (Vec::new(), Vec::new());
    while let Some(read) = scanner.next(&mut page, &mut labels) {
        lines.push(match read {
            Ok(line) => {
                let series = crate::sample::Labels::new(&labels);
                let at = line.at.map_or(String::new(), |at| format!(" @{}", at.0));
                format!("{series} {}{at}", line.value)
            }
            Err(error) => format!("!{} {:?}", error.line, error.reason),
        });
    }
    if let Err(error) = scanner.finish() {
        lines.push(format!("!{} {:?}", error.line, error.reason));
    }
    lines
}

fn check(page: &str, want: &[&str]) {
    assert_eq!(read(page, Format::Text), want, "{page}");
}

fn check_open_metrics(page: &str, want: &[&str]) {
    assert_eq!(read(page, Format::OpenMetrics), want, "{page}");
}

#[test]
fn a_page_as_node_exporter_prints_it() {
    check(
        "# HELP node_load1 1m load average.\n# TYPE node_load1 gauge\nnode_load1 0.13\n\
         node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"} 1.23e+06\n",
        &["node_load1 0.13", r#"node_cpu_seconds_total{cpu="0",mode="idle"} 1230000"#],
    );
}

#[test]
fn a_textfile_as_carbonio_writes_it() {
    check(
        "soap_exec_count {command=\"AuthRequest\"} 17\n",
        &[r#"soap_exec_count{command="AuthRequest"} 17"#],
    );
}

#[test]
fn what_exporters_do_beyond_the_grammar() {
    check("m{} 1", &["m 1"]);
    check("m{a=\"1\",} 1\r\n\r\nn 2\r\n", &[r#"m{a="1"} 1"#, "n 2"]);
    check("\tm { a = \"1\" , b = \"2\" }\t1\t5\n", &[r#"m{a="1",b="2"} 1 @5"#]);
    check("node:load:sum 1\n", &["node:load:sum 1"]);
    check("m{a=\"1\"}2\n", &[r#"m{a="1"} 2"#]);
}

#[test]
fn values_are_gos() {
    check(
        "m +Inf\nm -Inf\nm NaN\nm 1e-3\nm .5\nm 0x1p3\nm 1_000\nm\n",
        &["m inf", "m -inf", "m NaN", "m 0.001", "m 0.5", "!6 Value", "!7 Value", "!8 Value"],
    );
}

#[test]
fn a_nan_on_a_page_is_no_stale_marker() {
    let mut bytes = b"m NaN\n".to_vec();
    let line = Scanner::new(Format::Text).next(&mut bytes.as_mut_slice(), &mut Vec::new());
    assert!(!crate::sample::is_stale_marker(line.unwrap().unwrap().value));
}

#[test]
fn label_values_hold_anything_but_a_bare_quote() {
    check(
        r#"m{a="x,y",b="k=v",c="}",d="\\ \" \n",e="{",f="Grüße # 1"} 1"#,
        &[r#"m{a="x,y",b="k=v",c="}",d="\\ \" \n",e="{",f="Grüße # 1"} 1"#],
    );
}

#[test]
fn names_in_quotes_hold_any_utf8() {
    check(r#"{"http.server.duration", "le.x"="1"} 3"#, &[r#"http.server.duration{le.x="1"} 3"#]);
    check(r#"{"größe \"x\""} 3"#, &[r#"größe "x" 3"#]);
    check(r#"m{"n"} 1"#, &["!1 TwoMetricNames"]);
    check("{} 1\n{\"\"} 1\n{a=\"b\"} 1", &["!1 NoMetricName", "!2 NoMetricName", "!3 NoMetricName"]);
}

#[test]
fn a_bad_line_costs_only_itself() {
    check(
        "a 1\n<html>\nb{x=\"1} 2\nc{x=1} 2\nd{x} 2\ne{x=\"1\"y=\"2\"} 2\nf 1 2 3\ng 1 1.5\nh{x=\"1\",x=\"2\"} 1\ni 1\n",
        &[
            "a 1",
            "!2 Name",
            "!3 CloseQuote",
            "!4 OpenQuote",
            "!5 Equals",
            "!6 CloseBrace",
            "!7 Trailing",
            "!8 Time",
            "!9 LabelTwice",
            "i 1",
        ],
    );
}

#[test]
fn bytes_that_are_not_utf8_cost_only_their_line() {
    let mut bytes = b"a{x=\"\xff\"} 1\nb 1\n".to_vec();
    let (mut page, mut labels) = (bytes.as_mut_slice(), Vec::new());
    let mut scanner = Scanner::new(Format::Text);
    let mut next = || scanner.next(&mut page, &mut labels);
    assert_eq!(next().unwrap().unwrap_err().reason, Reason::Utf8);
    assert_eq!(next().unwrap().unwrap().value, 1.0);
}

#[test]
fn an_error_says_where_and_near_what() {
    let mut bytes = b"\n\nm{queue=active} 1\n".to_vec();
    let read = Scanner::new(Format::Text).next(&mut bytes.as_mut_slice(), &mut Vec::new());
    let want = "line 3: a label value must begin with a quote: \"active} 1\"";
    assert_eq!(read.unwrap().unwrap_err().to_string(), want);
}

#[test]
fn open_metrics_times_are_seconds_and_exemplars_are_skipped() {
    check_open_metrics(
        "# TYPE m counter\nm_total 5 1700000000.125 # {trace=\"a\"} 0.2 1.0\nm_total 5 # {} 1\n# EOF\n",
        &["m_total 5 @1700000000125", "m_total 5"],
    );
}

#[test]
fn an_open_metrics_page_that_was_cut_says_so() {
    check_open_metrics("a 1\nb 12", &["a 1", "!2 Cut", "!2 NoEnd"]);
    check_open_metrics("a 1\n# EOF\nb 1\n", &["a 1", "!3 AfterEnd"]);
    check_open_metrics("a NaN NaN\n# EOF", &["!1 Time"]);
}

#[test]
fn the_content_type_tells_the_format() {
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(Format::of(open), Format::OpenMetrics);
    assert_eq!(Format::of("text/plain; version=0.0.4"), Format::Text);
    assert_eq!(Format::of(""), Format::Text);
}

#[test]
fn a_page_in_pieces_reads_as_the_whole() {
    let mut scanner = Scanner::new(Format::OpenMetrics);
    let mut kinds = Vec::new();
    for piece in ["# TYPE m counter\n", "m_total 1\n", "# EOF\n"] {
        let mut bytes = piece.as_bytes().to_vec();
        let (mut page, mut labels) = (bytes.as_mut_slice(), Vec::new());
        while let Some(line) = scanner.next(&mut page, &mut labels) {
            kinds.push(line.unwrap().kind);
        }
    }
    assert_eq!(kinds, [ValueKind::Counter]);
    assert_eq!(scanner.finish(), Ok(()));
}

/// Lines that prometheus-parse reads right: no escapes, none of `}`, `,`, `=` in a value, no `m{}`.
fn plain_line() -> impl Strategy<Value = String> {
    let label = ("[a-z][a-z0-9]{0,5}", "[ -!#-+./0-<>-?A-\\[\\]^_`a-z|~]{1,8}");
    let labels = prop::collection::btree_map(label.0, label.1, 0..4);
    ("[a-z_]{1,8}", labels, any::<f64>(), prop::option::of(0..4_000_000_000_000i64)).prop_map(
        |(name, labels, value, at)| {
            let labels: Vec<String> = labels.iter().map(|(n, v)| format!("{n}=\"{v}\"")).collect();
            let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let at = at.map_or(String::new(), |at| format!(" {at}"));
            format!("{name}{braces} {value}{at}")
        },
    )
}

proptest! {
    #[test]
    fn agrees_with_prometheus_parse_where_that_is_right(lines in prop::collection::vec(plain_line(), 0..20)) {
        let page = lines.join("\n") + "\n";
        let now = Default::default();
        let rows = page.lines().map(|line| Ok(line.to_string()));
        let theirs = prometheus_parse::Scrape::parse_at(rows, now).unwrap();
        let theirs: Vec<String> = theirs.samples.iter().map(|s| {
            let mut pairs: Vec<(&str, &str)> = s.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            pairs.push((METRIC_NAME, &s.metric));
            let prometheus_parse::Value::Untyped(value) = s.value else { unreachable!("no TYPE was given") };
            let at = if s.timestamp == now { String::new() } else { format!(" @{}", s.timestamp.timestamp_millis()) };
            format!("{} {value}{at}", crate::sample::Labels::new(&pairs))
        }).collect();
        let ours: Vec<String> = read(&page, Format::Text).iter().map(|l| l.replace(" @0", "")).collect();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn any_bytes_are_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), open: bool) {
        let format = if open { Format::OpenMetrics } else { Format::Text };
        let (mut page, mut labels) = (bytes.as_mut_slice(), Vec::new());
        let mut scanner = Scanner::new(format);
        while scanner.next(&mut page, &mut labels).is_some() {}
        prop_assert!(page.is_empty());
    }

    #[test]
    fn any_label_value_survives_a_round_trip(value in ".{1,20}") {
        let series = crate::sample::Labels::new(&[(METRIC_NAME, "m"), ("a", &value)]);
        prop_assert_eq!(read(&format!("{series} 1\n"), Format::Text), [format!("{series} 1")]);
    }
}
