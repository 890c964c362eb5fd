// Statements with their signatures, as a bundle carries them in complete/signatures/:
//
//     <statement>.statement     named by the SHA-256 of its text
//     <statement>.<key>.sig     its 64-byte signature by the key with this id
//
// 1. The files are untrusted: names, sizes and counts are checked, and each statement is parsed strictly.
// 2. An invalid signature by a trusted key makes the whole bundle invalid.

import Codec
import Ingest
import Platform
import Signatures

/// A statement and its signatures, which are not verified yet.
struct SignedStatement {
  let bytes: [UInt8]
  let statement: Statement
  /// The signatures, by the id of the key.
  var signatures: [Digest: [UInt8]]

  var id: Digest { SHA256.digest(of: bytes) }

  /// Returns the trusted keys with a valid signature.
  /// - Throws: `BundleError` if the signature of a trusted key is invalid.
  func signers(_ trusted: TrustedKeys) throws(BundleError) -> [TrustedKey] {
    var signers: [TrustedKey] = []
    for (id, signature) in signatures.sorted(by: { $0.key < $1.key }) {
      guard let key = trusted[id] else { continue }
      guard key.key.verify(signature, of: bytes) else {
        throw BundleError(
          whole:
            "has a signature by the key '\(key.name)' (\(id.shortHex)) that is not valid: the statement "
            + "about \(printable(statement.name.utf8)), or the signature, was changed",
          hint: BundleError.distrust)
      }
      signers.append(key)
    }
    return signers
  }
}

/// All statements of one image's bundle.
struct SignedStatements {
  static let maxSignatures = 16
  private(set) var all: [SignedStatement] = []
  /// Messages about files that are neither a statement nor a signature, or that lack their counterpart.
  private(set) var faults: [String] = []

  init() {}

  /// Parses the files of a bundle.
  /// - Parameter files: the files of complete/signatures/, by name.
  init(_ files: [String: [UInt8]]) {
    var statements: [Digest: SignedStatement] = [:]
    var signatures: [(name: String, statement: Digest, key: Digest, bytes: [UInt8])] = []
    for (name, bytes) in files.sorted(by: { $0.key < $1.key }) {
      let parts = name.split(separator: ".", omittingEmptySubsequences: false)
      guard let id = Digest(hex: parts[0]), parts[0] == id.hex else {
        faults.append("\(printable(name.utf8.prefix(255))): is not the name of a signature")
        continue
      }
      if parts.count == 2, parts[1] == "statement" {
        guard SHA256.digest(of: bytes) == id else {
          faults.append("\(name): does not match the SHA-256 in its name")
          continue
        }
        do throws(SignatureError) {
          statements[id] = SignedStatement(
            bytes: bytes, statement: try Statement(parsing: bytes), signatures: [:])
        } catch {
          faults.append("\(name): \(error.subject) \(error.reason)")
        }
      } else if parts.count == 3, parts[2] == "sig", let key = Digest(hex: parts[1]),
        parts[1] == key.hex, bytes.count == PublicKey.signatureByteCount
      {
        signatures.append((name, id, key, bytes))
      } else {
        faults.append("\(printable(name.utf8.prefix(255))): is not a signature")
      }
    }
    if signatures.count > SignedStatements.maxSignatures {
      faults.append("there are more than \(SignedStatements.maxSignatures) signatures")
      return
    }
    for signature in signatures {
      if statements[signature.statement] == nil {
        faults.append("\(signature.name): has no statement")
      }
      statements[signature.statement]?.signatures[signature.key] = signature.bytes
    }
    for (id, statement) in statements.sorted(by: { $0.key < $1.key }) {
      if statement.signatures.isEmpty { faults.append("\(id.hex).statement: has no signature") }
      all.append(statement)
    }
  }

  mutating func add(_ statement: SignedStatement) {
    if let known = all.firstIndex(where: { $0.bytes == statement.bytes }) {
      all[known].signatures.merge(statement.signatures) { $1 }
    } else {
      all.append(statement)
    }
  }

  /// The files of a bundle, by their names in the image's directory, with at most `maxSignatures` signatures.
  var files: [(name: String, bytes: [UInt8])] {
    var files: [(name: String, bytes: [UInt8])] = []
    var count = 0
    for signed in all {
      let id = signed.id.hex
      let kept = signed.signatures.sorted { $0.key < $1.key }
        .prefix(SignedStatements.maxSignatures - count)
      if kept.isEmpty { continue }
      count += kept.count
      files.append(("\(BundleView.prefix)\(id).statement", signed.bytes))
      files += kept.map { ("\(BundleView.prefix)\(id).\($0.key.hex).sig", $0.value) }
    }
    return files
  }

  /// Returns the statements that a trusted key signed.
  /// - Throws: `BundleError` if there is none, or if a file is invalid.
  func requireTrusted(
    _ trusted: TrustedKeys
  ) throws(BundleError) -> [(signed: SignedStatement, signers: [TrustedKey])] {
    if let fault = faults.first {
      throw BundleError(
        whole: "has a damaged signature: \(fault)", hint: BundleError.distrust)
    }
    guard !all.isEmpty else {
      throw BundleError(
        whole: "is not signed",
        hint: "Nothing was imported. Ask the origin for a signed bundle")
    }
    var accepted: [(signed: SignedStatement, signers: [TrustedKey])] = []
    for signed in all {
      let signers = try signed.signers(trusted)
      if !signers.isEmpty { accepted.append((signed, signers)) }
    }
    if accepted.isEmpty {
      let keys = Set(all.flatMap(\.signatures.keys)).sorted().map(\.shortHex)
      throw BundleError(
        whole: "is signed only by \(keys.count == 1 ? "the key" : "the keys") "
          + keys.joined(separator: ", ") + ", which \(trusted.directory) does not hold",
        hint:
          "Nothing was imported. If you know whose key it is, run 'imgstore key trust FILE'")
    }
    return accepted
  }
}
