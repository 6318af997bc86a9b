//! Where a request goes: one tier's endpoint, its prices, and money that adds up exactly.
//!
//! An [`Endpoint`] is part of a task's `request.toml`: it names the source of its key and never the key.

use super::secret::SecretSource;
use crate::words::words;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

words! {
    /// The four tiers that agents are mapped to.
    pub enum Tier {
        /// A small model on the site's own machines.
        LocalSmall = "local_small",
        /// A large model on the site's own machines.
        LocalLarge = "local_large",
        /// A small model that is paid by the token.
        CloudSmall = "cloud_small",
        /// A large model that is paid by the token.
        CloudLarge = "cloud_large",
    }
}

words! {
    /// How the server is spoken to.
    pub enum Api {
        /// `POST {url}/chat/completions`: vLLM, llama.cpp, Ollama's `/v1`, clouds.
        OpenAi = "openai",
        /// `POST {url}/api/chat`: Ollama's own, the only way to tell it the length of its window (`/v1` ignores `num_ctx`).
        OllamaNative = "ollama_native",
    }
}

/// Prices in USD per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// Of prompt tokens that the server read.
    pub prompt: f64,
    /// Of prompt tokens that the server had cached; the price of `prompt` when absent.
    pub cached: Option<f64>,
    /// Of tokens that the model wrote, its reasoning included.
    pub completion: f64,
}

/// Money in millionths of a millionth of a dollar: a token at 1 USD per million costs exactly 1,000,000, so that sums do not
/// depend on their order. Holds up to 18 million dollars; saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u64);

/// In dollars.
impl Serialize for Money {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.usd())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        f64::deserialize(from).map(Money::from_usd)
    }
}

impl Money {
    /// None.
    pub const ZERO: Money = Money(0);

    /// From dollars; what is negative or no number is nothing.
    pub fn from_usd(usd: f64) -> Self {
        // A float converts to an integer saturating, NaN to 0.
        Money((usd * 1e12).round() as u64)
    }

    /// In dollars.
    pub fn usd(self) -> f64 {
        self.0 as f64 / 1e12
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Money) -> Money {
        Money(self.0.saturating_add(other.0))
    }

    /// What is left without `other`; nothing when it is more.
    #[must_use]
    pub fn minus(self, other: Money) -> Money {
        Money(self.0.saturating_sub(other.0))
    }

    fn of(tokens: u64, usd_per_million: f64) -> Money {
        let each = (usd_per_million * 1e6).round() as u64;
        Money(tokens.saturating_mul(each))
    }
}

/// Tokens of one request or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Of the prompt, the cached ones included.
    pub prompt: u64,
    /// Of the prompt, which the server had cached.
    pub cached: u64,
    /// Written by the model, reasoning included.
    pub completion: u64,
    /// Of those, reasoning.
    pub reasoning: u64,
    /// Whether any of it is our own count: the server told none.
    pub estimated: bool,
}

impl Usage {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            prompt: self.prompt + other.prompt,
            cached: self.cached + other.cached,
            completion: self.completion + other.completion,
            reasoning: self.reasoning + other.reasoning,
            estimated: self.estimated || other.estimated,
        }
    }

    /// Tokens that the server worked on, which is what a budget of tokens is about: cached ones are not among them.
    pub fn worked(&self) -> u64 {
        self.prompt.saturating_sub(self.cached) + self.completion
    }
}

impl Prices {
    /// What `usage` costs.
    pub fn cost(&self, usage: &Usage) -> Money {
        let cached = usage.cached.min(usage.prompt);
        Money::of(usage.prompt - cached, self.prompt)
            .plus(Money::of(cached, self.cached.unwrap_or(self.prompt)))
            .plus(Money::of(usage.completion, self.completion))
    }
}

/// A tier's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Which tier it serves.
    pub tier: Tier,
    /// Base URL, `http://host:8000/v1` or `https://...`; without user or password.
    pub url: String,
    /// The model, as the server names it.
    pub model: String,
    /// What its tokens cost.
    #[serde(default)]
    pub prices: Prices,
    /// Tokens that prompt and answer may have together.
    pub context_length: u64,
    /// Where the key comes from.
    #[serde(default)]
    pub api_key: SecretSource,
    /// Seconds that one attempt may take.
    #[serde(default = "timeout_s")]
    pub timeout_s: u64,
    /// Whether answers are streamed: a runaway is stopped early then.
    #[serde(default = "yes")]
    pub stream: bool,
    /// How the server is spoken to.
    #[serde(default = "openai")]
    pub api: Api,
    /// Requests in flight at most; the limiter stays below it where the server refuses.
    #[serde(default = "in_flight")]
    pub max_in_flight: usize,
    /// Further members of each request's body, for instance `chat_template_kwargs`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Value>,
    /// Further members of a request that is asked again because its JSON ran away, for instance vLLM's
    /// `structured_outputs = { disable_any_whitespace = true }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub compact_extra: BTreeMap<String, Value>,
}

fn timeout_s() -> u64 {
    600
}
fn yes() -> bool {
    true
}
fn openai() -> Api {
    Api::OpenAi
}
fn in_flight() -> usize {
    64
}

