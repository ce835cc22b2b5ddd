//! Questions to a hub, and its answers. Redirects are followed here, one by one, so that a secret goes to the hub's own host
//! only and nothing leads from a secure address to an open one.

use std::io::Read;
use std::sync::Arc;
use std::time::SystemTime;

use ureq::http::{HeaderMap, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, BodyReader, Proxy};

use crate::address::Address;
use crate::settings::{Certificates, Proxies};
use crate::tries::retry_after;
use crate::{Error, ModelName, Patience, Settings};

/// Hops of the longest chain of redirects.
const MOST_REDIRECTS: usize = 10;

/// The largest answer in JSON: models of many thousand files have some megabytes.
const LARGEST_JSON: u64 = 32 << 20;

/// A way to one hub.
pub(crate) struct Client {
    plain: Agent,
    secure: Agent,
    endpoint: Address,
    authorization: Option<String>,
    model: ModelName,
}

/// An answer with a body.
pub(crate) struct Answer {
    /// 200 or 206.
    pub(crate) status: u16,
    /// The hub's own headers, before any redirect.
    pub(crate) hub: HeaderMap,
    /// The headers of the host that has the bytes.
    pub(crate) headers: HeaderMap,
    /// Who has them.
    pub(crate) from: Address,
    pub(crate) body: BodyReader<'static>,
}

impl Client {
    /// Opens no connection yet.
    ///
    /// # Errors
    /// Proxies or certificates that cannot be used.
    pub(crate) fn new(settings: &Settings, model: &ModelName) -> Result<Self, Error> {
        let Settings { patience, proxies, endpoint, token, .. } = settings;
        let tls = tls(&settings.certificates)?;
        Ok(Self {
            plain: agent(patience, proxies.http.as_deref(), proxies, &tls)?,
            secure: agent(patience, proxies.https.as_deref(), proxies, &tls)?,
            endpoint: endpoint.clone(),
            authorization: token.as_ref().map(|token| token.header()),
            model: model.clone(),
        })
    }

    /// The hub's address of a path that begins with a slash.
    pub(crate) fn address(&self, path: &str) -> Result<Address, Error> {
        let invalid = || Error::Answer { url: self.endpoint.shown(), what: format!("the path {path:?}") };
        self.endpoint.under(path).ok_or_else(invalid)
    }

    /// Asks for JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let address = self.address(path)?;
        let answer = self.get(&address, None)?;
        let mut bytes = Vec::new();
        answer
            .body
            .take(LARGEST_JSON)
            .read_to_end(&mut bytes)
            .map_err(|error| broken(&answer.from, &error))?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Answer {
            url: answer.from.shown(),
            what: format!("what is not the hub's JSON ({error})"),
        })
    }

    /// The hub's headers of a file, without its bytes.
    pub(crate) fn head(&self, path: &str) -> Result<HeaderMap, Error> {
        let address = self.address(path)?;
        let response = self.send(&address, true, None)?;
        match response.status().as_u16() {
            200..=399 => Ok(response.headers().clone()),
            _ => Err(self.refusal(&address, &response)),
        }
    }

    /// Asks for bytes, from a place on if given, wherever they are.
    pub(crate) fn get(&self, address: &Address, start: Option<u64>) -> Result<Answer, Error> {
        let mut at = address.clone();
        let mut hub = None;
        for _ in 0..MOST_REDIRECTS {
            let response = self.send(&at, false, start)?;
            let headers = response.headers().clone();
            let hub = hub.get_or_insert_with(|| headers.clone());
            match response.status().as_u16() {
                status @ (200 | 206) => {
                    let body = response.into_body().into_reader();
                    return Ok(Answer { status, hub: hub.clone(), headers, from: at, body });
                }
                301 | 302 | 303 | 307 | 308 => at = followed(&at, &headers)?,
                _ => return Err(self.refusal(&at, &response)),
            }
        }
        Err(Error::Redirect { url: address.shown(), target: at.shown(), why: "there are too many redirects" })
    }

    /// One request. The hub's secret is for its own host.
    fn send(&self, address: &Address, head: bool, start: Option<u64>) -> Result<Response<Body>, Error> {
        let agent = if address.is_secure() { &self.secure } else { &self.plain };
        let request = if head { agent.head(address.uri()) } else { agent.get(address.uri()) };
        let mut request = request.header("accept-encoding", "identity");
        if let Some(start) = start {
            request = request.header("range", format!("bytes={start}-"));
        }
        if let Some(secret) = self.authorization.as_deref().filter(|_| address.same_origin(&self.endpoint)) {
            request = request.header("authorization", secret);
        }
        request.call().map_err(|error| failed(address, &error))
    }

    /// What a status that is no success means.
    fn refusal(&self, address: &Address, response: &Response<Body>) -> Error {
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
        };
        let (url, name) = (address.shown(), self.model.to_string());
        let missing =
            |what: &str| Error::NotFound { name: name.clone(), what: what.into(), url: url.clone() };
        // The hub says which of these it is; without a token it answers 401 to a name that it does not have.
        match (response.status().as_u16(), header("x-error-code")) {
            (401 | 404, "RepoNotFound") => missing("model, or it is private,"),
            (404, "RevisionNotFound") => missing("revision"),
            (404, "EntryNotFound") => missing("file"),
            (404, _) => missing("model or revision"),
            (status @ (401 | 403), _) if self.authorization.is_none() => Error::Access {
                name,
                url,
                status,
                remedy: "pass a token, or set HF_TOKEN, and accept the model's terms on its page",
            },
            (status @ (401 | 403), _) => Error::Access {
                name,
                url,
                status,
                remedy: "the token has no access: accept the model's terms on its page, or use another",
            },
            (status, _) => Error::Status {
                url,
                status,
                remedy: remedy(status),
                wait: retry_after(header("retry-after"), SystemTime::now()),
            },
        }
    }
}

