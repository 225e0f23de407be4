//! Panics as findings: their message comes with the finding, so the hook is silent about those of runs.

use std::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! {
    static IN_RUN: Cell<bool> = const { Cell::new(false) };
}

/// Runs something whose panics are caught and told elsewhere.
pub(crate) fn caught<T>(what: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IN_RUN.get() {
                usual(info);
            }
        }));
    });
    let before = IN_RUN.replace(true);
    let result = what();
    IN_RUN.set(before);
    result
}
