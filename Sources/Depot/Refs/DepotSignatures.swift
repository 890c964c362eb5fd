// The signatures of snapshots in a depot: the files of `signatures/` of a store (docs/format.md, "Signatures").

import Codec
import ObjectStorage
import Platform
import Store
import Transfer

/// Reads and writes signatures.
struct DepotSignatures: Sendable {
  let storage: any ObjectStorage

  /// Returns the signatures of a snapshot. Statements without a signature, and damaged files, are left out.
  func read(_ image: ImageName, _ number: Int) throws -> [SnapshotSignature] {
    let prefix = DepotKeys.prefix("signatures", image)
    var names: [SignatureFileName] = []
    try storage.list("\(prefix)\(DepotKeys.digits(number)).") { page in
      for object in page {
        guard let rest = DepotKeys.rest(of: object.key, after: prefix),
          let name = SignatureFileName(Array(rest.utf8)), name.number == number
        else { continue }
        names.append(name)
      }
      return names.count <= 2 * RefLog.maxSignatures
    }
    var result: [SnapshotSignature] = []
    for name in names.prefix(2 * RefLog.maxSignatures) {
      guard let key = name.key else { continue }
      let statement = SignatureFileName(
        number: number, kind: name.kind, statement: name.statement)
      guard let text = try read(image, statement, RefLog.maxStatementBytes),
        SHA256.digest(of: text) == name.statement,
        let signature = try read(image, name, RefLog.signatureBytes),
        signature.count == RefLog.signatureBytes
      else { continue }
      result.append(
        SnapshotSignature(kind: name.kind, statement: text, key: key, signature: signature))
    }
    return result
  }

  private func read(
    _ image: ImageName, _ name: SignatureFileName, _ limitBytes: Int
  ) throws -> [UInt8]? {
    do {
      return try storage.read(
        DepotKeys.signature(image, name), range: nil, limitBytes: limitBytes)
    } catch {
      if error.isMissingObject { return nil }
      throw error
    }
  }

  /// Adds signatures to a snapshot. Each object has one possible content, so an existing one is equal.
  func write(_ signatures: [SnapshotSignature], _ image: ImageName, _ number: Int) throws {
    for signature in signatures {
      let id = SHA256.digest(of: signature.statement)
      let statement = SignatureFileName(number: number, kind: signature.kind, statement: id)
      try storage.write(
        DepotKeys.signature(image, statement), .bytes(signature.statement))
      let name = SignatureFileName(
        number: number, kind: signature.kind, statement: id, key: signature.key)
      try storage.write(DepotKeys.signature(image, name), .bytes(signature.signature))
    }
  }
}