fn remedy(status: u16) -> String {
    match status {
        429 => "too many requests: try again later, or pass a token".into(),
        451 => "it may not be given out where you are".into(),
        416 => "it has not the bytes that were asked for: try again".into(),
        500..=599 => "the hub has a fault: try again later, or use another endpoint".into(),
        _ => "check the endpoint".into(),
    }
}

/// Where a redirect leads, if it may be followed.
fn followed(from: &Address, headers: &HeaderMap) -> Result<Address, Error> {
    let location = headers.get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refuse = |target: String, why| Error::Redirect { url: from.shown(), target, why };
    match from.redirected(location) {
        None => Err(refuse("no address of http or https".into(), "bytes come from such addresses only")),
        Some(to) if from.is_secure() && !to.is_secure() => Err(refuse(to.shown(), "it is not secure")),
        Some(to) => Ok(to),
    }
}

/// A request that got no answer. What the library says names no header.
fn failed(address: &Address, error: &ureq::Error) -> Error {
    Error::Network { url: address.shown(), message: error.to_string() }
}

/// An answer that broke off.
pub(crate) fn broken(address: &Address, error: &std::io::Error) -> Error {
    Error::Network { url: address.shown(), message: format!("the answer broke off: {error}") }
}

fn agent(patience: &Patience, proxy: Option<&str>, all: &Proxies, tls: &TlsConfig) -> Result<Agent, Error> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy.map(|proxy| through(proxy, all.none_for.as_deref())).transpose()?)
        .tls_config(tls.clone())
        .user_agent(concat!("embed-native/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_recv_response(Some(patience.answer))
        .timeout_per_read(Some(patience.read))
        .timeout_per_write(Some(patience.read))
        .input_buffer_size(1 << 18)
        .build();
    Ok(config.new_agent())
}

/// A proxy, which may be written without a scheme, and the hosts it is not for.
fn through(text: &str, none_for: Option<&str>) -> Result<Proxy, Error> {
    let invalid = |_| Error::Settings {
        what: "a proxy variable holds no address of a proxy".into(),
        remedy: "correct or unset HTTP_PROXY, HTTPS_PROXY and ALL_PROXY",
    };
    let text = if text.contains("://") { text.into() } else { format!("http://{text}") };
    let read = Proxy::new(&text).map_err(invalid)?;
    let mut builder = Proxy::builder(read.protocol()).host(read.host()).port(read.port());
    if let (Some(user), Some(password)) = (read.username(), read.password()) {
        builder = builder.username(user).password(password);
    }
    for host in none_for.unwrap_or_default().split(',').map(str::trim).filter(|host| !host.is_empty()) {
        builder = builder.no_proxy(host);
    }
    builder.build().map_err(invalid)
}

fn tls(certificates: &Certificates) -> Result<TlsConfig, Error> {
    let mozilla =
        || webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| Certificate::from_der(der)).collect();
    let mut roots = certificates.instead.as_deref().map_or_else(|| Ok(mozilla()), read_certificates)?;
    if let Some(path) = &certificates.besides {
        roots.extend(read_certificates(path)?);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

fn read_certificates(path: &std::path::Path) -> Result<Vec<Certificate<'static>>, Error> {
    const REMEDY: &str =
        "correct or unset SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE and NODE_EXTRA_CA_CERTS";
    let invalid =
        |why: String| Error::Settings { what: format!("{}: {why}", path.display()), remedy: REMEDY };
    let bytes = std::fs::read(path).map_err(|error| invalid(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&bytes) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| invalid(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(invalid("holds no certificate in PEM".into())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_from_a_secure_address_to_an_open_one() {
        let from = |text: &str| Address::parse(text).unwrap();
        let mut headers = HeaderMap::new();
        for (start, target, goes) in [
            ("https://h/a", "http://h/a", false),
            ("https://h/a", "//h/b", true),
            ("https://h/a", "https://other/b", true),
            ("http://h/a", "http://h/b", true),
            ("http://h/a", "ftp://h/b", false),
        ] {
            headers.insert("location", target.parse().unwrap());
            let followed = followed(&from(start), &headers);
            assert_eq!(followed.is_ok(), goes, "{start} to {target}: {:?}", followed.err());
        }
    }
}
