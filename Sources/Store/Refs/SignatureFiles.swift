// The statements about a snapshot and their signatures (docs/format.md, "Signatures"): files in
// signatures/<image>/ whose names start with the snapshot's number.
//
//     <n>.signed.<statement>          a statement about the snapshot; the name is its SHA-256
//     <n>.signed.<statement>.<key>    its signature by the key of this id: 64 bytes
//     <n>.origin.<statement>[.<key>]  the same for the snapshot's origin, from which it was imported
//
// 1. A file is complete and durable before it gets its name. A statement is written before its signatures.
// 2. This module checks names, sizes and digests. The modules above it verify signatures and interpret
//    statements.
// 3. The files are deleted before the ref.

import Codec
import Platform

/// The name of a file in `signatures/<image>/`.
public struct SignatureFileName: Hashable, Sendable {
  /// What the statement is about.
  public enum Kind: String, Sendable, CaseIterable {
    /// The statement is about the snapshot itself.
    case signed
    /// The statement is about the snapshot or bundle from which this snapshot was imported.
    case origin
  }

  /// The snapshot's number.
  public let number: Int
  public let kind: Kind
  /// The statement's SHA-256.
  public let statement: Digest
  /// The id of the key that signed it; nil for the statement itself.
  public let key: Digest?

  /// Creates a name.
  public init(number: Int, kind: Kind, statement: Digest, key: Digest? = nil) {
    self.number = number
    self.kind = kind
    self.statement = statement
    self.key = key
  }

  /// Parses a file name; nil for a name that `fileName` cannot return.
  public init?(_ name: [UInt8]) {
    let parts = name.split(separator: 0x2e, omittingEmptySubsequences: false)
    guard parts.count == 3 || parts.count == 4, let number = RefLog.number(parts[0]),
      let kind = Kind(rawValue: String(decoding: parts[1], as: UTF8.self)),
      let statement = Digest(hexDigits: Array(parts[2]))
    else { return nil }
    self.init(
      number: number, kind: kind, statement: statement,
      key: parts.count == 4 ? Digest(hexDigits: Array(parts[3])) : nil)
    // Each file has one valid name: no upper-case digits, and no fourth part except a key id.
    guard bytes == name else { return nil }
  }

  var bytes: [UInt8] {
    RefLog.fileName(number)
      + Array(".\(kind.rawValue).\(statement.hex)\(key.map { ".\($0.hex)" } ?? "")".utf8)
  }

  /// Returns the name as bytes.
  public var fileName: [UInt8] { bytes }

  var maxBytes: Int { key == nil ? RefLog.maxStatementBytes : RefLog.signatureBytes }
}

extension RefLog {
  public static let maxStatementBytes = 1 << 20
  public static let signatureBytes = 64
  /// The maximum number of signatures of a snapshot, including those of its origin.
  public static let maxSignatures = 64

  /// Returns the path of the store's directory.
  public var storePath: [UInt8] { layout.path }

  /// Returns the signatures of an image's snapshots in order, without statements that have no signature.
  public func signatures(of image: ImageName) throws(StoreError) -> [SignatureFileName] {
    try signatureFiles(of: image).compactMap { SignatureFileName($0) }.filter { $0.key != nil }
  }

  /// Returns the names in an image's directory of signatures, in byte order.
  func signatureFiles(of image: ImageName) throws(StoreError) -> [[UInt8]] {
    guard let directory = try open(layout.signatures, image) else { return [] }
    return try mapSystemErrors("the signatures of \(image)") { () throws(SystemError) in
      try layout.fileSystem.names(of: directory.raw).sorted(by: precedes)
    }
  }

