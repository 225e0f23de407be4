use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::settings::{Kind, SETTINGS, nearest, setting};
use super::{Config, Need, Settings, Sources, layers, ossec, print};

/// The least that is complete.
const LEAST: &str = "\
[indexer]
hosts = [\"https://indexer.example:9200\"]
certificate_authorities = [\"ca.pem\"]
";

struct Given {
    dir: tempfile::TempDir,
    sources: Sources,
}

impl Given {
    fn file(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("inventory-sync.toml");
        std::fs::write(&path, text).unwrap();
        let sources = Sources {
            file: Some(path),
            ..Sources::default()
        };
        Given { dir, sources }
    }

    fn least_and(more: &str) -> Self {
        Self::file(&format!("{LEAST}{more}"))
    }

    fn ossec(text: &str) -> Self {
        let mut given = Given {
            dir: tempfile::tempdir().unwrap(),
            sources: Sources::default(),
        };
        let path = given.dir.path().join("ossec.conf");
        std::fs::write(&path, text).unwrap();
        given.sources.ossec_conf = Some(path);
        given
    }

    fn environment(mut self, name: &str, value: &str) -> Self {
        self.sources
            .environment
            .push((name.to_owned(), value.to_owned()));
        self
    }

    fn set(mut self, assignment: &str) -> Self {
        self.sources.set.push(assignment.to_owned());
        self
    }

    fn load(&self) -> Config {
        Config::load(&self.sources, Need::Indexer).unwrap()
    }

    fn error(&self) -> String {
        let error = Config::load(&self.sources, Need::Indexer).unwrap_err();
        hide(&error.to_string(), self.dir.path())
    }

    fn print(&self) -> String {
        hide(&Settings::read(&self.sources).print(), self.dir.path())
    }
}

fn hide(text: &str, dir: &Path) -> String {
    text.replace(&dir.display().to_string(), "DIR")
}

#[test]
fn nothing_is_needed_but_where_the_indexer_is() {
    let config = Given::file(LEAST).load();
    assert_eq!(
        config.indexer.hosts[0].url(),
        "https://indexer.example:9200"
    );
    assert_eq!(config.session.idle_timeout, Duration::from_secs(10));
    assert_eq!(config.router.topic, "inventory-states");
    assert_eq!(config.router.subscriber, "inventory-sync-module");
    assert_eq!(config.store.path, Path::new("inventory_sync"));
    assert_eq!(config.writer.cluster_name, "wazuh");
    assert_eq!(config.metrics_listen.unwrap().to_string(), "127.0.0.1:9601");
    assert_eq!(config.modules["syscollector"].len(), 13);
    assert_eq!(config.modules["fim"].len(), 3);
    assert_eq!(config.modules["sca"], ["wazuh-states-sca"]);
    assert!(config.router.tls.is_none() && config.indexer.credentials.is_none());
    assert!(config.warnings.is_empty());
}

#[test]
fn without_a_file_it_says_what_is_missing() {
    let error = Config::load(&Sources::default(), Need::Indexer).unwrap_err();
    insta::assert_snapshot!(error);
    assert!(Config::load(&Sources::default(), Need::Local).is_ok());
}

#[test]
fn every_error_is_told_at_once_with_its_line() {
    let given = Given::file(
        "[indexer]\n\
         hosts = [\"http://indexer:9200\", \"indexer:9200\", \"https://u:p@indexer\", \"https://a/b\", \"https://a:0\"]\n\
         certificate_authorities = [\"ca.pem\"]\n\
         concurency_max = 4\n\
         bulk_max_bytes = 12\n\
         certificate = \"c.pem\"\n\
         linger_ms = \"soon\"\n\
         password = \"secret\"\n\
         [session]\n\
         full_replacement = \"delete-by-query\"\n\
         resume = true\n\
         [writer]\n\
         cluster_name = \"My Cluster\"\n\
         [metrics]\n\
         listen = \"0.0.0.0:9601\"\n\
         [log]\n\
         format = \"xml\"\n\
         [sesion]\n\
         idle_timeout_ms = 1\n",
    );
    insta::assert_snapshot!(given.error());
}

#[test]
fn a_file_that_is_not_toml_names_its_line() {
    insta::assert_snapshot!(Given::file("[indexer]\nhosts = [\n\"a\"\nlinger_ms = 3\n").error());
    let mut missing = Given::file("");
    missing.sources.file = Some(missing.dir.path().join("none.toml"));
    insta::assert_snapshot!(missing.error());
}

#[test]
fn times_stand_in_their_order() {
    let given = Given::least_and("late_write_bound_ms = 200\n");
    insta::assert_snapshot!(given.error());
    // Tests and the demonstration set small ones; the order is all that counts.
    let small = Given::least_and(
        "connect_timeout_ms = 50\nrequest_timeout_ms = 80\nrequest_deadline_ms = 150\nlate_write_bound_ms = 200\n\
         delivery_deadline_ms = 2000\npaused_index_deadline_ms = 300\n[session]\nsession_max_ms = 10000\nidle_timeout_ms = 500\n",
    );
    assert_eq!(
        small.load().indexer.late_write_bound,
        Duration::from_millis(200)
    );
    let equal = Given::least_and("request_timeout_ms = 10_000\n");
    assert!(equal.error().contains(
        "indexer.request_timeout_ms (10000 ms, DIR/inventory-sync.toml:4) must be less than"
    ));
}

#[test]
fn the_stronger_source_wins_and_is_named() {
    let given = Given::least_and("concurrency_max = 2\nlinger_ms = 1\n[session]\nshards = 3\n")
        .environment("INVENTORY_SYNC_INDEXER_LINGER_MS", "2")
        .environment("INVENTORY_SYNC_SESSION_SHARDS", "4")
        .environment("INVENTORY_SYNC_ROUTER_RELAY_UIDS", "1000, 1001")
        .set("session.shards=5");
    let config = given.load();
    assert_eq!(
        (
            config.indexer.concurrency_max,
            config.indexer.linger,
            config.session.shards
        ),
        (2, Duration::from_millis(2), 5)
    );
    assert_eq!(config.router.relay_uids, [1000, 1001]);
    let printed = given.print();
    for line in [
        "concurrency_max = 2  # DIR/inventory-sync.toml:4",
        "linger_ms = 2  # environment INVENTORY_SYNC_INDEXER_LINGER_MS",
        "shards = 5  # --set",
        "bulk_max_bytes = 10485760  # default",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}\n{printed}"
        );
    }
}

