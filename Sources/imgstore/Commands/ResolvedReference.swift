// The snapshot and the entry that REF[:PATH] names, for the commands that look inside a snapshot.

import Images

/// A snapshot and an entry inside it, as REF[:PATH] names them.
struct ResolvedReference {
  let reader: SnapshotReader
  /// The entry that the path leads to.
  let found: LocatedEntry
  /// The path as the caller wrote it. Printed paths begin with it, so that they can be used as arguments.
  let spelling: String

  /// Finds the entry.
  /// - Parameters:
  ///   - path: The path, if it is an argument of its own; it replaces the path of the reference.
  ///   - followLast: Whether a link at the end of the path is followed.
  /// - Throws: `ImageError` (`.usage`, `.notFound`), `StoreError`.
  init(_ workspace: Workspace, _ text: String, path: String? = nil, followLast: Bool = true) throws
  {
    let reference = try PathReference(text, path: path)
    var spelling = reference.path ?? ""
    while spelling.count > 1, spelling.hasSuffix("/") { spelling.removeLast() }
    reader = try workspace.reader(of: try workspace.find(reference.snapshot))
    found = try reader.require(spelling, followLast: followLast)
    self.spelling = spelling
  }

  /// Returns the path of an entry below `found`, in the caller's spelling.
  func spell(_ entry: LocatedEntry) -> String {
    let below = entry.path.dropFirst(found.path.count)
    if below.isEmpty { return spelling.isEmpty ? "." : spelling }
    if spelling.isEmpty || spelling == "/" { return spelling + printable(below.dropFirst()) }
    return spelling + printable(below)
  }
}
