// imgstore sign, and verify --signatures.
//
// 1. All signers of a snapshot sign the same statement, which is computed from the snapshot each time. A
//    stored statement that differs from it is bad, even if its signature is valid.
// 2. A signature by an untrusted key is neither valid nor bad. It is reported as untrusted.

import Codec
import Platform
import Signatures
import Store

/// The verdict on a signature.
public enum SignatureVerdict: Sendable, Equatable {
  case valid
  /// Its key is not trusted, so the signature cannot be checked.
  case untrusted
  /// The signature or its statement is wrong, with the reason as a clause.
  case bad(String)
}

/// A signature of a snapshot, or of the snapshot that it was imported from.
public struct SignatureStatus: Sendable {
  public let kind: SignatureFileName.Kind
  public let key: Digest
  /// The local name of the key; nil if it is not trusted.
  public let keyName: String?
  public let verdict: SignatureVerdict
  public let statementFile: String
  public let signatureFile: String
  /// The snapshot that the statement is about, like "compute@3"; nil if the statement cannot be read.
  public let subject: String?
  public let host: String?
  public let user: String?
  public let time: Timestamp?
}

/// The result of a check of all signatures.
public struct SignatureReport: Sendable {
  /// A snapshot and its checked signatures.
  public struct CheckedSnapshot: Sendable {
    /// The name, like "compute@3".
    public let snapshot: String
    public let signatures: [SignatureStatus]
    public var isSigned: Bool { signatures.contains { $0.kind == .signed } }
  }
  public var checked: [CheckedSnapshot] = []

  /// The snapshots without a signature of their own.
  public var unsigned: [String] { checked.filter { !$0.isSigned }.map(\.snapshot) }
  /// The bad signatures, with the reasons.
  public var bad: [(snapshot: String, key: Digest, reason: String)] {
    checked.flatMap { item in
      item.signatures.compactMap { status in
        guard case .bad(let reason) = status.verdict else { return nil }
        return (item.snapshot, status.key, reason)
      }
    }
  }
  /// The signatures by untrusted keys.
  public var untrusted: [(snapshot: String, key: Digest)] {
    checked.flatMap { item in
      item.signatures.filter { $0.verdict == .untrusted }.map { (item.snapshot, $0.key) }
    }
  }
}

extension Workspace {
  /// Signs snapshots.
  /// - Returns: the snapshots, in the order of the references.
  /// - Throws: `ImageError`, `StoreError`. If a reference is invalid or a statement cannot be computed,
  ///   nothing is signed.
  public func sign(_ references: [String], with key: SigningKey) throws -> [CommittedSnapshot] {
    try SignatureChecker(context).sign(references, with: key)
  }

  /// Returns the signatures of a snapshot.
  /// - Parameters:
  ///   - trusted: the trusted keys; read only if there are signatures.
  ///   - recomputes: whether the statement is computed again from the snapshot's trees and compared.
  ///     Otherwise the stored statement is assumed to describe the snapshot with its id.
  public func signatures(
    of committed: CommittedSnapshot, _ trusted: @autoclosure () throws -> TrustedKeys,
    recomputes: Bool
  ) throws -> [SignatureStatus] {
    try SignatureChecker(context).signatures(of: committed, trusted(), recomputes: recomputes)
  }

  /// Checks every signature of every snapshot.
  public func verifySignatures(_ trusted: TrustedKeys) throws -> SignatureReport {
    try SignatureChecker(context).verifySignatures(trusted)
  }
}

/// Signs snapshots, and checks signatures.
struct SignatureChecker: Collaborator {
  let context: Context

  func sign(_ references: [String], with key: SigningKey) throws -> [CommittedSnapshot] {
    let snapshots = try references.map { try SnapshotResolver(context).find(Reference($0)) }
    let statements = try snapshots.map {
      try StatementWriter(context).statement(about: $0).render()
    }
    for (committed, statement) in zip(snapshots, statements) {
      try sign(committed, statement, with: key)
    }
    return snapshots
  }

  /// Signs the statement of one snapshot, and stores both.
  private func sign(
    _ committed: CommittedSnapshot, _ statement: [UInt8], with key: SigningKey
  ) throws {
    let store = try context.store()
    let image = try ImageName(committed.snapshot.image)
    try ImageLocks(context).withLock(image, store, allowsUnfinished: true) {
      // Under the lock it cannot be removed, but it may have been removed before.
      guard try store.refs.readIfPresent(image, committed.number)?.id == committed.id else {
        throw ImageError(
          .snapshotNotFound, "\(committed.name)", "was removed before it could be signed")
      }
      try store.refs.addSignature(
        try key.sign(statement), by: key.publicKey.id, of: statement, kind: .signed, to: image,
        committed.number)
    }
  }

