// What was signed of a snapshot, and the signatures (docs/format.md, "Signatures"): files in
// signatures/<image>/ whose names begin with the snapshot's number.
//
//     <n>.signed.<statement>          a statement about the snapshot; the name is its SHA-256
//     <n>.signed.<statement>.<key>    its signature by the key of this id: 64 bytes
//     <n>.origin.<statement>[.<key>]  the same, of what the snapshot was imported from
//
// 1. A file is complete and durable before it has its name. The statement comes before its signatures.
// 2. This room reads names, sizes and digests. Whether a signature is valid, and what a statement says, is
//    for the rooms above.
// 3. The files go before the ref goes.

import Codec
import Platform

/// The name of a file in `signatures/<image>/`.
public struct SignatureFileName: Hashable, Sendable {
  public enum Kind: String, Sendable, CaseIterable {
    /// The statement is about the snapshot itself.
    case signed
    /// It is about the snapshot, or the bundle, that this snapshot was imported from.
    case origin
  }

  public let number: Int
  public let kind: Kind
  /// The statement's SHA-256.
  public let statement: Digest
  /// The id of the key that signed it; nil for the statement itself.
  public let key: Digest?

  public init(number: Int, kind: Kind, statement: Digest, key: Digest? = nil) {
    self.number = number
    self.kind = kind
    self.statement = statement
    self.key = key
  }

  /// Parses a file's name.
  public init?(_ name: [UInt8]) {
    let parts = name.split(separator: 0x2e, omittingEmptySubsequences: false)
    guard parts.count == 3 || parts.count == 4, let number = RefLog.number(parts[0]),
      let kind = Kind(rawValue: String(decoding: parts[1], as: UTF8.self)),
      let statement = Digest(hexDigits: Array(parts[2]))
    else { return nil }
    self.init(
      number: number, kind: kind, statement: statement,
      key: parts.count == 4 ? Digest(hexDigits: Array(parts[3])) : nil)
    // One file has one name: no capital digits, and no fourth part that is no key.
    guard bytes == name else { return nil }
  }

  var bytes: [UInt8] {
    RefLog.fileName(number)
      + Array(".\(kind.rawValue).\(statement.hex)\(key.map { ".\($0.hex)" } ?? "")".utf8)
  }

  public var fileName: [UInt8] { bytes }

  var maxBytes: Int { key == nil ? RefLog.maxStatementBytes : RefLog.signatureBytes }
}

extension RefLog {
  public static let maxStatementBytes = 1 << 20
  public static let signatureBytes = 64
  /// The most signatures that a snapshot can have, those of its origin included.
  public static let maxSignatures = 64

  /// The store's folder.
  public var storePath: [UInt8] { layout.path }

  /// The signatures of an image's snapshots, in order. Statements without a signature are not among them.
  public func signatures(of image: ImageName) throws(StoreError) -> [SignatureFileName] {
    try signatureFiles(of: image).compactMap { SignatureFileName($0) }.filter { $0.key != nil }
  }

  /// The names in an image's folder, in byte order.
  func signatureFiles(of image: ImageName) throws(StoreError) -> [[UInt8]] {
    guard let folder = try open(layout.signatures, image) else { return [] }
    return try explaining("the signatures of \(image)") { () throws(SystemError) in
      try layout.fileSystem.names(of: folder.raw).sorted(by: precedes)
    }
  }

  /// The bytes of a statement or of a signature.
  /// - Throws: `damaged` where the file is not what its name says; `notFound`.
  public func signatureFile(
    _ name: SignatureFileName, of image: ImageName
  ) throws(StoreError) -> [UInt8] {
    let object = "signatures/\(image)/\(printable(name.bytes))"
    guard let folder = try open(layout.signatures, image) else {
      throw StoreError(.notFound, object, "is not there")
    }
    let file = try explaining(object) { () throws(SystemError) in
      try layout.read(folder, name.bytes, limitBytes: name.maxBytes)
    }
    switch file {
    case .absent: throw StoreError(.notFound, object, "is not there")
    case .odd(let reason): throw .damaged(object, reason)
    case .content(let bytes):
      if let finding = name.fault(bytes) { throw .damaged(object, finding) }
      return bytes
    }
  }

  /// Stores a statement and one signature of it. The caller holds the image's lock.
  /// - Throws: `refused` where the snapshot has too many signatures.
  public func addSignature(
    _ signature: [UInt8], by key: Digest, of statement: [UInt8], kind: SignatureFileName.Kind,
    to image: ImageName, _ number: Int
  ) throws(StoreError) {
    let object = "a signature of \(image)@\(number)"
    try layout.requireWritable(object)
    let id = SHA256.digest(of: statement)
    let own = SignatureFileName(number: number, kind: kind, statement: id)
    let name = SignatureFileName(number: number, kind: kind, statement: id, key: key)
    guard statement.count <= own.maxBytes, name.fault(signature) == nil else {
      throw StoreError(.refused, object, "is larger than a statement, or a signature, can be")
    }
    let others = try signatures(of: image).filter { $0.number == number && $0 != name }
    guard others.count < RefLog.maxSignatures else {
      throw StoreError(
        .refused, "\(image)@\(number)", "has \(others.count) signatures, the most it can have")
    }
    try explaining(object) { () throws(SystemError) in
      let fileSystem = layout.fileSystem
      try makeDirectoryIfAbsent(fileSystem, layout.signatures, image.bytes)
      let folder = try fileSystem.openDirectory(at: layout.signatures.raw, image.bytes)
      for (name, bytes) in [(own, statement), (name, signature)] {
        if case .content(let old) = try layout.read(folder, name.bytes, limitBytes: name.maxBytes),
          old == bytes
        {
          continue
        }
        try TemporaryFile.write(bytes, in: folder, as: name.bytes, exclusively: false, layout)
      }
      try fileSystem.sync(layout.signatures.raw)
    }
  }

  /// Removes what was signed of these snapshots. The caller holds the image's lock.
  func removeSignatures(of image: ImageName, _ numbers: Set<Int>) throws(StoreError) {
    let files = try signatureFiles(of: image).compactMap { SignatureFileName($0) }
      .filter { numbers.contains($0.number) }
    guard !files.isEmpty, let folder = try open(layout.signatures, image) else { return }
    try explaining("the signatures of \(image)") { () throws(SystemError) in
      // Signatures before their statements.
      for file in files.sorted(by: { $0.key != nil && $1.key == nil }) {
        do throws(SystemError) {
          try layout.fileSystem.remove(at: folder.raw, file.bytes, isDirectory: false)
        } catch {
          // A folder under such a name is nobody's signature; `repair` moves it.
          guard error.isAbsent || error.code == .isDirectory else { throw error }
        }
      }
      try layout.fileSystem.sync(folder.raw)
    }
  }
}

extension SignatureFileName {
  /// What is wrong with the content of a file of this name; nil where nothing is.
  func fault(_ bytes: [UInt8]) -> String? {
    if key != nil {
      return bytes.count == RefLog.signatureBytes
        ? nil : "has \(bytes.count) bytes, and a signature has \(RefLog.signatureBytes)"
    }
    return SHA256.digest(of: bytes) == statement ? nil : "does not match the SHA-256 in its name"
  }
}
