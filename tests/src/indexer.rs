//! The Indexer of a test: a stand-in of its own, or the real one that `INVENTORY_TEST_INDEXER_*` names.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use inventory_indexer::server::stats::Stats;
use inventory_indexer::server::{self, Handle, Options, User};
use inventory_sync::certs::Issued;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::certs::{Pki, client_config};

/// Name and password at the stand-in.
pub const USER: (&str, &str) = ("inventory", "a password of tests");

/// Documents that one search of a test may find.
const DOCUMENTS_MAX: u32 = 10_000;

/// How an Indexer is reached.
#[derive(Clone, Debug)]
pub struct Access {
    /// `https://NAME:PORT`.
    pub url: String,
    /// Who vouches for it.
    pub authority: PathBuf,
    /// Certificate and key of the user.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Name and password of the user.
    pub user: Option<(String, String)>,
}

impl Access {
    /// What the environment names.
    ///
    /// # Panics
    /// When it names a part only.
    #[must_use]
    pub fn of_environment() -> Option<Self> {
        let variable = |name: &str| {
            let value = std::env::var(format!("INVENTORY_TEST_INDEXER_{name}")).ok();
            value.filter(|value| !value.is_empty())
        };
        let certificate = variable("CERTIFICATE").map(PathBuf::from);
        Some(Self {
            url: variable("URL")?,
            authority: variable("CA")
                .expect("INVENTORY_TEST_INDEXER_CA beside …_URL")
                .into(),
            certificate: certificate.zip(variable("KEY").map(PathBuf::from)),
            user: variable("USER").zip(variable("PASSWORD")),
        })
    }

    /// The same Indexer as `INVENTORY_TEST_INDEXER_ADMIN_USER` and `…_PASSWORD`, who may do everything there.
    #[must_use]
    pub fn of_administrator() -> Option<Self> {
        let variable =
            |name: &str| std::env::var(format!("INVENTORY_TEST_INDEXER_ADMIN_{name}")).ok();
        let mut access = Self::of_environment()?;
        access.certificate = None;
        access.user = Some(variable("USER").zip(variable("PASSWORD"))?);
        Some(access)
    }
}

/// One document as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// `_source`, byte for byte.
    pub source: String,
    /// `_version`.
    pub version: u64,
}

/// The Indexer of a test.
pub struct Indexer {
    access: Access,
    http: reqwest::Client,
    stand_in: Option<Handle>,
    options: Option<Options>,
}

impl Indexer {
    /// The real one.
    #[must_use]
    pub fn real(access: Access) -> Self {
        Self {
            http: http(&access),
            access,
            stand_in: None,
            options: None,
        }
    }

    /// A stand-in that runs.
    #[must_use]
    pub fn stand_in(pki: &Pki) -> Self {
        let mut indexer = Self::stopped_stand_in(pki);
        indexer.start();
        indexer
    }

