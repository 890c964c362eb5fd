// The snapshot and the entry that REF[:PATH] names, for the commands that look inside a snapshot.

import Images
import Platform

/// A snapshot and a path inside it, as REF[:PATH] names them.
struct ResolvedReference {
  let reader: SnapshotReader
  let found: FoundEntry
  /// The path as it was written: what is shown below begins with it, and can be given back.
  let spelling: String

  /// - Parameter path: in place of the reference's own.
  init(_ workspace: Workspace, _ text: String, path: String? = nil, followLast: Bool = true) throws
  {
    let reference = try PathReference(text, path: path)
    var spelling = reference.path ?? ""
    while spelling.count > 1, spelling.hasSuffix("/") { spelling.removeLast() }
    reader = try workspace.reader(of: try workspace.find(reference.snapshot))
    found = try reader.require(spelling, followLast: followLast)
    self.spelling = spelling
  }

  /// How an entry below is written.
  func spell(_ entry: FoundEntry) -> String {
    let below = entry.path.dropFirst(found.path.count)
    if below.isEmpty { return spelling.isEmpty ? "." : spelling }
    if spelling.isEmpty || spelling == "/" { return spelling + printable(below.dropFirst()) }
    return spelling + printable(below)
  }
}