#[test]
fn the_whole_effective_configuration_is_printed_without_secrets() {
    let given =
        Given::least_and("user = \"inventory\"\n[modules]\ncustom = [\"wazuh-states-custom\"]\n")
            .environment("INVENTORY_SYNC_INDEXER_PASSWORD", "hunter2");
    let printed = given.print();
    assert!(!printed.contains("hunter2"));
    insta::assert_snapshot!(printed);
    // It is a configuration file itself, and means the same.
    let again = Given::file(&printed).environment("INVENTORY_SYNC_INDEXER_PASSWORD", "hunter2");
    assert_eq!(format!("{:?}", again.load()), format!("{:?}", given.load()));
}

#[test]
fn a_password_comes_from_a_file_or_the_environment_alone() {
    let given = Given::least_and("user = \"inventory\"\n");
    insta::assert_snapshot!(given.error());
    let file = given.dir.path().join("password");
    std::fs::write(&file, "hunter2\nsecond line\n").unwrap();
    let given = given.set(&format!("indexer.password_file={}", file.display()));
    let credentials = given.load().indexer.credentials.unwrap();
    assert_eq!(
        (credentials.user.as_str(), credentials.password.as_str()),
        ("inventory", "hunter2")
    );
    let error = given.set("indexer.password=hunter2").error();
    assert!(!error.contains("hunter2"));
    insta::assert_snapshot!(error);
}