    /// A stand-in that does not run yet, at a port that is free.
    ///
    /// # Panics
    /// When there is no free port, or the certificates are gone.
    #[must_use]
    pub fn stopped_stand_in(pki: &Pki) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        let read = |path: &Path| std::fs::read(path).unwrap();
        let mut options = Options::new(read(&pki.server_file()), read(&pki.server_key_file()));
        options.users = vec![User {
            name: USER.0.to_owned(),
            password: USER.1.to_owned(),
        }];
        // Nothing may be written to an index that was not made on purpose.
        options.auto_create = false;
        let mut indexer = Self::real(Access {
            url: String::new(),
            authority: pki.authority_file(),
            certificate: None,
            user: Some((USER.0.to_owned(), USER.1.to_owned())),
        });
        indexer.listen_at(&mut options, address);
        indexer.options = Some(options);
        indexer
    }

    fn listen_at(&mut self, options: &mut Options, address: SocketAddr) {
        options.listen = address;
        self.access.url = format!("https://localhost:{}", address.port());
    }

    /// Lets a stand-in that does not run take request bodies up to so many bytes.
    ///
    /// # Panics
    /// When it is a real one.
    pub fn limit_bodies(&mut self, bytes: u64) {
        let options = self.options.as_mut().expect("a stand-in");
        options.content_length_max = bytes;
    }

    /// Starts the stand-in, empty, where it was before.
    ///
    /// # Panics
    /// When its port was taken meanwhile, or it is a real one.
    pub fn start(&mut self) {
        let options = self.options.clone().expect("a stand-in");
        self.stand_in = Some(server::spawn(options).expect("the port is still free"));
    }

    /// Whether faults can be injected.
    #[must_use]
    pub const fn is_stand_in(&self) -> bool {
        self.options.is_some()
    }

    /// How it is reached.
    #[must_use]
    pub const fn access(&self) -> &Access {
        &self.access
    }

    fn handle(&self) -> &Handle {
        self.stand_in.as_ref().expect("a stand-in that runs")
    }

    /// Replaces the faults of the stand-in.
    ///
    /// # Panics
    /// When they are not understood.
    pub fn faults(&self, faults: &Value) {
        self.handle().set_faults(&faults.to_string()).unwrap();
    }

    /// Ends all faults of the stand-in.
    pub fn heal(&self) {
        self.faults(&json!([]));
    }

    /// What reached the stand-in.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.handle().stats()
    }

    /// Asks something; status and body.
    ///
    /// # Panics
    /// Without an answer.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let request = self
            .request(method, path)
            .header("content-type", "application/json")
            .body(body.to_owned());
        let response = request.send().await.expect("an answer of the Indexer");
        let status = response.status().as_u16();
        (status, response.text().await.expect("a whole answer"))
    }

    /// A request that is still to get its body and to be sent.
    ///
    /// # Panics
    /// When the method is none.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self
            .http
            .request(method, format!("{}{path}", self.access.url));
        match &self.access.user {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    /// All documents of an agent in these indices, by index and id.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub async fn documents(
        &self,
        indices: &[&str],
        cluster: &str,
        agent: u64,
    ) -> BTreeMap<(String, String), Stored> {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            hits: Hits<'a>,
        }
        #[derive(Deserialize)]
        struct Hits<'a> {
            #[serde(borrow)]
            hits: Vec<Hit<'a>>,
        }
        #[derive(Deserialize)]
        struct Hit<'a> {
            #[serde(rename = "_index")]
            index: String,
            #[serde(rename = "_id")]
            id: String,
            #[serde(rename = "_version")]
            version: u64,
            #[serde(borrow, rename = "_source")]
            source: &'a RawValue,
        }
        let indices = indices.join(",");
        let (status, body) = self.ask("POST", &format!("/{indices}/_refresh"), "").await;
        assert_eq!(status, 200, "{body}");
        let query = json!({
            "query": {"bool": {"filter": [
                {"term": {"wazuh.cluster.name": cluster}},
                {"term": {"wazuh.agent.id": format!("{agent:03}")}},
            ]}},
            "size": DOCUMENTS_MAX,
            "version": true,
        });
        let path = format!("/{indices}/_search");
        let (status, body) = self.ask("POST", &path, &query.to_string()).await;
        assert_eq!(status, 200, "{body}");
        let answer: Answer<'_> = serde_json::from_str(&body).expect("a search's answer");
        let found = answer.hits.hits.into_iter().map(|hit| {
            let stored = Stored {
                source: hit.source.get().to_owned(),
                version: hit.version,
            };
            ((hit.index, hit.id), stored)
        });
        found.collect()
    }
}

fn http(access: &Access) -> reqwest::Client {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let identity = access
        .certificate
        .as_ref()
        .map(|(certificate, key)| Issued {
            certificate_pem: read(certificate),
            key_pem: read(key),
        });
    let tls = client_config(
        &read(&access.authority),
        identity.as_ref(),
        rustls::ALL_VERSIONS,
    );
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()
        .unwrap()
}
