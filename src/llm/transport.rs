//! Connections: TCP, TLS by the machine's own certificates, and the proxy that the environment names.
//!
//! Head nodes often reach the world only through `https_proxy`; their own services they reach directly, so the loopback
//! never goes through one. HTTP/1.1 only: every server of this kind speaks it, and each stream has its own connection. Hyper directly
//! and ring, because the larger clients cost minutes of building for what is three small functions here.

use http_body_util::Full;
use hyper::{
    Request, Response, Uri,
    body::{Bytes, Incoming},
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT},
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::{
    client::{
        legacy::{
            self,
            connect::{Connected, Connection, HttpConnector, proxy::Tunnel},
        },
        proxy::matcher::{Intercept, Matcher},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use std::{
    error::Error,
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task,
    time::Duration,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};
use tower_service::Service;

/// A connection that takes longer has a firewall in its way.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Servers close idle connections after some time; ours are closed before that.
const IDLE: Duration = Duration::from_secs(20);

type Fault = Box<dyn Error + Send + Sync>;

/// Sends requests.
#[derive(Clone, Debug)]
pub struct Transport {
    client: legacy::Client<Connector, Full<Bytes>>,
    proxies: Arc<Matcher>,
}

/// Why there is no response.
#[derive(Debug)]
pub struct Unsent {
    /// Whether there was no connection: nothing was sent then.
    pub unreachable: bool,
    /// What happened.
    pub message: String,
}

impl Transport {
    /// A transport with the proxies of the environment (`https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`).
    pub fn from_env() -> Self {
        Self::new(Matcher::from_env())
    }

    pub(super) fn new(proxies: Matcher) -> Self {
        let proxies = Arc::new(proxies);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_WITHIN));
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        let connector = Connector {
            tcp,
            tls: Arc::default(),
            proxies: Arc::clone(&proxies),
        };
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, proxies }
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// When nothing came back; the text names no header.
    pub async fn post(
        &self,
        target: &str,
        bearer: Option<String>,
        body: Vec<u8>,
    ) -> Result<Response<Incoming>, Unsent> {
        let wrong = |message: String| Unsent {
            unreachable: true,
            message,
        };
        let uri: Uri = target
            .parse()
            .map_err(|error| wrong(format!("the url is none: {error}")))?;
        let mut request = Request::post(&uri)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("campaignd/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| wrong(error.to_string()))?;
        if let Some(bearer) = bearer {
            let mut value = HeaderValue::from_str(&bearer)
                .map_err(|_| wrong("the key is no header's value".to_owned()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        // A request in the clear is the proxy's to read, and so is what it asks for.
        if uri.scheme_str() == Some("http")
            && let Some(auth) =
                proxy(&self.proxies, &uri).and_then(|proxy| proxy.basic_auth().cloned())
        {
            request.headers_mut().insert(PROXY_AUTHORIZATION, auth);
        }
        self.client.request(request).await.map_err(|error| Unsent {
            unreachable: error.is_connect(),
            message: chain(&error),
        })
    }
}

/// An error with its causes, each said once.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// The proxy on the way, if there is one.
fn proxy(proxies: &Matcher, uri: &Uri) -> Option<Intercept> {
    let host = uri.host()?.trim_matches(['[', ']']);
    let own = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    if own { None } else { proxies.intercept(uri) }
}

#[derive(Clone)]
struct Connector {
    tcp: HttpConnector,
    /// Made for the first connection that needs it.
    tls: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
    proxies: Arc<Matcher>,
}

impl Connector {
    async fn connect(mut self, uri: Uri) -> Result<Link, Fault> {
        let secure = uri.scheme_str() == Some("https");
        let via = proxy(&self.proxies, &uri);
        if let Some(via) = &via
            && via.uri().scheme_str() != Some("http")
        {
            return Err(format!(
                "a proxy of the kind {} is not supported, only http",
                via.uri().scheme_str().unwrap_or("none")
            )
            .into());
        }
        let tcp = match (via, secure) {
            (None, _) => self.tcp.call(uri.clone()).await?,
            (Some(via), false) => {
                let stream = self.tcp.call(via.uri().clone()).await?;
                return Ok(Link {
                    io: Box::new(stream),
                    proxied: true,
                });
            }
            (Some(via), true) => {
                let mut tunnel = Tunnel::new(via.uri().clone(), self.tcp.clone());
                if let Some(auth) = via.basic_auth() {
                    tunnel = tunnel.with_auth(auth.clone());
                }
                tunnel.call(uri.clone()).await?
            }
        };
        if !secure {
            return Ok(Link {
                io: Box::new(tcp),
                proxied: false,
            });
        }
        let config = self.tls.get_or_init(certificates).clone()?;
        let host = uri.host().unwrap_or("").trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host)?;
        let handshake = TlsConnector::from(config).connect(name, TokioIo::new(tcp));
        let stream = tokio::time::timeout(CONNECT_WITHIN, handshake)
            .await
            .map_err(|_| "the TLS handshake takes too long")??;
        Ok(Link {
            io: Box::new(TokioIo::new(stream)),
            proxied: false,
        })
    }
}

/// What the machine trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` count.
fn certificates() -> Result<Arc<ClientConfig>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map_or(String::new(), |error| format!(": {error}"));
        return Err(format!(
            "no certificates of this machine can be read; SSL_CERT_FILE may name some{why}"
        ));
    }
    Ok(Arc::new(
        ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth(),
    ))
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Link, Fault>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Fault>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

trait Io: Read + Write + Unpin + Send {}
impl<T: Read + Write + Unpin + Send> Io for T {}

/// One connection, whatever it consists of.
struct Link {
    io: Box<dyn Io>,
    /// Whether requests have to name the whole URL, for a proxy to read.
    proxied: bool,
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl Write for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> task::Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> task::Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, pieces)
    }
}
