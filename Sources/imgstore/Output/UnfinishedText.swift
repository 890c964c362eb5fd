// An unfinished change as a line.

import Images

/// Returns an unfinished change as a line, with hint: "a revert to compute@3 was begun 2026-11-28 12:30:00
/// by root and has not ended: 'imgstore resume compute' …".
func unfinishedText(_ change: UnfinishedChange) -> String {
  change.isRunning
    ? "\(change.description) is in progress"
    : "\(change.summary) and has not finished: \(change.hint)"
}
