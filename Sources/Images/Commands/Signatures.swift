// imgstore sign, and verify --signatures.
//
// 1. Everybody signs the same statement of a snapshot, which is computed again each time: a statement in the
//    store that says anything else is bad, whatever its signature.
// 2. A signature by a key that is not trusted is neither good nor bad. It is named.

import Codec
import Platform
import Signatures
import Store

/// What a signature is worth.
public enum SignatureVerdict: Sendable, Equatable {
  case valid
  /// Its key is not among the trusted ones, so nobody can tell.
  case untrusted
  case bad(String)
}

/// A signature of a snapshot, or of what it was imported from.
public struct SignatureStatus: Sendable {
  public let kind: SignatureFileName.Kind
  public let key: Digest
  /// What the key is called here; nil where it is not trusted.
  public let keyName: String?
  public let verdict: SignatureVerdict
  public let statementFile: String
  public let signatureFile: String
  /// "compute@3": what the statement is about; nil where it cannot be read.
  public let subject: String?
  public let host: String?
  public let user: String?
  public let time: Timestamp?
}

/// What a check of all signatures found.
public struct SignatureReport: Sendable {
  public struct Checked: Sendable {
    /// "compute@3".
    public let snapshot: String
    public let signatures: [SignatureStatus]
    public var isSigned: Bool { signatures.contains { $0.kind == .signed } }
  }
  public var checked: [Checked] = []

  public var unsigned: [String] { checked.filter { !$0.isSigned }.map(\.snapshot) }
  public var bad: [(snapshot: String, key: Digest, finding: String)] {
    checked.flatMap { item in
      item.signatures.compactMap { status in
        guard case .bad(let finding) = status.verdict else { return nil }
        return (item.snapshot, status.key, finding)
      }
    }
  }
  public var untrusted: [(snapshot: String, key: Digest)] {
    checked.flatMap { item in
      item.signatures.filter { $0.verdict == .untrusted }.map { (item.snapshot, $0.key) }
    }
  }
}

extension Workspace {
  /// Signs snapshots.
  /// - Returns: them, in the order of the references.
  /// - Throws: before anything is signed, where a reference or a statement is not possible.
  public func sign(_ references: [String], with key: SigningKey) throws -> [CommittedSnapshot] {
    let snapshots = try references.map { try find(Reference($0)) }
    let statements = try snapshots.map { try statement(about: $0).render() }
    for (committed, statement) in zip(snapshots, statements) {
      try sign(committed, statement, with: key)
    }
    return snapshots
  }

  private func sign(
    _ committed: CommittedSnapshot, _ statement: [UInt8], with key: SigningKey
  ) throws {
    let store = try store()
    let image = try ImageName(committed.snapshot.image)
    let lock = try lock(image, store, allowsUnfinished: true)
    defer { withExtendedLifetime(lock) {} }
    // Nobody removed it meanwhile, and nobody does now.
    guard try store.refs.readIfPresent(image, committed.number)?.id == committed.id else {
      throw ImageError(.notFound, "\(committed.name)", "was removed before it could be signed")
    }
    try store.refs.addSignature(
      try key.sign(statement), by: key.publicKey.id, of: statement, kind: .signed, to: image,
      committed.number)
  }

  /// The numbers of an image's snapshots that have a signature of their own. No signature is checked.
  public func signedNumbers(of image: String) throws -> Set<Int> {
    Set(
      try store().refs.signatures(of: try ImageName(image)).filter { $0.kind == .signed }
        .map(\.number))
  }

  /// The signatures of a snapshot.
  /// - Parameter recomputes: the snapshot's trees are listed again and held against the statement. Without
  ///   it the statement's word is taken for what the snapshot with its id holds.
  public func signatures(
    of committed: CommittedSnapshot, _ trusted: @autoclosure () throws -> TrustedKeys,
    recomputes: Bool
  ) throws -> [SignatureStatus] {
    let image = try ImageName(committed.snapshot.image)
    let names = try store().refs.signatures(of: image).filter { $0.number == committed.number }
    if names.isEmpty { return [] }
    let trusted = try trusted()
    var expected: Result<[UInt8], any Error>?
    if recomputes, names.contains(where: { $0.kind == .signed }) {
      expected = Result { try statement(about: committed).render() }
    }
    return try names.sorted { printable($0.fileName) < printable($1.fileName) }.map {
      try status($0, image, committed, trusted, expected)
    }
  }

  private func status(
    _ name: SignatureFileName, _ image: ImageName, _ committed: CommittedSnapshot,
    _ trusted: TrustedKeys, _ expected: Result<[UInt8], any Error>?
  ) throws -> SignatureStatus {
    let refs = try store().refs
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
      return status(.bad("\(error.object): \(error.finding)"))
    }
    if name.kind == .signed {
      guard let statement, statement.subject == .snapshot, statement.snapshot == committed.id,
        statement.image.utf8.elementsEqual(committed.snapshot.image.utf8),
        statement.number == committed.number
      else { return status(.bad("its statement is about another snapshot")) }
      switch expected {
      case .success(let text) where text == bytes: break
      case .success: return status(.bad("its statement is not what the snapshot holds"))
      case .failure(let error):
        let finding = (error as? any ExplainedError)?.statement ?? "\(error)"
        return status(.bad("the snapshot cannot be read: \(finding)"))
      case nil: break
      }
    }
    guard let known = trusted[key] else { return status(.untrusted) }
    return status(
      known.key.verify(signature, of: bytes)
        ? .valid : .bad("it is not the signature of its statement by this key"))
  }

  /// Checks every signature of every snapshot.
  public func verifySignatures(_ trusted: TrustedKeys) throws -> SignatureReport {
    let store = try store()
    var report = SignatureReport()
    progress.begin("checking signatures")
    for image in try store.refs.images() {
      for number in try store.refs.numbers(of: image) {
        let committed: CommittedSnapshot
        do throws(StoreError) {
          guard let present = try store.refs.readIfPresent(image, number) else { continue }
          committed = present
        } catch {
          // `verify` names it; its signatures cannot be checked.
          let names = try store.refs.signatures(of: image).filter { $0.number == number }
          report.checked.append(
            .init(
              snapshot: "\(image)@\(number)",
              signatures: names.map {
                SignatureStatus(
                  kind: $0.kind, key: $0.key ?? .zero, keyName: nil,
                  verdict: .bad("the snapshot cannot be read: \(error.finding)"),
                  statementFile: "", signatureFile: "", subject: nil, host: nil, user: nil,
                  time: nil)
              }))
          continue
        }
        progress.add(items: 1)
        report.checked.append(
          .init(
            snapshot: committed.name,
            signatures: try signatures(of: committed, trusted, recomputes: true)))
      }
    }
    return report
  }
}
