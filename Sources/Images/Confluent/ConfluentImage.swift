// Squashfs images, as mksquashfs and Confluent's imgutil write them: plain, encrypted, and captured systems
// with one squashfs image for each file system (lenovo/confluent, imgutil/imgutil: pack_image, encrypt_image,
// capture_system_back).
//
//     encrypted:  magic, 4096 bytes │ the image by aes-xts-plain64, sectors from 0
//     captured:   magic, name │ for each file system: mount point, facts, padding │ squashfs │ padding
//
// 1. The image is untrusted: each length is checked before use. `SquashfsReader` checks the rest.
// 2. Nothing is mounted or decrypted on disk.

import Archive
import Codec
import Platform
import Render

/// A squashfs image in a file, and the directory that it belongs in.
struct SquashfsPart {
  /// The path below the top of the tree; empty for the top.
  let path: [UInt8]
  let reader: SquashfsReader
}

/// A file with squashfs images.
struct ConfluentImage {
  static let encryptedMagic: [UInt8] = [
    0xaa, 0xd5, 0x0f, 0x7e, 0x5d, 0xfb, 0x4b, 0x7c, 0xa1, 0x2a, 0xf4, 0x0b, 0x6d, 0x94, 0xf7, 0xfc,
  ]
  static let capturedMagic: [UInt8] = [
    0x63, 0x7b, 0x9d, 0x26, 0xb7, 0xfd, 0x48, 0x30, 0x89, 0xf9, 0x11, 0xcf, 0x18, 0xfd, 0xff, 0xa1,
  ]
  private static let headerBytes: UInt64 = 4096
  /// The magic, and the name with its length.
  private static let capturedHeaderBytes: UInt64 = 32
  private static let maxParts = 256
  private static let maxFactBytes: UInt32 = 1 << 20

  /// Reads the image's plain bytes.
  private let read: SquashfsReader.ReadImage
  private let sizeBytes: UInt64

  /// Opens an image.
  /// - Parameters:
  ///   - key: the content of the image's key file; nil for none.
  ///   - read: reads the file.
  /// - Throws: `ArchiveError` for an invalid image; `ImageError` (`keyNotFound`) for an encrypted image
  ///   without a valid key.
  init(
    sizeBytes: UInt64, key: [UInt8]?, _ read: @escaping SquashfsReader.ReadImage
  ) throws {
    guard try ConfluentImage.head(sizeBytes, read).starts(with: ConfluentImage.encryptedMagic)
    else {
      (self.read, self.sizeBytes) = (read, sizeBytes)
      return
    }
    guard let key, let cipher = ConfluentImage.cipher(key) else {
      throw ImageError(
        .keyNotFound, "the squashfs image",
        key == nil
          ? "is encrypted, and its key is unknown" : "is encrypted, and its key file is invalid",
        hint:
          "Name the key file with --image-key; imgutil writes it to private/os/PROFILE/pending/rootimg.key"
      )
    }
    guard sizeBytes >= ConfluentImage.headerBytes,
      sizeBytes % UInt64(SectorCipher.sectorBytes) == 0
    else { throw ArchiveError("the encrypted squashfs image does not end with a whole sector") }
    let plainBytes = sizeBytes - ConfluentImage.headerBytes
    self.sizeBytes = plainBytes
    self.read = { offset, target in
      try ConfluentImage.decrypt(offset, target, plainBytes, cipher, read)
    }
    let plain = try ConfluentImage.head(plainBytes, self.read)
    guard
      plain.starts(with: SquashfsReader.magic) || plain.starts(with: ConfluentImage.capturedMagic)
    else {
      throw ImageError(
        .keyNotFound, "the squashfs image", "is encrypted with another key",
        hint: "Name the key file of this image with --image-key")
    }
  }

  /// Returns whether a file begins like an image that this type reads.
  static func isImage(_ head: [UInt8]) -> Bool {
    [SquashfsReader.magic, encryptedMagic, capturedMagic].contains { head.starts(with: $0) }
  }

  private static func head(
    _ sizeBytes: UInt64, _ read: SquashfsReader.ReadImage
  ) throws -> [UInt8] {
    var head = [UInt8](repeating: 0, count: Int(min(sizeBytes, 16)))
    if !head.isEmpty { try head.withUnsafeMutableBytes { try read(0, $0) } }
    return head
  }

  // MARK: Encryption

  /// Returns the cipher of a key file: a line with the name of the cipher, and one with the key in hexadecimal.
  private static func cipher(_ bytes: [UInt8]) -> SectorCipher? {
    let lines = String(decoding: bytes.prefix(4096), as: UTF8.self).split(separator: "\n")
    guard lines.count >= 2, lines[0] == "aes-xts-plain64", lines[1].utf8.count % 2 == 0 else {
      return nil
    }
    let digits = lines[1].utf8.map { Character(Unicode.Scalar($0)).hexDigitValue }
    var key: [UInt8] = []
    for i in stride(from: 0, to: digits.count, by: 2) {
      guard let high = digits[i], let low = digits[i + 1] else { return nil }
      key.append(UInt8(high << 4 | low))
    }
    return SectorCipher(key: key)
  }

