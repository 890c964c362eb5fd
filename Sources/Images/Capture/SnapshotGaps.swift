// Lists the entries that an incomplete snapshot lacks. Everything made from the snapshot lacks them too, so
// every command that uses a snapshot's content names them each time.

import Platform
import Store

extension Snapshot {
  /// Returns the notes on entries that the snapshot lacks or has only in part, in the order of their paths.
  /// - Parameter path: limits the notes to this path and those below it. Empty for no limit.
  func gaps(below path: [UInt8] = []) -> [Note] {
    notes.filter { note in
      note.isProblem && note.kind != .noImageFiles && (path.isEmpty || isInside(note.path, path))
    }
  }
}
