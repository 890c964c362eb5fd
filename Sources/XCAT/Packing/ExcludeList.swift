// xCAT's exlist: the entries of a root tree that packimage leaves out (packimage.pm;
// docs/xcat-contract.md#exlist-patterns).
//
// 1. xCAT makes two commands of the lists: `find . -xdev '!' -path 'P1' -a '!' -path 'P2' …` and, from
//    the lines that begin with '+', `find . -xdev -path 'I1' -o …`, whose output is appended. An entry
//    is kept if no exclude pattern matches it, or an include pattern does; the order does not matter.
// 2. Each entry is decided by its own path: excluding a directory keeps its content, and including a file
//    does not include its directories.
// 3. The text of an included list replaces the tag within its line. An include that xCAT would ignore,
//    or follow without end, is an error here.
// 4. A quote in a pattern is an ordinary byte; in xCAT it breaks the shell's command line.

import Platform

/// The parsed lists of one image.
public struct ExcludeList: Sendable {
  static let maxDepth = 64
  static let maxBytes = 16 << 20
  /// The limit of files read for one list of the image; a file that is included twice counts twice.
  static let maxReads = 4096

  /// The patterns that packimage always excludes.
  public static let always = [
    "./etc/init.d/statelite", "./etc/rc.sysinit.backup", "./.statelite*", "./.default*",
    "./.statebackup*",
  ]

  /// The patterns without '-' and '+', in their order.
  public private(set) var excludes: [[UInt8]] = []
  /// The patterns of lines with '+', in their order.
  public private(set) var includes: [[UInt8]] = []
  private var excluding: PatternSet
  private var including = PatternSet()

  /// Creates a list that excludes only `always`.
  public init(always: [String] = ExcludeList.always) {
    excluding = PatternSet(always.map { BytePattern(Array($0.utf8)) })
  }

  /// Reads lists and their includes.
  /// - Parameters:
  ///   - files: linuximage.exlist, in its order.
  ///   - always: patterns that are excluded in addition to the lists.
  ///   - read: returns the content of a file; nil if it does not exist.
  /// - Throws: `XCATError`: a list is missing or unreadable, includes itself, or is too long.
  public static func parse(
    files: [AbsolutePath], always: [String] = ExcludeList.always,
    read: (AbsolutePath) throws -> [UInt8]?
  ) throws(XCATError) -> ExcludeList {
    var result = ExcludeList(always: always)
    for file in files {
      var expander = IncludeExpander(directory: file.parent)
      for line in try expander.text(of: [file], read).split(separator: UInt8(ascii: "\n")) {
        result.add(line)
      }
    }
    return result
  }

  /// Returns whether an entry stays in the packed image.
  /// - Parameter path: relative to the root tree as find writes it: ".", "./usr/share/man".
  public func keeps(_ path: [UInt8]) -> Bool {
    !excluding.matches(path) || including.matches(path)
  }

  /// Returns this list with additional include patterns. xCAT adds the site's time zone file, and the
  /// file that it links to, to every exlist ("./usr/share/zoneinfo/Europe/Berlin").
  public func addingIncludes(_ patterns: [[UInt8]]) -> ExcludeList {
    var result = self
    for pattern in patterns { result.include(pattern) }
    return result
  }

  /// The patterns that probably have no effect, in the order of the lists. They do not begin with "."
  /// or a wildcard or end in "/", so no path of find matches them; or they end in a blank, which is
  /// part of the name for xCAT (as in a file with CRLF line ends).
  public var doubtful: [[UInt8]] {
    (excludes + includes).filter { pattern in
      guard let first = pattern.first, let last = pattern.last else { return true }
      let beginnings = Array(".*?[\\".utf8)
      return !beginnings.contains(first) || last == UInt8(ascii: "/") || isBlank(last)
    }
  }

  // MARK: Lines

