// What an incomplete snapshot lacks, so that whatever is made of it lacks it too: every command that
// makes something of a snapshot names it, each time.

import Store

extension Snapshot {
  /// Returns the notes on what the snapshot does not have as it was, in the order of their paths.
  /// - Parameter path: only what is there or below; everything without it.
  func gaps(below path: [UInt8] = []) -> [Note] {
    notes.filter { note in
      note.isProblem && note.kind != .noImageFiles
        && (path.isEmpty || note.path == path || note.path.starts(with: path + [0x2f]))
    }
  }
}
