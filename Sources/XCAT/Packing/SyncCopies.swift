// What a synclist puts into a root image (DSHCLI.pm `rsync_to_image`, `xdcp -i ROOTIMG -F LIST`).
//
// 1. Only the plain entries count, up to the first clause (EXECUTE:, APPEND:, MERGE: …); entries for a
//    range of nodes are for nodes, and are passed over.
// 2. `rsync -L` decides where things go: into the target where that is a folder, ends in "/", or several
//    files are sent; a source that ends in "/" is a folder's content.
// 3. Wildcards are expanded as a shell does it, on the management node.

import Platform

/// An entry of a synclist, for an image.
public struct SyncCopy: Sendable, Hashable {
  public struct Source: Sendable, Hashable {
    public let path: AbsolutePath
    /// It is a folder's content that is meant, not the folder.
    public let isContent: Bool
  }

  public let sources: [Source]
  /// The place in the image; components are clean.
  public let target: AbsolutePath
  /// The target is a folder, whether it is there yet or not.
  public let isFolder: Bool
  /// Counted from 1.
  public let line: Int
}

/// What a synclist means for an image.
public struct SyncCopies: Sendable {
  public private(set) var copies: [SyncCopy] = []
  /// Lines that cannot be followed, and why.
  public private(set) var problems: [String] = []
  /// Numbers of lines that are for nodes, not for images.
  public private(set) var nodeLines: [Int] = []
  /// The list ends at a clause, whose line this is.
  public private(set) var endLine: Int?

  /// Reads a synclist.
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
    // The last arrow counts: xCAT's pattern is greedy. Something must stand on both sides.
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
      problems.append("line \(number) has no arrow between blanks, and is passed over")
      return
    }
    let wanted = after.filter { !isBlank($0) && $0 != UInt8(ascii: ";") }
    guard let target = AbsolutePath(wanted) else {
      problems.append("line \(number): '\(printable(wanted))' is not a clean absolute path")
      return
    }
    var sources: [SyncCopy.Source] = []
    for word in before.split(whereSeparator: isBlank).map(Array.init) {
      let found = try SyncCopies.expand(word, view)
      if found.isEmpty { problems.append("line \(number): \(printable(word)) is not there") }
      sources += found.map { SyncCopy.Source(path: $0, isContent: word.last == 0x2f) }
    }
    let isFolder =
      try wanted.last == 0x2f || sources.count > 1 || view.kind(target) == .directory
    if !sources.isEmpty {
      copies.append(
        SyncCopy(sources: sources, target: target, isFolder: isFolder, line: number))
    }
  }

  /// What is there of a name with wildcards: '*' stays within a component, and a leading '.' is
  /// matched by a '.' only.
  private static func expand(_ word: [UInt8], _ view: FileProvider) throws -> [AbsolutePath] {
    guard let path = AbsolutePath(word) else { return [] }
    var found = [AbsolutePath(components: [])]
    for component in path.components {
      let pattern = BytePattern(component)
      if pattern.isLiteral {
        found = found.map { AbsolutePath(components: $0.components + [component]) }
        continue
      }
      let dot = UInt8(ascii: ".")
      found = try found.flatMap { folder -> [AbsolutePath] in
        guard try view.kind(folder) == .directory else { return [] }
        return try view.list(folder)
          .filter { ($0.first != dot || component.first == dot) && pattern.matches($0) }
          .sorted { $0.lexicographicallyPrecedes($1) }
          .map { AbsolutePath(components: folder.components + [$0]) }
      }
    }
    return try found.filter { try view.kind($0) != .absent }
  }
}
