// One rpm header, as the databases store it (rpm's doc/manual/format_header.md): two big-endian
// counts, an index of 16-byte entries (tag, type, offset, count), then the data that they point to.
//
// 1. The size limits are rpm's own: 65,535 entries, 256 MiB of data.
// 2. Of a duplicate tag the last one counts: data that was added after the signed region replaces it.

import Platform

/// The tags that are read (rpm's include/rpm/rpmtag.h).
private enum Tag {
  static let name: UInt32 = 1000
  static let version: UInt32 = 1001
  static let release: UInt32 = 1002
  static let epoch: UInt32 = 1003
  static let architecture: UInt32 = 1022
  static let oldFileNames: UInt32 = 1027
  static let fileDigests: UInt32 = 1035
  static let fileFlags: UInt32 = 1037
  static let dirIndexes: UInt32 = 1116
  static let baseNames: UInt32 = 1117
  static let dirNames: UInt32 = 1118
  static let fileDigestAlgorithm: UInt32 = 5011
}

/// An indexed header. Valid as long as its bytes are.
struct RPMHeader {
  private struct Field {
    let type: UInt32
    let offset: Int
    let count: Int
  }
  private var fields: [UInt32: Field] = [:]
  private let data: ByteView

  static let maxEntries = 0xffff
  static let maxDataBytes = 256 << 20
  static let maxItems = 1 << 20

  init(_ bytes: ByteView) throws(MalformedDataError) {
    let entries = try bytes.length(0, isBigEndian: true)
    let dataBytes = try bytes.length(4, isBigEndian: true)
    guard entries <= RPMHeader.maxEntries, dataBytes <= RPMHeader.maxDataBytes else {
      throw MalformedDataError("a header in it is too large")
    }
    let index = try bytes.view(8, entries * 16)
    data = try bytes.view(8 + entries * 16, dataBytes)
    for i in 0..<entries {
      let tag = try index.word32(i * 16, isBigEndian: true)
      // Smaller tags are regions and signatures, which are not needed here.
      guard tag >= Tag.name else { continue }
      let offset = try index.length(i * 16 + 8, isBigEndian: true)
      let count = try index.length(i * 16 + 12, isBigEndian: true)
      guard offset <= data.count, count <= data.count else {
        throw MalformedDataError("a header in it points outside itself")
      }
      fields[tag] = Field(
        type: try index.word32(i * 16 + 4, isBigEndian: true), offset: offset, count: count)
    }
  }

  // MARK: Content

  /// Returns the package of the header.
  /// - Throws: `MalformedDataError` for a header without a name or a version.
  func package() throws(MalformedDataError) -> Package {
    guard let name = try text(Tag.name), let version = try text(Tag.version),
      let release = try text(Tag.release)
    else { throw MalformedDataError("a header in it has no name, version or release") }
    let epoch = try numbers(Tag.epoch)?.first
    return Package(
      name: printable(name),
      version: (epoch.map { "\($0):" } ?? "") + printable(version) + "-" + printable(release),
      architecture: try text(Tag.architecture).map { printable($0) } ?? "")
  }

  /// Calls `body` with each file: absolute path, whether it is a configuration file, digest of its content.
  func forEachFile(
    _ body: ([UInt8], _ isConfiguration: Bool, ShippedDigest?) -> Void
  ) throws(MalformedDataError) {
    let paths = try filePaths()
    let flags = try numbers(Tag.fileFlags) ?? []
    let digests = try texts(Tag.fileDigests) ?? []
    let algorithm = try numbers(Tag.fileDigestAlgorithm)?.first ?? 1
    for (i, path) in paths.enumerated() {
      var digest: ShippedDigest?
      if i < digests.count {
        // The algorithms' numbers are OpenPGP's (RFC 4880, section 9.4).
        if algorithm == 8 {
          digest = hexBytes(digests[i], count: 32).map(ShippedDigest.sha256)
        } else if algorithm == 1 {
          digest = hexBytes(digests[i], count: 16).map(ShippedDigest.md5)
        }
      }
      body(path, i < flags.count && flags[i] & 1 != 0, digest)
    }
  }

  private func filePaths() throws(MalformedDataError) -> [[UInt8]] {
    guard let names = try texts(Tag.baseNames) else { return try texts(Tag.oldFileNames) ?? [] }
    let directories = try texts(Tag.dirNames) ?? []
    let indexes = try numbers(Tag.dirIndexes) ?? []
    guard indexes.count == names.count else {
      throw MalformedDataError(
        "a header in it has \(names.count) files and \(indexes.count) directories")
    }
    var paths: [[UInt8]] = []
    paths.reserveCapacity(names.count)
    for (name, index) in zip(names, indexes) {
      guard index < directories.count else {
        throw MalformedDataError("a file in it has no directory")
      }
      paths.append(directories[Int(index)] + name)
    }
    return paths
  }

  // MARK: Values by type (rpm's include/rpm/rpmtypes.h)

  private func text(_ tag: UInt32) throws(MalformedDataError) -> [UInt8]? {
    guard let field = fields[tag] else { return nil }
    guard field.type == 6 || field.type == 8 || field.type == 9, field.count > 0 else {
      throw MalformedDataError("tag \(tag) of a header in it is not a text")
    }
    return try data.string(field.offset)
  }

  private func texts(_ tag: UInt32) throws(MalformedDataError) -> [[UInt8]]? {
    guard let field = fields[tag] else { return nil }
    guard field.type == 6 || field.type == 8, field.count <= RPMHeader.maxItems else {
      throw MalformedDataError("tag \(tag) of a header in it is not a list of texts")
    }
    var values: [[UInt8]] = []
    var at = field.offset
    for _ in 0..<field.count {
      let value = try data.string(at)
      at += value.count + 1
      values.append(value)
    }
    return values
  }

  private func numbers(_ tag: UInt32) throws(MalformedDataError) -> [UInt32]? {
    guard let field = fields[tag] else { return nil }
    guard field.type == 4, field.count <= RPMHeader.maxItems else {
      throw MalformedDataError("tag \(tag) of a header in it is not a list of numbers")
    }
    let view = try data.view(field.offset, field.count * 4)
    var values: [UInt32] = []
    values.reserveCapacity(field.count)
    for i in 0..<field.count { values.append(try view.word32(i * 4, isBigEndian: true)) }
    return values
  }
}
