// xCAT's exlist: which entries of a root tree packimage leaves out (packimage.pm).
//
// 1. xCAT makes two commands of the lists: `find . -xdev '!' -path 'P1' -a '!' -path 'P2' …` and, of the
//    lines that begin with '+', `find . -xdev -path 'I1' -o …`, whose output is added. An entry is
//    kept if no exclude pattern matches it, or an include pattern does; order does not matter.
// 2. Each entry is decided by its own path: excluding a folder keeps what is in it, and including a
//    file does not include its folders.
// 3. What a list includes replaces the tag within its line, as text. An include that xCAT would
//    pass over in silence, or follow without end, is an error here.
// 4. A quote in a pattern is a byte like others; in xCAT it breaks the shell's command line.

import Platform

/// The lists of one image, read.
public struct ExcludeList: Sendable {
  static let maxDepth = 64
  static let maxBytes = 16 << 20
  /// Files read for one list of the image; one that is included twice counts twice.
  static let maxReads = 4096

  /// What packimage leaves out of every image.
  public static let always = [
    "./etc/init.d/statelite", "./etc/rc.sysinit.backup", "./.statelite*", "./.default*",
    "./.statebackup*",
  ]

  /// As the lists write them, without '-' and '+', in their order.
  public private(set) var excludes: [[UInt8]] = []
  public private(set) var includes: [[UInt8]] = []
  private var excluding: PatternSet
  private var including = PatternSet()

  /// No lists: all is kept but `always`.
  public init(always: [String] = ExcludeList.always) {
    excluding = PatternSet(always.map { BytePattern(Array($0.utf8)) })
  }

  /// Reads lists and what they include.
  /// - Parameters:
  ///   - files: linuximage.exlist, in its order.
  ///   - always: what is left out whatever the lists say.
  ///   - read: the content of a file; nil where there is none.
  /// - Throws: `XCATError`: a list is missing or unreadable, includes itself, or is too long.
  public static func parse(
    files: [AbsolutePath], always: [String] = ExcludeList.always,
    read: (AbsolutePath) throws -> [UInt8]?
  ) throws(XCATError) -> ExcludeList {
    var result = ExcludeList(always: always)
    for file in files {
      var expander = Expander(folder: file.parent)
      for line in try expander.text(of: [file], read).split(separator: UInt8(ascii: "\n")) {
        result.add(line)
      }
    }
    return result
  }

  /// Whether an entry stays in the packed image.
  /// - Parameter path: relative to the root tree as find writes it: ".", "./usr/share/man".
  public func keeps(_ path: [UInt8]) -> Bool {
    !excluding.matches(path) || including.matches(path)
  }

  /// This list with further include patterns: xCAT adds the site's time zone file, and the file that
  /// it links to, to every exlist ("./usr/share/zoneinfo/Europe/Berlin").
  public func addingIncludes(_ patterns: [[UInt8]]) -> ExcludeList {
    var result = self
    for pattern in patterns { result.include(pattern) }
    return result
  }

  /// Patterns that hardly mean what they say, in the order of the lists: those that no path of find's
  /// matches (they do not begin with "." or a wildcard, or end in "/"), and those that end in a
  /// blank, which xCAT takes as a part of the name (as in a file with CRLF line ends).
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
  /// Puts the text of included files in the place of their tags.
  private struct Expander {
    /// Relative names are meant from here.
    let folder: AbsolutePath
    private var bytes = 0
    private var reads = 0

    init(folder: AbsolutePath) { self.folder = folder }

    /// - Parameter chain: the files from the top one to the one wanted.
    mutating func text(
      of chain: [AbsolutePath], _ read: (AbsolutePath) throws -> [UInt8]?
    ) throws(XCATError) -> [UInt8] {
      guard let file = chain.last else { return [] }
      let text = try content(of: chain, read)
      var result: [UInt8] = []
      var copied = 0
      for tag in IncludeTags.find(in: text, openings: ListDialect.excludes.openings) {
        guard let target = IncludeTags.resolve(tag.name, from: folder) else {
          throw XCATError(
            "exlist \(file.text)", "it includes '\(printable(tag.name))', which can be no path",
            advice: "Name the file by its absolute path")
        }
        let included = try self.text(of: chain + [target], read)
        result += text[copied..<tag.range.lowerBound] + ExcludeList.tidied(included)
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
          object, "it includes itself: " + chain[start...].map(\.text).joined(separator: " -> "),
          advice: "Take one of these #INCLUDE lines out; xCAT's packimage would never end")
      }
      let way = chain.count == 1 ? "" : ", included by \(chain[chain.count - 2].text),"
      let text: [UInt8]?
      do {
        text = try read(file)
      } catch {
        let explained = error as? any ExplainedError
        throw XCATError(
          object, "this list\(way) cannot be read: \(explained?.finding ?? "\(error)")",
          advice: explained?.advice ?? "")
      }
      guard let text else {
        throw XCATError(
          object, "this list\(way) is not there, and without it more would be packed than is meant",
          advice: "Put the file there, or take its name out")
      }
      let (total, isOver) = bytes.addingReportingOverflow(text.count)
      guard !isOver, total <= ExcludeList.maxBytes, chain.count <= ExcludeList.maxDepth,
        reads < ExcludeList.maxReads
      else {
        throw XCATError(
          object,
          "with what the image's list includes it is more than \(ExcludeList.maxBytes) bytes or "
            + "\(ExcludeList.maxReads) files, or includes go deeper than \(ExcludeList.maxDepth)",
          advice: "See whether one list is included again and again")
      }
      bytes = total
      reads += 1
      return text
    }
  }

  /// Lines of an included file as packimage takes them: no blank ones, none with blanks at the end,
  /// and no line end after the last.
  private static func tidied(_ text: [UInt8]) -> [UInt8] {
    let newline = UInt8(ascii: "\n")
    let lines = text.split(separator: newline).compactMap { line in
      var line = line
      while let last = line.last, isBlank(last) { line.removeLast() }
      return line.isEmpty ? nil : line
    }
    return Array(lines.joined(separator: [newline]))
  }
}
