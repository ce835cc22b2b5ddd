//! Where from, where to, and with what patience: options of the caller, else the variables that Python's
//! huggingface_hub reads (`huggingface_hub/constants.py`, v2.4), else its defaults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Error;
use crate::address::Address;

/// Which kind of hub.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The Hugging Face hub, or a mirror that speaks as it does.
    #[default]
    HuggingFace,
    /// ModelScope.
    ModelScope,
}

/// What a caller may decide. Empty fields: as the environment says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Options {
    /// A branch, a tag or a commit.
    pub revision: Option<String>,
    /// The folder of the cache.
    pub cache_dir: Option<PathBuf>,
    /// Whether no socket may be opened.
    pub offline: Option<bool>,
    /// What opens private and gated models.
    pub token: Option<Token>,
    /// The address of a hub.
    pub endpoint: Option<String>,
    /// Which kind of hub.
    pub source: Source,
    /// Where paths in variables are seen from; none: where the process is when they are used.
    pub working_folder: Option<PathBuf>,
}

impl Options {
    fn full(&self, path: PathBuf) -> PathBuf {
        match &self.working_folder {
            Some(from) => from.join(path),
            None => path,
        }
    }
}

/// A secret: never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes a secret as it is; white space around it is no part of it.
    pub fn new(secret: &str) -> Self {
        Self(secret.trim().into())
    }

    /// The value of the header that carries it.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    fn fits_a_header(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How long to wait, and how often to try.
#[derive(Debug, Clone)]
pub struct Patience {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of an answer (`HF_HUB_ETAG_TIMEOUT`).
    pub answer: Duration,
    /// For the next bytes of a body (`HF_HUB_DOWNLOAD_TIMEOUT`).
    pub read: Duration,
    /// Tries in a row that bring nothing.
    pub tries: u32,
    /// The pause before the second try; it doubles.
    pub pause: Duration,
    /// The longest pause that a hub may ask for.
    pub longest_pause: Duration,
    /// A body slower than `slowest` bytes in `slow_window` is given up.
    pub slowest: u64,
    /// See `slowest`.
    pub slow_window: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(10),
            read: Duration::from_secs(10),
            tries: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            slowest: 16 << 10,
            slow_window: Duration::from_secs(30),
        }
    }
}

/// All decisions of one download.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder that holds the models' folders.
    pub cache: PathBuf,
    /// Whether no socket may be opened.
    pub offline: bool,
    /// How long to wait.
    pub patience: Patience,
    pub(crate) revision: String,
    pub(crate) source: Source,
    pub(crate) endpoint: Address,
    pub(crate) token: Option<Token>,
    /// Whether snapshots hold links to blobs, and not the files themselves.
    pub links: bool,
    pub(crate) proxies: Proxies,
    pub(crate) certificates: Certificates,
}

/// Proxies by the scheme of what is asked for, and hosts that are asked directly.
#[derive(Debug, Default, Clone)]
pub(crate) struct Proxies {
    pub(crate) http: Option<String>,
    pub(crate) https: Option<String>,
    pub(crate) none_for: Option<String>,
}

/// Files of certificates in PEM: instead of Mozilla's, and besides them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Certificates {
    pub(crate) instead: Option<PathBuf>,
    pub(crate) besides: Option<PathBuf>,
}

/// A variable by name; empty ones are none.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Decides by options and this process's environment.
    ///
    /// # Errors
    /// An option or variable that makes no sense.
    pub fn new(options: &Options) -> Result<Self, Error> {
        Self::with(options, &|name| std::env::var(name).ok())
    }

    /// Decides by options and variables.
    ///
    /// # Errors
    /// An option or variable that makes no sense.
    pub fn with(options: &Options, variables: Variable<'_>) -> Result<Self, Error> {
        let variable = |name: &str| variables(name).filter(|value| !value.trim().is_empty());
        let home = home(&variable);
        let of_modelscope = options.source == Source::ModelScope;
        let revision =
            options.revision.clone().unwrap_or_else(|| if of_modelscope { "master" } else { "main" }.into());
        crate::name::check_revision(&revision)?;
        Ok(Self {
            cache: options
                .cache_dir
                .clone()
                .unwrap_or_else(|| options.full(cache(options.source, &variable, home.as_deref()))),
            offline: options.offline.unwrap_or_else(|| {
                ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
                    .iter()
                    .find_map(|name| variable(name))
                    .is_some_and(|value| is_true(&value))
            }),
            patience: patience(&variable)?,
            endpoint: endpoint(options, &variable)?,
            token: token(options, &variable, home.as_deref())?,
            links: !variable("HF_HUB_DISABLE_SYMLINKS").is_some_and(|value| is_true(&value)),
            proxies: proxies(&variable),
            certificates: Certificates {
                instead: first(&variable, &["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
                    .map(|path| options.full(path.into())),
                besides: variable("NODE_EXTRA_CA_CERTS").map(|path| options.full(path.into())),
            },
            revision,
            source: options.source,
        })
    }
}

fn first(variable: Variable<'_>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| variable(name))
}

fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.trim().to_ascii_uppercase().as_str())
}