#[test]
fn a_password_in_a_url_is_refused_and_not_repeated() {
    let given =
        Given::file(LEAST).set("indexer.hosts=https://u:hunter2@indexer,http://u:hunter2@indexer");
    assert!(given.error().contains("names a user") && given.error().contains("not encrypted"));
    assert!(!given.error().contains("hunter2") && !given.print().contains("hunter2"));
}

#[test]
fn an_unknown_variable_is_a_warning_since_orchestrators_invent_them() {
    let config = Given::file(LEAST)
        .environment("INVENTORY_SYNC_SERVICE_HOST", "10.0.0.1")
        .load();
    insta::assert_snapshot!(config.warnings.join("\n"));
}

#[test]
fn the_modules_own_disjoint_indices() {
    insta::assert_snapshot!(
        Given::least_and("[modules]\nfim = [\"wazuh-states-sca\", \"Upper\", \"a*\"]\n").error()
    );
    let config = Given::least_and("[modules]\nsca = []\ncustom = [\"wazuh-states-sca\"]\n").load();
    assert!(!config.modules.contains_key("sca"));
    assert_eq!(config.modules["custom"], ["wazuh-states-sca"]);
}

const OSSEC: &str = "\
<!-- first root -->
<ossec_config>
  <global><jsonout_output>yes</jsonout_output></global>
  <indexer><enabled>yes</enabled>
    <hosts><host>https://0.0.0.0:9200</host>
           <host>https://other:9201</host></hosts>
    <ssl><certificate_authorities><ca>/etc/filebeat/certs/root-ca.pem</ca></certificate_authorities>
         <certificate>/etc/filebeat/certs/filebeat.pem</certificate>
         <key>/etc/filebeat/certs/a &amp; b.pem</key></ssl>
    <unknown><deep>x</deep></unknown>
  </indexer>
</ossec_config>
<ossec_config>
  <localfile><location>/var/log/x & y</location></localfile>
</ossec_config>
";

#[test]
fn an_existing_ossec_conf_says_where_the_indexer_is() {
    let config = Given::ossec(OSSEC).load();
    assert_eq!(config.indexer.hosts[0].url(), "https://0.0.0.0:9200");
    assert_eq!(config.indexer.hosts[1].url(), "https://other:9201");
    let (certificate, key) = config.indexer.client_certificate.unwrap();
    assert_eq!(certificate, Path::new("/etc/filebeat/certs/filebeat.pem"));
    assert_eq!(key, Path::new("/etc/filebeat/certs/a & b.pem"));
    insta::assert_snapshot!(
        config
            .warnings
            .join("\n")
            .replace(
                &Given::ossec("")
                    .dir
                    .path()
                    .parent()
                    .unwrap()
                    .display()
                    .to_string(),
                "TMP"
            )
            .split_once("/ossec.conf")
            .unwrap()
            .1
    );
    // Our own file is stronger.
    let mut both = Given::ossec(OSSEC);
    let path = both.dir.path().join("own.toml");
    std::fs::write(&path, "[indexer]\nhosts = [\"https://mine\"]\n").unwrap();
    both.sources.file = Some(path);
    assert_eq!(both.load().indexer.hosts[0].url(), "https://mine:9200");
}

