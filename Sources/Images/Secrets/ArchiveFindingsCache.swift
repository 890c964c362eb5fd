// Caches the findings of archive scans in the store's cache: an unchanged archive is scanned only once.
//
// 1. Each archive has one file. Its name is a digest of the archive's content and of the rules.
// 2. A file that is damaged or cannot be read counts as missing: the archive is scanned again.

import Codec
import Platform
import Store

/// Reads and writes the cached findings of archives, by the blob of each archive.
struct ArchiveFindingsCache {
  private static let prefix = "secrets-found-"
  private static let magic = Array("IMGSECF1".utf8)
  private static let maxBytes = 16 << 20
  private static let maxFiles = 64
  let layout: Layout

  private func name(_ blob: Digest) -> [UInt8] {
    let key = SHA256.digest(of: blob.bytes + SecretExaminer.fingerprint.bytes)
    return Array((ArchiveFindingsCache.prefix + key.hex.prefix(40)).utf8)
  }

  /// Returns the cached findings of an archive.
  /// - Returns: nil if there is no valid file for the blob.
  func find(_ blob: Digest) -> ArchiveSecrets? {
    guard
      let bytes = try? layout.fileSystem.readSmallFile(
        at: layout.cache.raw, name(blob), limitBytes: ArchiveFindingsCache.maxBytes),
      bytes.count >= 12
    else { return nil }
    return bytes.withUnsafeBytes { buffer -> ArchiveSecrets? in
      let body = UnsafeRawBufferPointer(rebasing: buffer[..<(buffer.count - 4)])
      var end = ByteReader(UnsafeRawBufferPointer(rebasing: buffer[(buffer.count - 4)...]))
      guard (try? end.word32()) == CRC32.of(body),
        body.starts(with: ArchiveFindingsCache.magic)
      else { return nil }
      var reader = ByteReader(body)
      return try? ArchiveSecrets(&reader)
    }
  }

  /// Writes the findings of an archive. A failure only costs the next scan time.
  func put(_ blob: Digest, _ secrets: ArchiveSecrets) {
    guard !layout.isReadOnly else { return }
    var writer = ByteWriter()
    writer.raw(ArchiveFindingsCache.magic)
    secrets.encode(into: &writer)
    let crc = writer.bytes.withUnsafeBytes { CRC32.of($0) }
    writer.word32(crc)
    guard writer.bytes.count <= ArchiveFindingsCache.maxBytes else { return }
    removeOld()
    try? layout.fileSystem.replaceFile(at: layout.cache.raw, name(blob), with: writer.bytes)
  }

  /// Deletes all files of the cache when it holds `maxFiles` or more.
  private func removeOld() {
    let fileSystem = layout.fileSystem
    let prefix = Array(ArchiveFindingsCache.prefix.utf8)
    let files = ((try? fileSystem.names(of: layout.cache.raw)) ?? []).filter {
      $0.starts(with: prefix)
    }
    guard files.count >= ArchiveFindingsCache.maxFiles else { return }
    for file in files {
      try? fileSystem.remove(at: layout.cache.raw, file, isDirectory: false)
    }
  }
}

extension ArchiveSecrets {
  fileprivate func encode(into writer: inout ByteWriter) {
    writer.varint(found.count)
    for item in found {
      writer.string(item.path)
      writer.string(item.treatment.rawValue)
      writer.string(item.package ?? "")
      writer.varint(item.items.count)
      for entry in item.items {
        writer.string(entry.kind.rawValue)
        writer.string(entry.rule)
        writer.string(entry.reason)
      }
    }
    for numbers in [leftOut, replaced] {
      writer.varint(numbers.count)
      for number in numbers.sorted() { writer.varint(number) }
    }
    writer.varint(members.count)
    for (number, index) in members.sorted(by: { $0.key < $1.key }) {
      writer.varint(number)
      writer.varint(index)
    }
  }

  fileprivate init(_ reader: inout ByteReader) throws(CodecError) {
    try reader.skip(8)
    for _ in 0..<(try reader.count(bytesEach: 4)) {
      let path = try reader.string()
      guard let treatment = SecretFinding.Treatment(rawValue: try reader.text()) else {
        throw .corrupt("a finding has an unknown treatment")
      }
      let package = try reader.text()
      var items: [SecretVerdict.Item] = []
      for _ in 0..<(try reader.count(bytesEach: 3)) {
        guard let kind = SecretKind(rawValue: try reader.text()) else {
          throw .corrupt("a finding has an unknown kind")
        }
        items.append(.init(kind: kind, rule: try reader.text(), reason: try reader.text()))
      }
      found.append(
        Finding(
          path: path, items: items, treatment: treatment, published: nil,
          package: package.isEmpty ? nil : package))
    }
    for _ in 0..<(try reader.count(bytesEach: 1)) {
      leftOut.insert(Int(try reader.varint(limit: 1 << 40, "a number")))
    }
    for _ in 0..<(try reader.count(bytesEach: 1)) {
      replaced.insert(Int(try reader.varint(limit: 1 << 40, "a number")))
    }
    for _ in 0..<(try reader.count(bytesEach: 2)) {
      let number = Int(try reader.varint(limit: 1 << 40, "a number"))
      let index = try reader.varint()
      guard index < UInt64(found.count) else {
        throw .corrupt("the index of a finding is out of range")
      }
      members[number] = Int(index)
    }
    try reader.expectEnd()
  }
}
