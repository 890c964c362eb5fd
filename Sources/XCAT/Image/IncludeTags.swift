// `#INCLUDE:name#` in xCAT's lists: the tags in a text, and the files that they name
// (docs/xcat-contract.md#includes).
//
// 1. A tag is a match of xCAT's pattern `#INCLUDE:([^#^\n]+)#`: the name has no '#', '^' or line end.
// 2. A relative name is relative to the directory of the list that the image names (the top file),
//    however deep the including file is (imgutils.pm, packimage.pm, Template.pm).

import Platform

/// The rules by which a list is read; xCAT has three readers.
enum ListDialect: Sendable {
  /// exlist: tags anywhere, also in comments; no variables (packimage.pm `include_file`).
  case excludes
  /// pkglist and otherpkglist: comment lines are dropped first; `$NAME` and `${NAME}` in names
  /// (imgutils.pm `get_package_names`, Postage.pm `get_pkglist_tex`).
  case packages
  /// template and partition files: tags anywhere, in five spellings; `#ENV:NAME#` in the text and
  /// `$NAME` in names (Template.pm `subvars`).
  case template

  var openings: [String] {
    switch self {
    case .excludes, .packages: ["#INCLUDE:"]
    case .template:
      [
        "#INCLUDE:", "#INCLUDE_PKGLIST:", "#INCLUDE_PTRNLIST:", "#INCLUDE_RMPKGLIST:",
        "#INCLUDE_NOP:",
      ]
    }
  }
}

/// A tag in a text.
struct IncludeTag {
  /// The range from the opening '#' to the closing one.
  let range: Range<Int>
  let name: [UInt8]
}

enum IncludeTags {
  private static let hash = UInt8(ascii: "#")
  private static let newline = UInt8(ascii: "\n")

  /// Returns the tags of a text, left to right.
  static func find(in text: [UInt8], openings: [String]) -> [IncludeTag] {
    let openings = openings.map { Array($0.utf8) }
    var tags: [IncludeTag] = []
    var start = 0
    while let at = text[start...].firstIndex(of: hash) {
      start = at + 1
      guard let opening = openings.first(where: { text[at...].starts(with: $0) }) else { continue }
      let nameStart = at + opening.count
      guard let end = text[nameStart...].firstIndex(where: { $0 == hash || $0 == newline }),
        text[end] == hash, end > nameStart, !text[nameStart..<end].contains(UInt8(ascii: "^"))
      else { continue }
      tags.append(IncludeTag(range: at..<end + 1, name: Array(text[nameStart..<end])))
      start = end + 1
    }
    return tags
  }

  /// Returns the includes of a text in a dialect.
  /// - Returns: the names with known variables replaced, and the lines whose include depends on a
  ///   value that is known only when a node is installed (`#ENV:…#`).
  static func includes(
    in text: [UInt8], _ dialect: ListDialect, variables: [String: String]
  ) -> (names: [[UInt8]], unresolvedLines: [[UInt8]]) {
    switch dialect {
    case .excludes:
      return (find(in: text, openings: dialect.openings).map(\.name), [])
    case .packages:
      let tags = find(in: withoutComments(text), openings: dialect.openings)
      return (tags.map { substituting($0.name, variables) }, [])
    case .template:
      var names: [[UInt8]] = []
      var unresolvedLines: [[UInt8]] = []
      for line in substitutingEnvironment(text, variables).split(separator: newline) {
        if isUnresolved(line) {
          unresolvedLines.append(trimmed(line))
        } else {
          let tags = find(in: Array(line), openings: dialect.openings)
          names += tags.map { substituting($0.name, variables) }
        }
      }
      return (names, unresolvedLines)
    }
  }

  /// Returns whether a variable of a node follows an include, and so may be part of its name.
  private static func isUnresolved(_ line: ArraySlice<UInt8>) -> Bool {
    guard let include = line.firstRange(of: Array("#INCLUDE".utf8)) else { return false }
    return line[include.upperBound...].firstRange(of: Array("#ENV:".utf8)) != nil
  }

  /// Returns the path of a name relative to a directory; nil if it cannot be a path. ".." is resolved
  /// lexically.
  static func resolve(_ name: [UInt8], from directory: AbsolutePath) -> AbsolutePath? {
    var components = name.first == UInt8(ascii: "/") ? [] : directory.components
    for part in name.split(separator: UInt8(ascii: "/")) {
      switch Array(part) {
      case [0x2e]: continue
      case [0x2e, 0x2e]: _ = components.popLast()
      default: components.append(Array(part))
      }
    }
    return AbsolutePath(AbsolutePath(components: components).bytes)
  }

  // MARK: Variables

  /// Replaces `$NAME` and `${NAME}` if NAME is known; others stay (Utils.pm `varsubinline`).
  static func substituting(_ text: [UInt8], _ variables: [String: String]) -> [UInt8] {
    var result: [UInt8] = []
    var rest = text[...]
    while let dollar = rest.firstIndex(of: UInt8(ascii: "$")) {
      result += rest[..<dollar]
      let after = rest[(dollar + 1)...]
      let isBraced = after.first == UInt8(ascii: "{")
      let name = (isBraced ? after.dropFirst() : after).prefix(while: isWordByte)
      let isClosed = !isBraced || text[name.endIndex...].first == UInt8(ascii: "}")
      let value = variables[String(decoding: name, as: UTF8.self)]
      guard let value, isClosed else {
        result.append(text[dollar])
        rest = after
        continue
      }
      result += Array(value.utf8)
      rest = text[(name.endIndex + (isBraced ? 1 : 0))...]
    }
    return result + rest
  }

  /// Replaces `#ENV:NAME#` and `#ENV:$NAME#` if NAME is known; others stay.
  private static func substitutingEnvironment(
    _ text: [UInt8], _ variables: [String: String]
  ) -> [UInt8] {
    var result: [UInt8] = []
    var copied = 0
    for tag in find(in: text, openings: ["#ENV:"]) {
      let name = tag.name.first == UInt8(ascii: "$") ? tag.name.dropFirst() : tag.name[...]
      guard let value = variables[String(decoding: name, as: UTF8.self)] else { continue }
      result += text[copied..<tag.range.lowerBound] + Array(value.utf8)
      copied = tag.range.upperBound
    }
    return result + text[copied...]
  }

  private static func withoutComments(_ text: [UInt8]) -> [UInt8] {
    let opening = Array("#INCLUDE:".utf8)
    let lines = text.split(separator: newline).filter { line in
      let trimmed = line.drop(while: isBlank)
      return trimmed.first != hash || trimmed.starts(with: opening)
    }
    return Array(lines.joined(separator: [newline]))
  }
}

/// Returns whether a byte matches Perl's `\w`.
func isWordByte(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
    true
  default: false
  }
}

/// Returns whether a byte matches Perl's `\s`.
func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

/// Returns the bytes without blanks at both ends.
func trimmed(_ bytes: some BidirectionalCollection<UInt8>) -> [UInt8] {
  var rest = bytes.drop(while: isBlank)
  while let last = rest.last, isBlank(last) { rest = rest.dropLast() }
  return Array(rest)
}