  /// Returns the numbers of an image's snapshots with a signature of their own. No signature is checked.
  func signedNumbers(of image: String) throws -> Set<Int> {
    Set(
      try context.store().refs.signatures(of: try ImageName(image)).filter { $0.kind == .signed }
        .map(\.number))
  }

  func signatures(
    of committed: CommittedSnapshot, _ trusted: @autoclosure () throws -> TrustedKeys,
    recomputes: Bool
  ) throws -> [SignatureStatus] {
    let image = try ImageName(committed.snapshot.image)
    let names = try context.store().refs.signatures(of: image).filter {
      $0.number == committed.number
    }
    if names.isEmpty { return [] }
    let trusted = try trusted()
    var expected: Result<[UInt8], any Error>?
    if recomputes, names.contains(where: { $0.kind == .signed }) {
      expected = Result { try StatementWriter(context).statement(about: committed).render() }
    }
    return try names.sorted { printable($0.fileName) < printable($1.fileName) }.map {
      try status($0, image, committed, trusted, expected)
    }
  }

  /// Returns the status of one signature.
  /// - Parameter expected: the computed statement; nil to skip the comparison.
  private func status(
    _ name: SignatureFileName, _ image: ImageName, _ committed: CommittedSnapshot,
    _ trusted: TrustedKeys, _ expected: Result<[UInt8], any Error>?
  ) throws -> SignatureStatus {
    let refs = try context.store().refs
    let key = name.key ?? .zero
    let own = SignatureFileName(number: name.number, kind: name.kind, statement: name.statement)
    var statement: Statement?
    func status(_ verdict: SignatureVerdict) -> SignatureStatus {
      func path(_ name: SignatureFileName) -> String {
        "\(printable(refs.storePath))/signatures/\(image)/\(printable(name.fileName))"
      }
      return SignatureStatus(
        kind: name.kind, key: key, keyName: trusted[key]?.name, verdict: verdict,
        statementFile: path(own), signatureFile: path(name), subject: statement?.name,
        host: statement?.host, user: statement?.user, time: statement?.time)
    }
    let bytes: [UInt8]
    let signature: [UInt8]
    do {
      bytes = try refs.signatureFile(own, of: image)
      signature = try refs.signatureFile(name, of: image)
      statement = try Statement(parsing: bytes)
    } catch let error as any ExplainedError {
      return status(.bad("\(error.subject): \(error.reason)"))
    }
    if name.kind == .signed {
      guard let statement, statement.subject == .snapshot, statement.snapshot == committed.id,
        statement.image.utf8.elementsEqual(committed.snapshot.image.utf8),
        statement.number == committed.number
      else { return status(.bad("its statement is about another snapshot")) }
      switch expected {
      case .success(let text) where text == bytes: break
      case .success: return status(.bad("its statement does not match the snapshot"))
      case .failure(let error):
        let reason = (error as? any ExplainedError)?.message ?? "\(error)"
        return status(.bad("the snapshot cannot be read: \(reason)"))
      case nil: break
      }
    }
    guard let trustedKey = trusted[key] else { return status(.untrusted) }
    return status(
      trustedKey.key.verify(signature, of: bytes)
        ? .valid : .bad("it is not a signature of its statement by this key"))
  }

  func verifySignatures(_ trusted: TrustedKeys) throws -> SignatureReport {
    let store = try context.store()
    var report = SignatureReport()
    context.progress.begin("checking signatures")
    for image in try store.refs.images() {
      for number in try store.refs.numbers(of: image) {
        let committed: CommittedSnapshot
        do throws(StoreError) {
          guard let present = try store.refs.readIfPresent(image, number) else { continue }
          committed = present
        } catch {
          // `verify` reports the damaged ref. Its signatures cannot be checked.
          let names = try store.refs.signatures(of: image).filter { $0.number == number }
          report.checked.append(
            .init(
              snapshot: "\(image)@\(number)",
              signatures: names.map {
                SignatureStatus(
                  kind: $0.kind, key: $0.key ?? .zero, keyName: nil,
                  verdict: .bad("the snapshot cannot be read: \(error.reason)"),
                  statementFile: "", signatureFile: "", subject: nil, host: nil, user: nil,
                  time: nil)
              }))
          continue
        }
        context.progress.add(items: 1)
        report.checked.append(
          .init(
            snapshot: committed.name,
            signatures: try signatures(of: committed, trusted, recomputes: true)))
      }
    }
    return report
  }
}
