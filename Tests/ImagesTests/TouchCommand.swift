// A command that changes live images, as a program that uses the library would write one: it gives files of the root tree
// a new time. It has no line about interruptions, resuming or undoing: these come with `Workspace.edit`.

import Images
import Platform
import Store

extension Workspace {
  /// Gives files of an image's root tree a new time.
  /// - Returns: the snapshot of the changed tree; nil if all files have that time already.
  @discardableResult
  func touch(_ files: [String], of image: String, time: Timestamp = now()) throws
    -> CommittedSnapshot?
  {
    try edit(
      image, message: "touch of \(files.joined(separator: ", "))", command: RecordedCommand("touch")
    ) {
      tree in
      for file in files {
        guard let path = RelativePath(written: file.utf8), let entry = try tree.find(path) else {
          throw TouchError(file: file)
        }
        try tree.change { $0.put(path, .touched(entry, time)) }
      }
    }
  }
}

/// A file that does not exist.
struct TouchError: Error {
  let file: String
}
