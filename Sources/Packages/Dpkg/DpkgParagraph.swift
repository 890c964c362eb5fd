// One paragraph of dpkg's status file (deb822(5), deb-control(5)), with the fields used here.

import Platform

/// A package as dpkg's database describes it.
struct DpkgParagraph: Sendable {
  static let configFiles = Array("config-files".utf8)
  private static let notInstalled = Array("not-installed".utf8)

  var name: [UInt8] = []
  var version: [UInt8] = []
  var architecture: [UInt8] = []
  var isMultiArchSame = false
  /// The last word of `Status`; empty if the field is absent.
  var state: [UInt8] = []
  var configuration: [[UInt8]: [UInt8]?] = [:]
  /// Whether the paragraph has a field, known or not.
  var hasFields = false
  /// The file of `status.d` with the paragraph; nil for one of the status file.
  var bareFile: [UInt8]?

  var isListed: Bool { !name.isEmpty && !state.isEmpty && state != DpkgParagraph.notInstalled }

  /// The reason that dpkg-query refuses the paragraph; nil for a valid one.
  var defect: String? {
    if name.isEmpty { return "a paragraph names no package" }
    if state.isEmpty { return "the paragraph of \(printable(name)) has no status" }
    if version.isEmpty, isListed, state != DpkgParagraph.configFiles {
      return "the paragraph of \(printable(name)) has no version"
    }
    return nil
  }

  var packageState: Package.State {
    switch String(decoding: state, as: UTF8.self) {
    case "half-installed": .halfInstalled
    case "unpacked": .unpacked
    case "half-configured": .halfConfigured
    default: .installed
    }
  }

  func needsArchitecture(native: [UInt8]) -> Bool {
    if architecture.isEmpty { return false }
    return isMultiArchSame || (architecture != native && architecture != Array("all".utf8))
  }

  /// Calls `body` with each paragraph of a file that has a field.
  static func forEach(in bytes: [UInt8], _ body: (DpkgParagraph) -> Void) {
    var paragraph = DpkgParagraph()
    var isConffiles = false
    for line in bytes.split(separator: 0x0a, omittingEmptySubsequences: false) {
      guard let first = line.first, !line.allSatisfy({ $0 == 0x0d }) else {
        if paragraph.hasFields { body(paragraph) }
        paragraph = DpkgParagraph()
        isConffiles = false
        continue
      }
      if first == 0x20 || first == 0x09 {
        if isConffiles { paragraph.addConffile(line) }
        continue
      }
      guard let colon = line.firstIndex(of: 0x3a) else { continue }
      let value = trimmed(line[(colon + 1)...])
      isConffiles = false
      paragraph.hasFields = true
      switch String(decoding: line[..<colon], as: UTF8.self).lowercased() {
      case "package": paragraph.name = value
      case "version": paragraph.version = value
      case "architecture": paragraph.architecture = value
      case "multi-arch": paragraph.isMultiArchSame = value == Array("same".utf8)
      case "status": paragraph.state = value.split(separator: 0x20).last.map(Array.init) ?? []
      case "conffiles": isConffiles = true
      default: break
      }
    }
    if paragraph.hasFields { body(paragraph) }
  }

  /// Parses " /etc/motd d41d8cd98f00b204e9800998ecf8427e obsolete"; a path may contain blanks.
  private mutating func addConffile(_ line: ArraySlice<UInt8>) {
    var fields = trimmed(line).split(separator: 0x20, omittingEmptySubsequences: false)
    let flags = [Array("obsolete".utf8), Array("remove-on-upgrade".utf8)]
    while fields.count > 2, let last = fields.last, flags.contains(Array(last)) {
      fields.removeLast()
    }
    guard fields.count >= 2, let digest = fields.popLast() else { return }
    configuration.updateValue(
      hexBytes(digest, count: 16), forKey: Array(fields.joined(separator: [0x20])))
  }
}

private func trimmed(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
  var bytes = bytes.drop { $0 == 0x20 || $0 == 0x09 }
  while let last = bytes.last, last == 0x20 || last == 0x09 || last == 0x0d { bytes.removeLast() }
  return Array(bytes)
}
