// Checks the exclude patterns of a command line. A pattern that can exclude nothing is most likely a mistake.

import Platform

/// Checks exclude patterns for mistakes.
struct PatternChecks: Collaborator {
  let context: Context

  /// Checks that each pattern can exclude something.
  /// - Throws: `ImageError` (`invalidPattern`) for a pattern that cannot.
  func requireUsefulPatterns(_ lines: [String], _ directory: AbsolutePath) throws {
    for line in lines {
      func refuse(_ reason: String, _ hint: String) -> ImageError {
        ImageError(
          .invalidPattern, "--exclude '\(printable(line.utf8.prefix(255)))'", reason, hint: hint)
      }
      let text = line.drop { $0 == "!" }
      if text.allSatisfy({ $0 == " " }) {
        throw refuse("is empty", "Give a pattern, or --no-excludes to exclude nothing")
      }
      if text.first == "#", line.first != "!" {
        throw refuse("is a comment", "Write '\\#…' for a name that begins with '#'")
      }
      if let problem = ExcludePattern.bracketProblem(Array(text.utf8)) {
        throw refuse(problem, "Write '\\[' for a literal bracket")
      }
      let top = directory.text
      guard text.hasPrefix(top + "/") || text == top,
        try ImageCapturer(context).statLive(
          AbsolutePath(components: directory.components + directory.components)) == nil
      else { continue }
      let inside = text.dropFirst(top.count)
      throw refuse(
        "names a path of this machine, but patterns begin at the top of the tree",
        inside.count > 1 ? "Write '\(inside)'" : "The whole tree cannot be excluded")
    }
  }

  /// Returns the patterns that match no present entry of a directory.
  func unmatchedPatterns(_ lines: [String], in directory: AbsolutePath) throws -> [String] {
    var search = PatternSearch(context.fileSystem)
    for line in lines {
      if let pattern = try? ExcludePattern(line), !pattern.isNegated {
        search.unmatched.append(pattern)
      }
    }
    let resolved = try context.resolver.resolve(directory)
    let top = try context.fileSystem.openDirectory(at: resolved.directory.raw, resolved.name)
    try search.scan(top, device: context.fileSystem.stat(top.raw).device, [])
    return search.unmatched.map(\.text)
  }
}

/// Searches a directory for matches until each pattern has one.
private struct PatternSearch {
  private let fileSystem: any FileSystem
  /// The patterns without a match so far.
  var unmatched: [ExcludePattern] = []
  /// The maximum depth of the search. Each level keeps a directory open.
  private static let maxDepth = 100

  init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

  /// Searches a directory and its subdirectories on one device.
  /// - Parameter path: the path of the directory below the top of the tree.
  mutating func scan(_ directory: Descriptor, device: UInt64, _ path: [[UInt8]]) throws {
    for name in try fileSystem.names(of: directory.raw) {
      if unmatched.isEmpty { return }
      guard let stat = try fileSystem.statIfPresent(at: directory.raw, name) else { continue }
      let inside = path + [name]
      let isDirectory = stat.kind == .directory
      unmatched.removeAll { $0.matches(inside.map { $0[...] }, isDirectory: isDirectory) }
      guard isDirectory, stat.device == device, inside.count < PatternSearch.maxDepth,
        let child = try? fileSystem.openDirectory(at: directory.raw, name)
      else { continue }
      try scan(child, device: device, inside)
    }
  }
}

extension ExcludePattern {
  /// Returns the fault of the first invalid bracket expression of a pattern; nil if all are valid.
  static func bracketProblem(_ bytes: [UInt8]) -> String? {
    var offset = 0
    while offset < bytes.count {
      let byte = bytes[offset]
      offset += byte == UInt8(ascii: "\\") ? 2 : 1
      guard byte == UInt8(ascii: "[") else { continue }
      switch BracketExpression.read(bytes, from: offset) {
      case .ordinary: return "has a '[' without its ']'"
      case .set(let set, let end):
        if set == ByteSet() { return "has a bracket that matches no character" }
        offset = end
      }
    }
    return nil
  }
}
