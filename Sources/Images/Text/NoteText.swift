// Notes and unfinished changes as lines.

import Platform
import Store

/// Returns a note as a line.
public func noteText(_ note: Snapshot.Note) -> String {
  let path = printable(note.path)
  switch note.kind {
  case .mountPoint: return "\(path): something is mounted there; its content is not included"
  case .unreadable:
    return "\(path): could not be read\(note.detail.isEmpty ? "" : " (\(note.detail))")"
  case .changedWhileRead: return "\(path): kept changing while it was read"
  case .vanished: return "\(path): disappeared before it could be read"
  case .absent: return "\(path): does not exist (\(note.detail))"
  case .attributesLost: return "\(path): attributes of the archive were lost: \(note.detail)"
  case .noImageFiles:
    return "\(path): there is no tree, kernel or packed image"
      + (note.detail.isEmpty ? "; is its file system mounted?" : " (\(note.detail))")
  case .ownFiles: return "\(path): belongs to imgstore (\(note.detail)); it is not included"
  case .subvolume: return "\(path): a btrfs subvolume, stored as a directory"
  case .subvolumeSnapshot:
    return "\(path): a read-only snapshot of another btrfs subvolume; it is not included"
  case .excluded: return "\(path): left out by the pattern '\(printable(note.detail.utf8))'"
  case .mountedFolder: return "\(path): a file system is mounted there"
  case .unknownMounts:
    return "\(path): cannot tell what is mounted below (\(note.detail))"
  }
}

/// Returns an unfinished change as a line, with hint: "a revert to compute@3 was begun 2026-11-28 12:30:00
/// by root and has not ended: 'imgstore resume compute' …".
public func unfinishedText(_ change: UnfinishedChange) -> String {
  change.isRunning
    ? "\(change.description) is in progress"
    : "\(change.summary) and has not finished: \(change.hint)"
}