  /// Returns the bytes of a statement or a signature.
  /// - Throws: `damaged` if the content does not match the name; `notFound`.
  public func signatureFile(
    _ name: SignatureFileName, of image: ImageName
  ) throws(StoreError) -> [UInt8] {
    let object = "signatures/\(image)/\(printable(name.bytes))"
    guard let directory = try open(layout.signatures, image) else {
      throw StoreError(.notFound, object, "does not exist")
    }
    let file = try mapSystemError(
      object, try layout.read(directory, name.bytes, limitBytes: name.maxBytes))
    switch file {
    case .absent: throw StoreError(.notFound, object, "does not exist")
    case .unexpected(let reason): throw .damaged(object, reason)
    case .content(let bytes):
      if let reason = name.problem(bytes) { throw .damaged(object, reason) }
      return bytes
    }
  }

  /// Stores a statement with one signature. The caller holds the image's lock.
  /// - Parameters:
  ///   - signature: 64 bytes.
  ///   - key: the id of the key that signed.
  ///   - statement: the signed bytes.
  ///   - kind: what the statement is about.
  /// - Throws: `refused` if the snapshot has too many signatures, or a size is invalid; `system`.
  public func addSignature(
    _ signature: [UInt8], by key: Digest, of statement: [UInt8], kind: SignatureFileName.Kind,
    to image: ImageName, _ number: Int
  ) throws(StoreError) {
    let object = "a signature of \(image)@\(number)"
    try layout.requireWritable(object)
    let id = SHA256.digest(of: statement)
    let own = SignatureFileName(number: number, kind: kind, statement: id)
    let name = SignatureFileName(number: number, kind: kind, statement: id, key: key)
    guard statement.count <= own.maxBytes, name.problem(signature) == nil else {
      throw StoreError(.refused, object, "exceeds the size of a statement, or of a signature")
    }
    let others = try signatures(of: image).filter { $0.number == number && $0 != name }
    guard others.count < RefLog.maxSignatures else {
      throw StoreError(
        .refused, "\(image)@\(number)", "has \(others.count) signatures, which is the maximum")
    }
    try mapSystemErrors(object) { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      try fileSystem.makeDirectoryIfAbsent(at: layout.signatures.raw, image.bytes, .private)
      let directory = try fileSystem.openDirectory(at: layout.signatures.raw, image.bytes)
      for (name, bytes) in [(own, statement), (name, signature)] {
        if case .content(let old) = try layout.read(
          directory, name.bytes, limitBytes: name.maxBytes),
          old == bytes
        {
          continue
        }
        try TemporaryFile.write(bytes, in: directory, as: name.bytes, exclusively: false, layout)
      }
      try fileSystem.sync(layout.signatures.raw)
    }
  }

  /// Deletes the statements and signatures of snapshots. The caller holds the image's lock.
  func removeSignatures(of image: ImageName, _ numbers: Set<Int>) throws(StoreError) {
    let files = try signatureFiles(of: image).compactMap { SignatureFileName($0) }
      .filter { numbers.contains($0.number) }
    guard !files.isEmpty, let directory = try open(layout.signatures, image) else { return }
    try mapSystemErrors("the signatures of \(image)") { () throws(SystemError) in
      // Delete signatures before their statements.
      for file in files.sorted(by: { $0.key != nil && $1.key == nil }) {
        do throws(SystemError) {
          try layout.fileSystem.remove(at: directory.raw, file.bytes, isDirectory: false)
        } catch {
          // A directory of that name is not a signature; `repair` moves it away.
          guard error.isAbsent || error.code == .isDirectory else { throw error }
        }
      }
      try layout.fileSystem.sync(directory.raw)
    }
  }
}

extension SignatureFileName {
  /// Returns the reason why the content does not belong under this name; nil if it does.
  func problem(_ bytes: [UInt8]) -> String? {
    if key != nil {
      return bytes.count == RefLog.signatureBytes
        ? nil : "has \(bytes.count) bytes, but a signature has \(RefLog.signatureBytes)"
    }
    return SHA256.digest(of: bytes) == statement ? nil : "does not match the SHA-256 in its name"
  }
}
