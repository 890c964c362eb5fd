// What is asked of the patterns of a command line before they become an image's: what leaves out nothing is most
// likely a mistake.

import Ingest
import Platform
import Store
import XCAT

extension Workspace {
  /// - Throws: `ImageError` for a pattern that can leave out nothing.
  func requireUsefulPatterns(_ lines: [String], _ directory: AbsolutePath) throws {
    for line in lines {
      func refuse(_ finding: String, _ advice: String) -> ImageError {
        ImageError(
          .usage, "--exclude '\(printable(line.utf8.prefix(255)))'", finding, advice: advice)
      }
      let text = line.drop { $0 == "!" }
      if text.allSatisfy({ $0 == " " }) {
        throw refuse("is empty", "Give a pattern, or --no-excludes to leave out nothing")
      }
      if text.first == "#", line.first != "!" {
        throw refuse("is a comment", "Write '\\#…' for a name that begins with '#'")
      }
      if let problem = ExcludePattern.bracketProblem(Array(text.utf8)) {
        throw refuse(problem, "Write '\\[' for a bracket that stands for itself")
      }
      let top = directory.text
      guard text.hasPrefix(top + "/") || text == top,
        try statLive(AbsolutePath(components: directory.components + directory.components)) == nil
      else { continue }
      let inside = text.dropFirst(top.count)
      throw refuse(
        "names a path of this machine, and patterns begin at the top of the tree",
        inside.count > 1 ? "Write '\(inside)'" : "The whole tree cannot be left out")
    }
  }

  /// The patterns that match nothing in a directory as it is now.
  func unmatchedPatterns(_ lines: [String], in directory: AbsolutePath) throws -> [String] {
    var search = PatternSearch(fileSystem)
    for line in lines {
      if let pattern = try? ExcludePattern(line), !pattern.isNegated {
        search.unmatched.append(pattern)
      }
    }
    let place = try resolver.resolve(directory)
    let top = try fileSystem.openDirectory(at: place.directory.raw, place.name)
    try search.look(in: top, device: fileSystem.stat(top.raw).device, [])
    return search.unmatched.map(\.text)
  }
}

/// Looks for what patterns match, until each has matched something.
private struct PatternSearch {
  private let fileSystem: any FileSystem
  var unmatched: [ExcludePattern] = []
  /// Each level keeps a directory open.
  private static let maxDepth = 100

  init(_ fileSystem: any FileSystem) { self.fileSystem = fileSystem }

  /// - Parameter path: of the directory, below the top of the tree.
  mutating func look(in directory: Descriptor, device: UInt64, _ path: [[UInt8]]) throws {
    for name in try fileSystem.names(of: directory.raw) {
      if unmatched.isEmpty { return }
      guard let stat = try fileSystem.statIfPresent(at: directory.raw, name) else { continue }
      let inside = path + [name]
      let isDirectory = stat.kind == .directory
      unmatched.removeAll { $0.matches(inside.map { $0[...] }, isDirectory: isDirectory) }
      guard isDirectory, stat.device == device, inside.count < PatternSearch.maxDepth,
        let child = try? fileSystem.openDirectory(at: directory.raw, name)
      else { continue }
      try look(in: child, device: device, inside)
    }
  }
}

extension ExcludePattern {
  /// What is wrong with the bracket expressions of a pattern; nil where nothing is.
  static func bracketProblem(_ bytes: [UInt8]) -> String? {
    var at = 0
    while at < bytes.count {
      let byte = bytes[at]
      at += byte == UInt8(ascii: "\\") ? 2 : 1
      guard byte == UInt8(ascii: "[") else { continue }
      switch BracketExpression.read(bytes, from: at) {
      case .ordinary: return "has a '[' without its ']'"
      case .set(let set, let end):
        if set == ByteSet() { return "has a bracket that no character fits" }
        at = end
      }
    }
    return nil
  }
}
