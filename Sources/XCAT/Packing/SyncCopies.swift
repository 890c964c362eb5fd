// The files that a synclist copies into a root image (DSHCLI.pm `rsync_to_image`,
// `xdcp -i ROOTIMG -F LIST`; docs/xcat-contract.md#synclists).
//
// 1. Only the plain entries count, up to the first clause (EXECUTE:, APPEND:, MERGE: …). Entries for a
//    range of nodes are skipped.
// 2. `rsync -L` determines the destination: inside the target if that is a directory, ends in "/", or
//    several files are sent. A source that ends in "/" is a directory's content.
// 3. Wildcards are expanded as by a shell on the management node.

import Platform

/// An entry of a synclist, for an image.
public struct SyncCopy: Sendable, Hashable {
  /// A file or directory to copy.
  public struct Source: Sendable, Hashable {
    public let path: AbsolutePath
    /// Whether the directory's content is meant, not the directory.
    public let isContent: Bool
  }

  public let sources: [Source]
  /// The path in the image; its components are clean.
  public let target: AbsolutePath
  /// Whether the target is a directory, existing or not.
  public let isDirectory: Bool
  /// The line number, from 1.
  public let line: Int
}

/// The effect of a synclist on an image.
public struct SyncCopies: Sendable {
  /// The entries to copy, in their order.
  public private(set) var copies: [SyncCopy] = []
  /// The lines that cannot be followed, with reasons.
  public private(set) var problems: [String] = []
  /// The numbers of lines for nodes, not for images.
  public private(set) var nodeLines: [Int] = []
  /// The number of the line whose clause ends the list.
  public private(set) var endLine: Int?

  /// Parses a synclist.
  /// - Parameters:
  ///   - variables: those of osimage.environvar.
  ///   - view: the management node's files.
  public init(_ text: [UInt8], variables: [String: String] = [:], in view: FileProvider) throws {
    let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      let number = index + 1
      if line.first == UInt8(ascii: "#") || line.allSatisfy(isBlank) { continue }
      if SyncCopies.isForNodes(Array(line)) {
        nodeLines.append(number)
        continue
      }
      let line = IncludeTags.substituting(Array(line), variables)
      if Synclist.Clause.allCases.contains(where: {
        line.firstRange(of: Array($0.rawValue.utf8)) != nil
      }) {
        endLine = number
        return
      }
      try read(line, number, view)
    }
  }

  private static let arrow = Array(" -> ".utf8)

  private static func split(_ line: [UInt8]) -> (before: ArraySlice<UInt8>, after: [UInt8])? {
    // The last arrow counts: xCAT's pattern is greedy. It needs text on both sides.
    guard line.count > arrow.count + 1,
      let at = (1..<line.count - arrow.count).last(where: { line[$0...].starts(with: arrow) })
    else { return nil }
    return (line[..<at], Array(line[(at + arrow.count)...]))
  }

  private static func isForNodes(_ line: [UInt8]) -> Bool {
    guard let after = split(line)?.after, after.first == UInt8(ascii: "("),
      let close = after.lastIndex(of: UInt8(ascii: ")"))
    else { return false }
    return close > 1 && close + 2 < after.count && after[close + 1] == 0x20
  }

  private mutating func read(_ line: [UInt8], _ number: Int, _ view: FileProvider) throws {
    guard let (before, after) = SyncCopies.split(line) else {
      problems.append("line \(number) has no arrow between blanks and is ignored")
      return
    }
    let targetBytes = after.filter { !isBlank($0) && $0 != UInt8(ascii: ";") }
    guard let target = AbsolutePath(targetBytes) else {
      problems.append("line \(number): '\(printable(targetBytes))' is not a clean absolute path")
      return
    }
    var sources: [SyncCopy.Source] = []
    for word in before.split(whereSeparator: isBlank).map(Array.init) {
      let paths = try SyncCopies.expand(word, view)
      if paths.isEmpty { problems.append("line \(number): \(printable(word)) does not exist") }
      sources += paths.map { SyncCopy.Source(path: $0, isContent: word.last == 0x2f) }
    }
    let isDirectory =
      try targetBytes.last == 0x2f || sources.count > 1 || view.kind(target) == .directory
    if !sources.isEmpty {
      copies.append(
        SyncCopy(sources: sources, target: target, isDirectory: isDirectory, line: number))
    }
  }

  /// Returns the existing paths that match a name with wildcards: '*' stays within a component, and
  /// only a '.' matches a leading '.'.
  private static func expand(_ word: [UInt8], _ view: FileProvider) throws -> [AbsolutePath] {
    guard let path = AbsolutePath(word) else { return [] }
    var paths = [AbsolutePath(components: [])]
    for component in path.components {
      let pattern = BytePattern(component)
      if pattern.isLiteral {
        paths = paths.map { AbsolutePath(components: $0.components + [component]) }
        continue
      }
      let dot = UInt8(ascii: ".")
      paths = try paths.flatMap { directory -> [AbsolutePath] in
        guard try view.kind(directory) == .directory else { return [] }
        return try view.list(directory)
          .filter { ($0.first != dot || component.first == dot) && pattern.matches($0) }
          .sorted { $0.lexicographicallyPrecedes($1) }
          .map { AbsolutePath(components: directory.components + [$0]) }
      }
    }
    return try paths.filter { try view.kind($0) != .absent }
  }
}
