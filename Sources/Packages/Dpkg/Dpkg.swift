// dpkg's database: the packages of a root tree, the file lists in `info/`, and `diversions`
// (dpkg-query(1), deb-control(5)). `DpkgStatus` reads the states.
//
// 1. The packages are those that `dpkg-query -W` prints. A package of which only configuration files are left
//    (state "rc" of `dpkg -l`) is removed: it is listed separately, and still owns those files.
// 2. A name includes its architecture where dpkg-query prints it: for `Multi-Arch: same`, and for
//    every architecture other than the system's own.

import Platform

/// A dpkg database with its states.
struct Dpkg: Sendable {
  /// The packages by the stems of their files in `info/`, with their configuration files.
  let entries: [[UInt8]: Entry]
  /// The packages of `status.d`, which also lists their files.
  let bare: [[UInt8]: Package]

  struct Entry: Sendable {
    let package: Package
    /// The configuration files, by absolute path, with the MD5 of the content that the package shipped.
    let configuration: [[UInt8]: [UInt8]?]
  }

  static let directory = Array("var/lib/dpkg/".utf8)
  static let listLimitBytes = 64 << 20

  /// Reads the database.
  /// - Returns: nil if the tree has none.
  static func read(_ tree: some RootTree) throws -> (Dpkg, PackageSet)? {
    guard let status = try DpkgStatus.read(tree) else { return nil }
    let native = nativeArchitecture(status.paragraphs)
    var entries: [[UInt8]: Entry] = [:]
    var bare: [[UInt8]: Package] = [:]
    var packages: [Package] = []
    var configurationOnly: [Package] = []
    for paragraph in status.paragraphs {
      let isQualified = paragraph.needsArchitecture(native: native)
      let stem = paragraph.name + (isQualified ? [0x3a] + paragraph.architecture : [])
      let package = Package(
        name: printable(stem), version: printable(paragraph.version),
        architecture: printable(paragraph.architecture), state: paragraph.packageState)
      if paragraph.state == DpkgParagraph.configFiles {
        configurationOnly.append(package)
      } else {
        packages.append(package)
      }
      if let file = paragraph.bareFile { bare[file] = package }
      let entry = Entry(package: package, configuration: paragraph.configuration)
      entries[stem] = entry
      // Files of `info/` have the architecture in their names for `Multi-Arch: same` only.
      if !paragraph.isMultiArchSame { entries[paragraph.name] = entry }
    }
    return (
      Dpkg(entries: entries, bare: bare),
      PackageSet(
        kind: .dpkg, packages: packages.sorted { ($0.name, $0.version) < ($1.name, $1.version) },
        configurationOnly: configurationOnly, remarks: status.remarks)
    )
  }

  /// Returns the system's own architecture: that of dpkg itself, or else the most frequent one.
  private static func nativeArchitecture(_ paragraphs: [DpkgParagraph]) -> [UInt8] {
    if let dpkg = paragraphs.first(where: { $0.name == Array("dpkg".utf8) }) {
      return dpkg.architecture
    }
    var counts: [[UInt8]: Int] = [:]
    for paragraph in paragraphs
    where paragraph.architecture != Array("all".utf8) && !paragraph.architecture.isEmpty {
      counts[paragraph.architecture, default: 0] += 1
    }
    return counts.max { ($0.value, printable($1.key)) < ($1.value, printable($0.key)) }?.key ?? []
  }

  func collectOwners(_ tree: some RootTree, _ collector: inout OwnerCollector) throws {
    let diversions = try Diversions(tree)
    let info = Dpkg.directory + Array("info".utf8)
    let suffix = Array(".list".utf8)
    for (name, link) in try tree.directory(info) where link == nil && name.count > suffix.count {
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
        let real = diversions.divertedPath(of: listed, package: entry.package.name)
        guard let path = collector.requestedPath(real) else { continue }
        let digest = entry.configuration[listed]
        let ownership = PackageOwnership(
          package: entry.package,
          isConfiguration: digest != nil || declared.contains(listed),
          shipped: (digest ?? nil).map(ShippedDigest.md5))
        collector.add(path, ownership)
      }
    }
    try collectBareOwners(tree, &collector)
  }

  /// Parses lines of `status.d/NAME.md5sums`: a digest, two blanks, a relative path.
  private func collectBareOwners(_ tree: some RootTree, _ collector: inout OwnerCollector) throws {
    for (file, package) in bare where !collector.ignored.contains(package) {
      guard let list = try tree.file(file + DpkgStatus.sumsSuffix, limitBytes: Dpkg.listLimitBytes)
      else { continue }
      for line in list.split(separator: 0x0a) {
        guard let digest = hexBytes(line.prefix(32), count: 16),
          let path = collector.requestedPath(line.dropFirst(32).drop { $0 == 0x20 })
        else { continue }
        collector.add(
          path, PackageOwnership(package: package, isConfiguration: false, shipped: .md5(digest)))
      }
    }
  }
}

/// The files that dpkg diverts (dpkg-divert(1)): groups of three lines, from, to, by whom.
private struct Diversions {
  private var targets: [[UInt8]: (to: [UInt8], by: String)] = [:]

  init(_ tree: some RootTree) throws {
    let path = Dpkg.directory + Array("diversions".utf8)
    guard let bytes = try tree.file(path, limitBytes: Dpkg.listLimitBytes) else { return }
    let lines = bytes.split(separator: 0x0a).map(Array.init)
    var i = 0
    while i + 2 < lines.count {
      targets[lines[i]] = (lines[i + 1], printable(lines[i + 2]))
      i += 3
    }
  }

  /// Returns the path of a file that a package lists: the diverting package keeps the original path.
  func divertedPath(of path: [UInt8], package: String) -> [UInt8] {
    guard let target = targets[path] else { return path }
    let base = package.split(separator: ":").first.map(String.init) ?? package
    return target.by == base ? path : target.to
  }
}

/// Decodes exactly `count` bytes in hexadecimal; nil for anything else.
func hexBytes(_ text: some Collection<UInt8>, count: Int) -> [UInt8]? {
  let digits = text.compactMap(hexValue)
  guard digits.count == text.count, digits.count == 2 * count else { return nil }
  return (0..<count).map { digits[2 * $0] << 4 | digits[2 * $0 + 1] }
}