impl Endpoint {
    /// An endpoint with the defaults of a settings file: no key, no price, streaming, 600 s, 64 in flight.
    pub fn new(tier: Tier, url: &str, model: &str, context_length: u64) -> Self {
        Self {
            tier,
            url: url.to_owned(),
            model: model.to_owned(),
            prices: Prices::default(),
            context_length,
            api_key: SecretSource::None,
            timeout_s: timeout_s(),
            stream: yes(),
            api: openai(),
            max_in_flight: in_flight(),
            extra: BTreeMap::new(),
            compact_extra: BTreeMap::new(),
        }
    }

    /// How long one attempt may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }

    /// Where chat requests are posted.
    pub(super) fn target(&self) -> String {
        let base = self.url.trim_end_matches('/');
        match self.api {
            Api::OpenAi => format!("{base}/chat/completions"),
            Api::OllamaNative => format!("{base}/api/chat"),
        }
    }

    /// What is wrong with the settings, if anything.
    ///
    /// # Errors
    /// A sentence that names the key; it never shows a password.
    pub fn check(&self) -> Result<(), String> {
        let rest = self
            .url
            .strip_prefix("http://")
            .or_else(|| self.url.strip_prefix("https://"))
            .ok_or_else(|| {
                format!(
                    "url of {} begins with neither http:// nor https://",
                    self.tier
                )
            })?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        if rest.contains('@') {
            return Err(format!(
                "url of {} holds a user or password: name the source of the key in api_key",
                self.tier
            ));
        }
        if authority.is_empty() {
            return Err(format!("url of {} names no host", self.tier));
        }
        if rest.contains(['?', '#']) {
            return Err(format!(
                "url of {} has a query, which may hold a key",
                self.tier
            ));
        }
        let prices = [
            Some(self.prices.prompt),
            self.prices.cached,
            Some(self.prices.completion),
        ];
        if prices
            .into_iter()
            .flatten()
            .any(|price| !(price.is_finite() && price >= 0.0))
        {
            return Err(format!("prices of {} are not all zero or more", self.tier));
        }
        for (key, value) in [
            ("context_length", self.context_length),
            ("timeout_s", self.timeout_s),
            ("max_in_flight", self.max_in_flight as u64),
        ] {
            if value == 0 {
                return Err(format!("{key} of {} is 0", self.tier));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_have_their_own_price_and_sums_are_exact() {
        let prices = Prices {
            prompt: 2.5,
            cached: Some(0.25),
            completion: 10.0,
        };
        let usage = Usage {
            prompt: 10_000,
            cached: 9_000,
            completion: 100,
            ..Usage::default()
        };
        assert_eq!(prices.cost(&usage).usd(), 0.0025 + 0.00225 + 0.001);
        let dear = Prices {
            cached: None,
            ..prices
        };
        assert_eq!(
            dear.cost(&usage).usd(),
            0.026,
            "without a price for them they cost the full one"
        );
        assert_eq!(usage.worked(), 1_100);
        let odd = Usage {
            cached: 20_000,
            ..usage
        };
        assert_eq!(
            prices.cost(&odd).usd(),
            0.0025 + 0.001,
            "no more are cached than there are"
        );
        let third = Money::from_usd(0.1).plus(Money::from_usd(0.2));
        assert_eq!(third, Money::from_usd(0.3));
        assert_eq!(Money::from_usd(f64::NAN), Money::ZERO);
        assert_eq!(Money::from_usd(-1.0), Money::ZERO);
    }

    #[test]
    fn settings_read_back_with_defaults() {
        let text = "tier = \"cloud_large\"\nurl = \"https://x/v1\"\nmodel = \"m\"\ncontext_length = 8192\n\
                    api_key = { env = \"X_KEY\" }\nprices = { prompt = 1.0, completion = 2.0 }\nextra = { top_k = 20 }\n";
        let endpoint: Endpoint = toml::from_str(text).unwrap();
        assert_eq!(endpoint.api_key, SecretSource::Env("X_KEY".into()));
        assert!(endpoint.stream && endpoint.timeout_s == 600 && endpoint.api == Api::OpenAi);
        let written = toml::to_string(&endpoint).unwrap();
        assert_eq!(toml::from_str::<Endpoint>(&written).unwrap(), endpoint);
        assert_eq!(endpoint.check(), Ok(()));
        assert_eq!(endpoint.target(), "https://x/v1/chat/completions");
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_shown() {
        for url in [
            "https://me:hunter2@x/v1",
            "http://x/v1?key=hunter2",
            "ftp://hunter2",
            "http:///v1",
        ] {
            let endpoint = Endpoint::new(Tier::CloudSmall, url, "m", 4096);
            let why = endpoint.check().unwrap_err();
            assert!(
                why.contains("cloud_small") && !why.contains("hunter2"),
                "{why}"
            );
        }
        let mut endpoint = Endpoint::new(Tier::CloudSmall, "http://x", "m", 4096);
        endpoint.prices.completion = f64::NAN;
        assert!(endpoint.check().is_err());
    }
}
