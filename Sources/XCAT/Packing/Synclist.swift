// xCAT's synclists: the files of the management node that they send to nodes and images
// (docs/xcat-contract.md#synclists).
//
// Format: DSHCLI.pm `parse_rsync_input_file_on_MN`, and "The Format of synclist file" of xCAT's
// documentation. One entry per line, "source… -> target" or "source… -> (noderange) target", with
// blanks around the arrow (" -> "). A line with EXECUTE:, EXECUTEALWAYS:, APPEND: or MERGE: begins a
// clause that lasts until the next one. '#' begins a comment in the first column only.

/// A parsed synclist.
public struct Synclist: Sendable, Hashable {
  /// The clauses, by keyword.
  public enum Clause: String, Sendable, CaseIterable {
    case execute = "EXECUTE:"
    case executeAlways = "EXECUTEALWAYS:"
    case append = "APPEND:"
    case merge = "MERGE:"
  }

  /// A path of the management node that the list names; it may contain shell wildcards.
  public struct Source: Sendable, Hashable {
    public let path: [UInt8]
    /// The clause of the line; nil for the plain entries.
    public let clause: Clause?
    /// The line number, from 1.
    public let line: Int
  }

  /// The sources, in their order.
  public private(set) var sources: [Source] = []
  /// The numbers of the lines that xCAT ignores silently.
  public private(set) var ignoredLines: [Int] = []

  /// Parses the content of a synclist; `variables` are those of osimage.environvar.
  public init(_ text: [UInt8], variables: [String: String] = [:]) {
    var clause: Clause?
    let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      if line.first == UInt8(ascii: "#") || line.allSatisfy(isBlank) { continue }
      let line = IncludeTags.substituting(Array(line), variables)
      if let begun = Synclist.clause(begunBy: line) {
        clause = begun
        continue
      }
      let paths: [[UInt8]]
      switch clause {
      case .execute, .executeAlways: paths = [trimmed(line)]
      case .append, .merge, nil: paths = Synclist.paths(beforeArrowIn: line)
      }
      if paths.isEmpty { ignoredLines.append(index + 1) }
      sources += paths.map { Source(path: $0, clause: clause, line: index + 1) }
    }
  }

  private static func clause(begunBy line: [UInt8]) -> Clause? {
    // "EXECUTE:" is not part of another keyword, so the order does not matter.
    Clause.allCases.first { line.firstRange(of: Array($0.rawValue.utf8)) != nil }
  }

  private static func paths(beforeArrowIn line: [UInt8]) -> [[UInt8]] {
    // The last arrow counts: xCAT's pattern is greedy. Text must follow it.
    let arrow = Array(" -> ".utf8)
    guard line.count > arrow.count,
      let at = (0..<line.count - arrow.count).last(where: { line[$0...].starts(with: arrow) })
    else { return [] }
    return line[..<at].split(whereSeparator: isBlank).map(Array.init)
  }
}