#[test]
fn an_ossec_conf_without_a_usable_block_says_so() {
    let mut told = String::new();
    for text in [
        "<ossec_config><global/></ossec_config>",
        "<indexer><enabled>no</enabled><hosts><host>https://a</host></hosts></indexer>",
        "<indexer>\n<hosts>\n<host>https://a</host>\n",
        "<indexer><hosts></indexer>",
        "<indexer>\n<ssl></ssl></indexer>",
    ] {
        let given = Given::ossec(text);
        let settings = Settings::read(&given.sources);
        let mut lines = settings.warnings.clone();
        lines.extend(settings.errors.iter().map(ToString::to_string));
        let _ = writeln!(
            told,
            "{text}\n  → {}\n",
            hide(&lines.join("\n  → "), given.dir.path())
        );
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_host_may_be_an_address() {
    let config = Given::file(LEAST)
        .set("indexer.hosts=https://[::1]:9201/,https://10.0.0.1,HTTPS://Name")
        .load();
    let urls: Vec<_> = config.indexer.hosts.iter().map(super::Host::url).collect();
    assert_eq!(
        urls,
        [
            "https://[::1]:9201",
            "https://10.0.0.1:9200",
            "https://Name:9200"
        ]
    );
    assert!(
        super::Host {
            name: "::".into(),
            port: 1
        }
        .is_unspecified()
    );
}

#[test]
fn agents_over_tls_need_three_files() {
    insta::assert_snapshot!(Given::least_and("[router]\ntls_listen = \"localhost\"\n").error());
    insta::assert_snapshot!(
        Given::least_and("[router]\ntls_listen = \"[::]:1514\"\ntls_key = \"k\"\n").error()
    );
}

#[test]
fn the_table_keeps_its_own_rules() {
    for (place, setting) in SETTINGS.iter().enumerate() {
        assert!(
            SETTINGS[..place]
                .iter()
                .all(|other| other.key != setting.key),
            "{} twice",
            setting.key
        );
        assert!(setting.meaning.ends_with('.'), "{}", setting.key);
        if let (Kind::Integer { min, max }, super::settings::Default::Integer(default)) =
            (setting.kind, setting.default)
        {
            assert!((min..=max).contains(&default), "{}", setting.key);
            let unit_last = ["_ms", "_bytes", "_items", "_max", "_min", "shards"];
            assert!(
                unit_last.iter().any(|unit| setting.key.ends_with(unit)),
                "{}",
                setting.key
            );
        }
    }
    assert_eq!(
        setting("session.shards").unwrap().environment_name(),
        "INVENTORY_SYNC_SESSION_SHARDS"
    );
    assert_eq!(
        nearest("indexer.concurency_max"),
        Some("indexer.concurrency_max")
    );
    assert_eq!(nearest("session.cluster_name"), Some("writer.cluster_name"));
    assert_eq!(nearest("completely.different"), None);
}

#[test]
fn the_reference_lists_every_setting() {
    let reference = print::reference();
    assert_eq!(reference.lines().count(), SETTINGS.len() + 2);
    insta::assert_snapshot!(reference);
}

#[test]
fn an_ossec_conf_is_read_whatever_it_holds() {
    for text in [
        "",
        "<",
        "<indexer",
        "<indexer>",
        "</indexer>",
        "<indexer/>",
        "&x;",
        "<indexer>&x;</indexer>",
        "<a><indexer></a>",
    ] {
        let _ = ossec::read(text);
    }
    assert_eq!(layers::line_of("a\nb\nc", 4), 3);
}

#[test]
fn what_is_printed_is_a_file_again_whatever_a_text_holds() {
    let path = "a\u{1}\u{85}\u{301}\"\\\n\t";
    let given = Given::least_and("").set(&format!("store.path={path}"));
    let printed = Settings::read(&given.sources).print();
    let again = Given::file(&printed);
    assert_eq!(again.load().store.path, Path::new(path));
}

#[test]
fn settings_are_logged_without_the_password() {
    let given = Given::least_and("").environment("INVENTORY_SYNC_INDEXER_PASSWORD", "hunter2");
    let shown = format!("{:?}", Settings::read(&given.sources));
    assert!(!shown.contains("hunter2"), "{shown}");
    // A list that was forgotten around a host.
    let given = Given::file("[indexer]\nhosts = \"https://user:hunter2@a\"\n");
    assert!(!given.error().contains("hunter2"), "{}", given.error());
}