  private mutating func add(_ line: ArraySlice<UInt8>) {
    var line = line
    if let hash = line.firstIndex(of: UInt8(ascii: "#")) {
      line = line[..<hash]
      while let last = line.last, isBlank(last) { line.removeLast() }
    }
    if line.allSatisfy(isBlank) { return }
    switch line.first {
    case UInt8(ascii: "+"): include(Array(line.dropFirst()))
    case UInt8(ascii: "-"): exclude(Array(line.dropFirst()))
    default: exclude(Array(line))
    }
  }

  private mutating func include(_ pattern: [UInt8]) {
    includes.append(pattern)
    including.insert(BytePattern(pattern))
  }

  private mutating func exclude(_ pattern: [UInt8]) {
    excludes.append(pattern)
    excluding.insert(BytePattern(pattern))
  }
}

extension ExcludeList {
  /// Replaces tags by the text of included files.
  private struct IncludeExpander {
    /// The directory that relative names are relative to.
    let directory: AbsolutePath
    private var bytes = 0
    private var reads = 0

    init(directory: AbsolutePath) { self.directory = directory }

    /// Returns the expanded text of a file.
    /// - Parameter chain: the files from the top one to that file.
    mutating func text(
      of chain: [AbsolutePath], _ read: (AbsolutePath) throws -> [UInt8]?
    ) throws(XCATError) -> [UInt8] {
      guard let file = chain.last else { return [] }
      let text = try content(of: chain, read)
      var result: [UInt8] = []
      var copied = 0
      for tag in IncludeTags.find(in: text, openings: ListDialect.excludes.openings) {
        guard let target = IncludeTags.resolve(tag.name, from: directory) else {
          throw XCATError(
            "exlist \(file.text)", "includes '\(printable(tag.name))', which cannot be a path",
            hint: "Name the file by its absolute path")
        }
        let included = try self.text(of: chain + [target], read)
        result += text[copied..<tag.range.lowerBound] + ExcludeList.normalized(included)
        copied = tag.range.upperBound
      }
      return result + text[copied...]
    }

    private mutating func content(
      of chain: [AbsolutePath], _ read: (AbsolutePath) throws -> [UInt8]?
    ) throws(XCATError) -> [UInt8] {
      guard let file = chain.last else { return [] }
      let object = "exlist \(file.text)"
      if let start = chain.dropLast().firstIndex(of: file) {
        throw XCATError(
          object, "includes itself: " + chain[start...].map(\.text).joined(separator: " -> "),
          hint: "Remove one of these #INCLUDE lines; xCAT's packimage would never end")
      }
      let includer = chain.count == 1 ? "" : " (included by \(chain[chain.count - 2].text))"
      let text: [UInt8]?
      do {
        text = try read(file)
      } catch {
        let explained = error as? any ExplainedError
        throw XCATError(
          object, "cannot be read\(includer): \(explained?.reason ?? "\(error)")",
          hint: explained?.hint ?? "")
      }
      guard let text else {
        throw XCATError(
          object, "does not exist\(includer), and without it too much would be packed",
          hint: "Restore the file, or remove its name")
      }
      let (total, isOver) = bytes.addingReportingOverflow(text.count)
      guard !isOver, total <= ExcludeList.maxBytes, chain.count <= ExcludeList.maxDepth,
        reads < ExcludeList.maxReads
      else {
        throw XCATError(
          object,
          "has, with its includes, more than \(ExcludeList.maxBytes) bytes or "
            + "\(ExcludeList.maxReads) files, or includes go deeper than \(ExcludeList.maxDepth)",
          hint: "Check whether a list is included repeatedly")
      }
      bytes = total
      reads += 1
      return text
    }
  }

  /// Returns the lines of an included file as packimage takes them: without blank lines, blanks at
  /// line ends, and the last line end.
  private static func normalized(_ text: [UInt8]) -> [UInt8] {
    let newline = UInt8(ascii: "\n")
    let lines = text.split(separator: newline).compactMap { line in
      var line = line
      while let last = line.last, isBlank(last) { line.removeLast() }
      return line.isEmpty ? nil : line
    }
    return Array(lines.joined(separator: [newline]))
  }
}
