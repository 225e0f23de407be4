//! Log lines on standard error, as text or as JSON.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogConfig;

/// Why nothing is logged.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not understood.
    #[error(
        "log.filter: {filter:?} is not understood ({cause}); write a level (error, warn, info, debug, trace) or TARGET=LEVEL, separated by commas"
    )]
    Filter {
        /// As configured.
        filter: String,
        /// Why.
        cause: ParseError,
    },
    /// Logging was set up already.
    #[error("logging is set up already")]
    Twice,
}

/// Sets up the process's log. Once.
///
/// # Errors
///
/// The filter is not understood, or there is a log already.
pub fn install(config: &LogConfig) -> Result<(), LoggingError> {
    subscriber(config, std::io::stderr)?
        .try_init()
        .map_err(|_| LoggingError::Twice)
}

type Dispatch = tracing::Dispatch;

fn subscriber<W>(config: &LogConfig, writer: W) -> Result<Dispatch, LoggingError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.filter).map_err(|cause| LoggingError::Filter {
        filter: config.filter.clone(),
        cause,
    })?;
    // No colours: the lines go to a journal or a file more often than to a terminal.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(false);
    Ok(if config.json {
        builder.json().flatten_event(true).finish().into()
    } else {
        builder.finish().into()
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::{LogConfig, subscriber};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, filter: &str) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let config = LogConfig {
            json,
            filter: filter.to_owned(),
        };
        let dispatch = subscriber(&config, move || writer.clone()).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(sessions = 3, "told");
            tracing::debug!("not told");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn lines_are_text_or_json_and_filtered() {
        let text = logged(false, "info");
        assert!(
            text.contains(" INFO ")
                && text.contains("told sessions=3")
                && !text.contains("not told"),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(&logged(true, "info")).unwrap();
        assert_eq!(
            (&json["level"], &json["message"], &json["sessions"]),
            (&"INFO".into(), &"told".into(), &3.into())
        );
        assert_eq!(logged(false, "error"), "");
    }

    #[test]
    fn a_filter_that_is_not_understood_is_named() {
        let config = LogConfig {
            json: false,
            filter: "loud=verbose=x".to_owned(),
        };
        let text = subscriber(&config, std::io::stderr)
            .err()
            .unwrap()
            .to_string();
        assert!(
            text.contains("log.filter: \"loud=verbose=x\" is not understood"),
            "{text}"
        );
    }
}
