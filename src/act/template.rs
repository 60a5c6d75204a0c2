//! Templates of the operator: bodies and headers in minijinja, bounded in work and size.
//!
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