/// The user's folder.
fn home(variable: Variable<'_>) -> Option<PathBuf> {
    first(variable, &["HOME", "USERPROFILE"]).map(PathBuf::from)
}

/// `~` at the beginning is the user's folder.
fn expanded(path: String, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with(['/', '\\']) => {
            home.join(rest.trim_start_matches(['/', '\\']))
        }
        _ => path.into(),
    }
}

/// `~/.cache`, or what stands for it.
fn user_cache(variable: Variable<'_>, home: Option<&Path>) -> PathBuf {
    let own = || home.map_or_else(std::env::temp_dir, Path::to_path_buf).join(".cache");
    variable("XDG_CACHE_HOME").map_or_else(own, |path| expanded(path, home))
}

fn hugging_face_home(variable: Variable<'_>, home: Option<&Path>) -> PathBuf {
    let own = || user_cache(variable, home).join("huggingface");
    variable("HF_HOME").map_or_else(own, |path| expanded(path, home))
}

/// ModelScope's own cache has another layout: ours stands beside it.
fn cache(source: Source, variable: Variable<'_>, home: Option<&Path>) -> PathBuf {
    match source {
        Source::HuggingFace => match first(variable, &["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]) {
            Some(path) => expanded(path, home),
            None => hugging_face_home(variable, home).join("hub"),
        },
        Source::ModelScope => {
            let own = || user_cache(variable, home).join("modelscope");
            variable("MODELSCOPE_CACHE").map_or_else(own, |path| expanded(path, home)).join("embed-native")
        }
    }
}

fn endpoint(options: &Options, variable: Variable<'_>) -> Result<Address, Error> {
    let (name, default) = match options.source {
        Source::HuggingFace => ("HF_ENDPOINT", "https://huggingface.co"),
        Source::ModelScope => ("MODELSCOPE_ENDPOINT", "https://www.modelscope.cn"),
    };
    let (origin, text) = match (&options.endpoint, variable(name)) {
        (Some(endpoint), _) => ("endpoint", endpoint.clone()),
        (None, Some(endpoint)) => (name, endpoint),
        (None, None) => (name, default.into()),
    };
    Address::parse(text.trim().trim_end_matches('/')).filter(Address::is_plain).ok_or_else(|| {
        Error::Settings {
            what: format!("{origin} is not the address of a hub"),
            remedy: "write it as https://host or https://host/path, without user, query or fragment",
        }
    })
}

fn token(options: &Options, variable: Variable<'_>, home: Option<&Path>) -> Result<Option<Token>, Error> {
    let named = match options.source {
        Source::HuggingFace => first(variable, &["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]),
        Source::ModelScope => variable("MODELSCOPE_API_TOKEN"),
    };
    let implicit = !variable("HF_HUB_DISABLE_IMPLICIT_TOKEN").is_some_and(|value| is_true(&value));
    let token = match &options.token {
        Some(token) => Some(token.clone()),
        None if implicit => {
            named.or_else(|| stored_token(options, variable, home)).map(|secret| Token::new(&secret))
        }
        None => None,
    };
    match token {
        Some(token) if !token.fits_a_header() => Err(Error::Settings {
            what: "the token holds characters that no token has, such as a line break".into(),
            remedy: "copy it again, in one line; see the option token, HF_TOKEN and HF_TOKEN_PATH",
        }),
        token => Ok(token),
    }
}

/// What `hf auth login` wrote. A token is for the hub it was made for: another endpoint gets none by itself.
fn stored_token(options: &Options, variable: Variable<'_>, home: Option<&Path>) -> Option<String> {
    let other = options.endpoint.is_some() || variable("HF_ENDPOINT").is_some();
    if options.source == Source::ModelScope || other {
        return None;
    }
    let own = || hugging_face_home(variable, home).join("token");
    let path = variable("HF_TOKEN_PATH").map_or_else(own, |path| expanded(path, home));
    // Nobody asked for it: one that cannot be read is none.
    std::fs::read_to_string(options.full(path))
        .ok()
        .filter(|secret| !secret.trim().is_empty() && secret.len() < 4096)
}

fn patience(variable: Variable<'_>) -> Result<Patience, Error> {
    let seconds =
        |name: &str, default: Duration| match variable(name).map(|value| value.trim().parse::<u64>()) {
            None | Some(Ok(0)) => Ok(default),
            Some(Ok(seconds)) => Ok(Duration::from_secs(seconds.min(3600))),
            Some(Err(_)) => Err(Error::Settings {
                what: format!("{name} is not a whole number of seconds"),
                remedy: "correct or unset it",
            }),
        };
    let default = Patience::default();
    Ok(Patience {
        answer: seconds("HF_HUB_ETAG_TIMEOUT", default.answer)?,
        read: seconds("HF_HUB_DOWNLOAD_TIMEOUT", default.read)?,
        ..default
    })
}

fn proxies(variable: Variable<'_>) -> Proxies {
    Proxies {
        http: first(variable, &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
        https: first(variable, &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
        none_for: first(variable, &["no_proxy", "NO_PROXY"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(options: Options, variables: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::with(&options, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        for (variables, expected) in [
            (&[("HOME", "/h")][..], "/h/.cache/huggingface/hub"),
            (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("HOME", "/h"), ("HF_HOME", "~/hf")], "/h/hf/hub"),
            (&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")], "/c"),
            (&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", " ")], "/hf/hub"),
        ] {
            assert_eq!(settings(Options::default(), variables).unwrap().cache, PathBuf::from(expected));
        }
    }

    #[test]
    fn relative_paths_in_variables_are_those_of_the_working_folder() {
        let options = Options { working_folder: Some("/w".into()), ..Options::default() };
        let variables = &[("HF_HOME", "hf"), ("SSL_CERT_FILE", "a.pem"), ("NODE_EXTRA_CA_CERTS", "/b.pem")];
        let found = settings(options.clone(), variables).unwrap();
        assert_eq!(found.cache, Path::new("/w/hf/hub"));
        let Certificates { instead, besides } = found.certificates;
        assert_eq!((instead, besides), (Some("/w/a.pem".into()), Some("/b.pem".into())));
        assert_eq!(settings(options, &[("HF_HUB_CACHE", "c")]).unwrap().cache, Path::new("/w/c"));
    }

    #[test]
    fn odd_endpoints_and_tokens_are_refused_without_showing_secrets() {
        for endpoint in [
            "huggingface.co",
            "file:///x",
            "https://u:p@h",
            "https://h/?a",
            "ftp://h",
            "https://",
            "https://h h",
        ] {
            let error = settings(Options::default(), &[("HF_ENDPOINT", endpoint)]).unwrap_err();
            assert!(!error.to_string().contains("u:p"), "{error}");
        }
        let inside = settings(Options::default(), &[("HF_TOKEN", "hf_a\nX-Evil: 1")]).unwrap_err();
        assert!(!inside.to_string().contains("hf_a"), "{inside}");
        let around = settings(Options::default(), &[("HF_TOKEN", "hf_a\r\n")]).unwrap();
        assert_eq!(around.token.as_ref().unwrap().header(), "Bearer hf_a");
        assert!(!format!("{around:?}").contains("hf_a"));
    }

    #[test]
    fn options_win_over_variables() {
        let options =
            Options { offline: Some(false), endpoint: Some("http://m/hub/".into()), ..Options::default() };
        let found = settings(options, &[("HF_HUB_OFFLINE", "1"), ("HF_ENDPOINT", "http://other")]).unwrap();
        assert!(!found.offline);
        assert_eq!(found.endpoint.shown(), "http://m/hub");
        assert!(settings(Options::default(), &[("HF_HUB_OFFLINE", "yes")]).unwrap().offline);
    }
}
