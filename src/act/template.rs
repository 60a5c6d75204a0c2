//! Templates of the operator: bodies and headers in minijinja, bounded in steps and in what they print.
//!
//! What a template keeps in between (`{% set a = a ~ a %}` in a loop) has no bound: the text is as trusted as the program.
//! They see `id` and the event's own fields (`event`, `at`, `incident`, `action`, …). In a body `{{ … }}` prints JSON:
//! a string comes quoted and escaped, so no label can break out of its place. A name that is not there is an error.

use std::io::{self, Write};

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use super::{Letter, Unsendable};
use crate::incident::event::Event;

/// Steps of the template machine: a loop over thousands of movers fits, an endless one ends.
const FUEL: u64 = 200_000;
const OUTPUT_BYTES_MAX: usize = 256 << 10;
const NAME: &str = "template";

#[derive(Serialize)]
struct Context<'a> {
    id: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

pub struct Template {
    environment: Environment<'static>,
}

impl Template {
    /// A body, whose values print as JSON.
    pub fn body(source: &str) -> Result<Self, Unsendable> {
        Self::compile(source, AutoEscape::Json)
    }

    /// A header, whose values print as they are.
    pub fn header(source: &str) -> Result<Self, Unsendable> {
        Self::compile(source, AutoEscape::None)
    }

    fn compile(source: &str, escape: AutoEscape) -> Result<Self, Unsendable> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        // Errors say which name is not there, in a release as well.
        environment.set_debug(true);
        environment.set_auto_escape_callback(move |_| escape.clone());
        environment.add_template_owned(NAME, source.to_owned()).map_err(|e| fault(&e))?;
        Ok(Template { environment })
    }

    pub fn render(&self, letter: &Letter) -> Result<String, Unsendable> {
        let template = self.environment.get_template(NAME).map_err(|e| fault(&e))?;
        let mut output = Bounded(Vec::new());
        let context = Context { id: letter.id, event: letter.event };
        template.render_captured_to(Serde(&context), &mut output).map_err(|e| fault(&e))?;
        String::from_utf8(output.0).map_err(|e| Unsendable(e.to_string()))
    }
}

/// `line 3: undefined value`.
fn fault(error: &minijinja::Error) -> Unsendable {
    let line = error.line().map_or(String::new(), |line| format!("line {line}: "));
    let detail = error.detail().map_or(String::new(), |detail| format!(": {detail}"));
    Unsendable(format!("template: {line}{}{detail}", error.kind()))
}

struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_BYTES_MAX {
            return Err(io::Error::other("more than 256 KiB"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{letter, opened};
    use super::*;

    fn body(source: &str) -> Result<String, String> {
        let event = opened("a", 0);
        Template::body(source).and_then(|t| t.render(&letter(&event))).map_err(|e| e.0)
    }

    #[test]
    fn values_print_as_json_so_that_no_label_breaks_out() {
        let mut event = opened("a", 0);
        event.incident.as_mut().unwrap().entity = r#"mx"},{"evil":"1"#.into();
        let template = Template::body(r#"{"host": {{ incident.entity }}, "id": {{ id }}}"#).unwrap();
        let value: serde_json::Value =
            serde_json::from_str(&template.render(&letter(&event)).unwrap()).unwrap();
        assert_eq!(value["host"], r#"mx"},{"evil":"1"#);
        assert_eq!(value["id"], "the-id");
        assert!(value.get("evil").is_none());
    }

    #[test]
    fn a_header_prints_plainly() {
        let event = opened("a", 0);
        let template = Template::header("{{ incident.entity }}/{{ event }}").unwrap();
        assert_eq!(template.render(&letter(&event)).unwrap(), "mx1/incident.opened");
    }

    #[test]
    fn what_is_not_there_is_an_error_with_its_line() {
        assert_eq!(
            body("{}\n{{ incident.entty }}").unwrap_err(),
            "template: line 2: undefined value: `incident.entty` is undefined"
        );
        assert!(body("{{ action.remedy }}").unwrap_err().contains("undefined"), "no action, no remedy");
        assert!(body("{{ incident.entity").unwrap_err().starts_with("template: line 1: syntax error"));
    }

    #[test]
    fn endless_work_and_endless_output_end() {
        let loops = "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}";
        assert!(body(loops).unwrap_err().contains("fuel"));
        assert!(
            body("{% for i in range(9000) %}a long line of text, printed again and again{% endfor %}")
                .is_err()
        );
    }
}
