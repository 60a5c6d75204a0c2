//! The sinks of a config, each with its own way out.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use url::Url;

use super::alertmanager::Alertmanager;
use super::egress::{Egress, EgressError};
use super::grafana::Grafana;
use super::http::{Client, SendError, authorization};
use super::sign::{SecretError, Signer};
use super::template::Template;
use super::webhook::Webhook;
use super::{Sink, Unsendable};
use crate::config::{SinkConfig, SinkKind};

/// Why a sink of the config cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("sink {sink}: {source}")]
    Secret { sink: String, source: SecretError },
    #[error("sink {sink}: {source}")]
    Template { sink: String, source: Unsendable },
    #[error("sink {sink}: {source}")]
    Egress { sink: String, source: EgressError },
    #[error("sink {sink}: {source}")]
    Client { sink: String, source: SendError },
    #[error("egress_allow: {0}")]
    Rule(EgressError),
}

/// A sink, and the client that reaches it.
pub struct Connected {
    pub sink: Box<dyn Sink>,
    pub client: Client,
}

#[derive(Default)]
pub struct Sinks {
    by_name: BTreeMap<String, Arc<Connected>>,
}

impl Sinks {
    /// All sinks, or all that is wrong with them.
    ///
    /// # Errors
    /// Secrets, templates and egress rules that cannot be used; nothing is sent to find out.
    pub fn build(configs: &[SinkConfig], egress_allow: &[String]) -> Result<Self, Vec<SinkError>> {
        let egress = Egress::new(egress_allow, configs.iter().map(|config| url_of(&config.kind)));
        let egress = Arc::new(egress.map_err(|error| vec![SinkError::Rule(error)])?);
        let mut sinks = Sinks::default();
        let mut errors = Vec::new();
        for config in configs {
            match connect(config, &egress) {
                Ok(connected) => drop(sinks.by_name.insert(config.name.clone(), Arc::new(connected))),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(sinks) } else { Err(errors) }
    }

    pub fn get(&self, name: &str) -> Option<Arc<Connected>> {
        self.by_name.get(name).cloned()
    }
}

pub fn url_of(kind: &SinkKind) -> &Url {
    match kind {
        SinkKind::Webhook { url, .. }
        | SinkKind::Grafana { url, .. }
        | SinkKind::Alertmanager { url, .. } => url,
    }
}

fn connect(config: &SinkConfig, egress: &Arc<Egress>) -> Result<Connected, SinkError> {
    let url = url_of(&config.kind);
    let name = || config.name.clone();
    egress.check(url).map_err(|source| SinkError::Egress { sink: name(), source })?;
    let client =
        Client::new(egress.clone(), url).map_err(|source| SinkError::Client { sink: name(), source })?;
    Ok(Connected { sink: sink_of(config)?, client })
}

/// The one place that knows all sinks.
fn sink_of(config: &SinkConfig) -> Result<Box<dyn Sink>, SinkError> {
    let template = |source| SinkError::Template { sink: config.name.clone(), source };
    Ok(match &config.kind {
        SinkKind::Webhook { url, secrets, headers, body_template, header_templates, timeout, .. } => {
            let signer = Signer::new(secrets)
                .map_err(|source| SinkError::Secret { sink: config.name.clone(), source })?;
            let headers_of =
                header_templates.iter().map(|(name, source)| Ok((name.clone(), Template::header(source)?)));
            Box::new(Webhook {
                url: url.clone(),
                signer,
                headers: headers.clone(),
                body: body_template.as_deref().map(Template::body).transpose().map_err(template)?,
                header_templates: headers_of.collect::<Result<_, _>>().map_err(template)?,
                timeout: *timeout,
            })
        }
        SinkKind::Grafana { url, token, dashboard_uid, panel_id, timeout } => Box::new(Grafana {
            url: url.clone(),
            token: token.clone(),
            dashboard_uid: dashboard_uid.clone(),
            panel_id: *panel_id,
            timeout: *timeout,
        }),
        SinkKind::Alertmanager { url, auth, resend, runbook_url, external_url, timeout } => {
            Box::new(Alertmanager {
                url: url.clone(),
                authorization: authorization(auth).map(SecretString::from),
                resend: *resend,
                runbook_url: runbook_url.clone(),
                external_url: external_url.clone(),
                timeout: *timeout,
            })
        }
    })
}
