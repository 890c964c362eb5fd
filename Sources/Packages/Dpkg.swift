// dpkg's database: `var/lib/dpkg/status` (deb822 paragraphs, dpkg-query(1), deb-control(5)), the
// lists of files in `info/`, and `diversions`.
//
// 1. A package counts as dpkg-query -W counts it: all but the ones that are not installed at all;
//    a removed package whose configuration is still there counts.
// 2. A name has its architecture behind it where dpkg-query prints it: `Multi-Arch: same`, and
//    every architecture that is not the system's own.

import Codec
import Platform

/// What is known of a dpkg database after its status was read.
struct Dpkg: Sendable {
  /// Packages by the stems of their files in `info/`, with the configuration files of each.
  let entries: [[UInt8]: Entry]

  struct Entry: Sendable {
    let package: Package
    /// Configuration files, absolute, and the MD5 of the content that the package brought.
    let configuration: [[UInt8]: [UInt8]?]
  }

  static let folder = Array("var/lib/dpkg/".utf8)
  static let statusLimitBytes = 128 << 20
  static let listLimitBytes = 64 << 20

  /// - Returns: nil where there is no status file.
  static func read(_ tree: some RootTree) throws -> (Dpkg, [Package])? {
    let path = folder + Array("status".utf8)
    guard let status = try tree.file(path, limitBytes: statusLimitBytes) else { return nil }
    var paragraphs: [Paragraph] = []
    Paragraph.forEach(in: status) { if $0.isListed { paragraphs.append($0) } }
    let native = nativeArchitecture(paragraphs)
    var entries: [[UInt8]: Entry] = [:]
    var packages: [Package] = []
    for paragraph in paragraphs {
      let isQualified = paragraph.needsArchitecture(native: native)
      let stem = paragraph.name + (isQualified ? [0x3a] + paragraph.architecture : [])
      let package = Package(
        name: printable(stem), version: printable(paragraph.version),
        architecture: printable(paragraph.architecture))
      packages.append(package)
      let entry = Entry(package: package, configuration: paragraph.configuration)
      entries[stem] = entry
      // Files of `info/` have the architecture in their names for `Multi-Arch: same` only.
      if !paragraph.isMultiArchSame { entries[paragraph.name] = entry }
    }
    return (
      Dpkg(entries: entries), packages.sorted { ($0.name, $0.version) < ($1.name, $1.version) }
    )
  }

  /// The system's own architecture: that of dpkg itself, else the one that most packages have.
  private static func nativeArchitecture(_ paragraphs: [Paragraph]) -> [UInt8] {
    if let dpkg = paragraphs.first(where: { $0.name == Array("dpkg".utf8) }) {
      return dpkg.architecture
    }
    var counts: [[UInt8]: Int] = [:]
    for paragraph in paragraphs where paragraph.architecture != Array("all".utf8) {
      counts[paragraph.architecture, default: 0] += 1
    }
    return counts.max { ($0.value, printable($1.key)) < ($1.value, printable($0.key)) }?.key ?? []
  }

  func collectOwners(_ tree: some RootTree, _ collector: inout OwnerCollector) throws {
    let diversions = try Diversions(tree)
    let info = Dpkg.folder + Array("info".utf8)
    let suffix = Array(".list".utf8)
    for (name, link) in try tree.folder(info) where link == nil && name.count > suffix.count {
      guard name.suffix(suffix.count).elementsEqual(suffix),
        let entry = entries[Array(name.dropLast(suffix.count))],
        !collector.ignored.contains(entry.package),
        let list = try tree.file(info + [0x2f] + name, limitBytes: Dpkg.listLimitBytes)
      else { continue }
      let conffiles =
        try tree.file(
          info + [0x2f] + name.dropLast(suffix.count) + Array(".conffiles".utf8),
          limitBytes: Dpkg.listLimitBytes) ?? []
      let declared = Set(conffiles.split(separator: 0x0a).map(Array.init))
      for line in list.split(separator: 0x0a) {
        let listed = Array(line)
        let real = diversions.place(of: listed, package: entry.package.name)
        guard let path = collector.wantedPath(real) else { continue }
        let digest = entry.configuration[listed]
        let ownership = Ownership(
          package: entry.package,
          isConfiguration: digest != nil || declared.contains(listed),
          shipped: (digest ?? nil).map(ShippedDigest.md5))
        collector.add(path, ownership)
      }
    }
  }
}

/// Files that dpkg puts elsewhere (dpkg-divert(1)): groups of three lines, from, to, by whom.
private struct Diversions {
  private var targets: [[UInt8]: (to: [UInt8], by: String)] = [:]

  init(_ tree: some RootTree) throws {
    let path = Dpkg.folder + Array("diversions".utf8)
    guard let bytes = try tree.file(path, limitBytes: Dpkg.listLimitBytes) else { return }
    let lines = bytes.split(separator: 0x0a).map(Array.init)
    var i = 0
    while i + 2 < lines.count {
      targets[lines[i]] = (lines[i + 1], printable(lines[i + 2]))
      i += 3
    }
  }

  /// Where the file is that the package lists: the one who diverts keeps the place.
  func place(of path: [UInt8], package: String) -> [UInt8] {
    guard let target = targets[path] else { return path }
    let base = package.split(separator: ":").first.map(String.init) ?? package
    return target.by == base ? path : target.to
  }
}

/// One paragraph of the status file: the fields that matter here.
private struct Paragraph {
  var name: [UInt8] = []
  var version: [UInt8] = []
  var architecture: [UInt8] = []
  var isMultiArchSame = false
  /// The last word of `Status`.
  var state: [UInt8] = []
  var configuration: [[UInt8]: [UInt8]?] = [:]

  var isListed: Bool { !name.isEmpty && !state.isEmpty && state != Array("not-installed".utf8) }

  func needsArchitecture(native: [UInt8]) -> Bool {
    if architecture.isEmpty { return false }
    return isMultiArchSame || (architecture != native && architecture != Array("all".utf8))
  }

  static func forEach(in status: [UInt8], _ body: (Paragraph) -> Void) {
    var paragraph = Paragraph()
    var isConffiles = false
    for line in status.split(separator: 0x0a, omittingEmptySubsequences: false) {
      guard let first = line.first else {
        body(paragraph)
        paragraph = Paragraph()
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
    body(paragraph)
  }

  /// " /etc/motd d41d8cd98f00b204e9800998ecf8427e obsolete": a path may hold blanks.
  private mutating func addConffile(_ line: ArraySlice<UInt8>) {
    var words = trimmed(line).split(separator: 0x20, omittingEmptySubsequences: false)
    let flags = [Array("obsolete".utf8), Array("remove-on-upgrade".utf8)]
    while words.count > 2, let last = words.last, flags.contains(Array(last)) { words.removeLast() }
    guard words.count >= 2, let digest = words.popLast() else { return }
    configuration.updateValue(
      hexBytes(digest, count: 16), forKey: Array(words.joined(separator: [0x20])))
  }
}

private func trimmed(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
  var bytes = bytes.drop { $0 == 0x20 || $0 == 0x09 }
  while let last = bytes.last, last == 0x20 || last == 0x09 || last == 0x0d { bytes.removeLast() }
  return Array(bytes)
}

/// Exactly `count` bytes in hexadecimal; nil for anything else.
func hexBytes(_ text: some Collection<UInt8>, count: Int) -> [UInt8]? {
  let digits = text.compactMap(hexValue)
  guard digits.count == text.count, digits.count == 2 * count else { return nil }
  return (0..<count).map { digits[2 * $0] << 4 | digits[2 * $0 + 1] }
}