  /// Fills a buffer with plain bytes.
  private static func decrypt(
    _ offset: UInt64, _ target: UnsafeMutableRawBufferPointer, _ sizeBytes: UInt64,
    _ cipher: SectorCipher, _ read: SquashfsReader.ReadImage
  ) throws {
    guard offset <= sizeBytes, UInt64(target.count) <= sizeBytes - offset else {
      throw ArchiveError("a squashfs table is outside the image")
    }
    let unit = SectorCipher.sectorBytes
    let first = offset / UInt64(unit)
    let skip = Int(offset % UInt64(unit))
    let sectors = (skip + target.count + unit - 1) / unit
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: sectors * unit, alignment: 64)
    defer { buffer.deallocate() }
    try read(headerBytes + first * UInt64(unit), buffer)
    for i in 0..<sectors {
      let sector = UnsafeMutableRawBufferPointer(rebasing: buffer[i * unit..<(i + 1) * unit])
      do throws(CodecError) {
        try cipher.decrypt(sector, number: first + UInt64(i))
      } catch { throw ArchiveError("the squashfs image: \(error)") }
    }
    target.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[skip..<skip + target.count]))
  }

  // MARK: Parts

  /// Returns the squashfs images in the file, those of parent directories first.
  /// - Throws: `ArchiveError`; the errors of reading the file.
  func parts() throws -> [SquashfsPart] {
    guard
      try ConfluentImage.head(sizeBytes, read).starts(with: ConfluentImage.capturedMagic)
    else { return [SquashfsPart(path: [], reader: try SquashfsReader(sizeBytes: sizeBytes, read))] }
    var parts: [SquashfsPart] = []
    var cursor = CapturedCursor(read: read, sizeBytes: sizeBytes)
    try cursor.skip(ConfluentImage.capturedHeaderBytes)
    while cursor.offset < sizeBytes {
      guard parts.count < ConfluentImage.maxParts else {
        throw ArchiveError("the captured image has too many file systems")
      }
      let mount = try cursor.text()
      let factBytes = try cursor.number(bytes: 4)
      guard factBytes <= UInt64(ConfluentImage.maxFactBytes) else {
        throw ArchiveError("the captured image has facts of \(factBytes) bytes")
      }
      try cursor.skip(factBytes)
      try cursor.skip(16)
      _ = try cursor.text()
      _ = try cursor.text()
      try cursor.skip(try cursor.number(bytes: 2))
      let size = try cursor.number(bytes: 8)
      let start = cursor.offset
      try cursor.skip(size)
      let read = read
      let reader = try SquashfsReader(sizeBytes: size) { offset, target in
        guard offset <= size, UInt64(target.count) <= size - offset else {
          throw ArchiveError("a squashfs table is outside the image")
        }
        try read(start + offset, target)
      }
      let path = mount.split(separator: 0x2f).joined(separator: [0x2f])
      parts.append(SquashfsPart(path: Array(path), reader: reader))
      // The next part begins at a multiple of 4096.
      let rest = cursor.offset % ConfluentImage.headerBytes
      if rest > 0 {
        try cursor.skip(min(ConfluentImage.headerBytes - rest, sizeBytes - cursor.offset))
      }
    }
    return parts.enumerated().sorted { a, b in
      let (x, y) = (a.element.path.count { $0 == 0x2f }, b.element.path.count { $0 == 0x2f })
      if a.element.path.isEmpty != b.element.path.isEmpty { return a.element.path.isEmpty }
      return x == y ? a.offset < b.offset : x < y
    }.map(\.element)
  }
}

/// A position in the headers of a captured image, whose numbers are big-endian.
private struct CapturedCursor {
  let read: SquashfsReader.ReadImage
  let sizeBytes: UInt64
  private(set) var offset: UInt64 = 0

  init(read: @escaping SquashfsReader.ReadImage, sizeBytes: UInt64) {
    self.read = read
    self.sizeBytes = sizeBytes
  }

  mutating func skip(_ count: UInt64) throws(ArchiveError) {
    guard count <= sizeBytes - offset else { throw ArchiveError("the captured image is cut off") }
    offset += count
  }

  mutating func bytes(_ count: Int) throws -> [UInt8] {
    let start = offset
    try skip(UInt64(count))
    var bytes = [UInt8](repeating: 0, count: count)
    if count > 0 { try bytes.withUnsafeMutableBytes { try read(start, $0) } }
    return bytes
  }

  mutating func number(bytes count: Int) throws -> UInt64 {
    try bytes(count).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// Returns a text that follows its length.
  mutating func text() throws -> [UInt8] {
    let count = try number(bytes: 2)
    return try bytes(Int(count))
  }
}
