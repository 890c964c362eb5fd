// The option --bind of `run`: a file or directory of this machine that the command sees in the tree.

import Platform

/// A parsed --bind: SRC, SRC:DST or SRC:DST:ro.
public struct BindArgument: Sendable, Equatable {
  /// The absolute path on this machine.
  let source: String
  /// The path in the tree.
  let target: AbsolutePath
  let isReadOnly: Bool

  /// Parses the value of the option. A relative source is below the working directory.
  /// - Throws: `ImageError` (`usage`) for another form.
  public init(_ text: String) throws {
    var parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let option = parts.count == 3 ? parts.removeLast() : nil
    let source = absolute(parts[0])
    guard !parts[0].isEmpty, parts.count <= 2, [nil, "ro", "rw"].contains(option),
      let target = AbsolutePath(parts.count == 2 ? parts[1] : source)
    else {
      throw ImageError(
        .usage, "bind '\(printable(text.utf8))'", "is not SRC, SRC:DST or SRC:DST:ro",
        hint: "DST is an absolute path in the tree, without '..'")
    }
    self.source = source
    self.target = target
    isReadOnly = option == "ro"
  }
}

/// The entry of this machine that a bind names, links followed.
struct BindSource {
  /// The path without links.
  let path: [UInt8]
  let identity: FileIdentity
  let isDirectory: Bool

  /// - Throws: `ImageError`: `pathNotFound` if it does not exist, `unsupported` if it is neither a directory nor a
  ///   file.
  init(_ files: any FileSystem, _ bind: BindArgument) throws {
    let subject = "bind source \(printable(bind.source.utf8))"
    let path = Array(bind.source.utf8)
    guard
      let stat = try files.statIfPresent(at: files.workingDirectory, path, followLink: true)
    else { throw ImageError(.pathNotFound, subject, "does not exist") }
    let file: Descriptor
    switch stat.kind {
    case .directory:
      file = try files.openDirectory(at: files.workingDirectory, path, followLink: true)
    case .file: file = try files.openFile(at: files.workingDirectory, path, [.read, .nonBlocking])
    default:
      throw ImageError(.unsupported, subject, "is neither a directory nor a regular file")
    }
    self.path = try files.readLink(
      at: files.workingDirectory, Array("/proc/self/fd/\(file.raw)".utf8))
    let opened = try files.stat(file.raw)
    identity = FileIdentity(opened)
    isDirectory = opened.kind == .directory
  }
}
