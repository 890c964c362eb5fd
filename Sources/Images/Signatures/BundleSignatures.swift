// Signatures of bundles: which ones an export contains, an import requires, and an imported snapshot keeps.
//
// 1. An import that requires a signature checks it twice. Before it reads the first file, it checks the
//    statements, which precede the files. Before it changes the machine, it checks the content as well.
// 2. An export contains the snapshot's own signatures, and those of its origin that still cover the bundle.
// 3. The signatures of a bundle are kept unchanged with the imported snapshot, in the store only.

import Codec
import Ingest
import Platform
import Render
import Signatures
import Store

/// A signature that came with an imported image.
public struct OriginSignature: Sendable {
  public let image: String
  public let key: Digest
  /// The key's name on this machine; nil if the key is not trusted.
  public let keyName: String?
  /// The snapshot's name at its origin: "compute@3".
  public let subject: String
  public let host: String
  public let user: String
  public let time: Timestamp
  /// Whether a trusted key made the signature and it covers everything in the bundle.
  public let isVerified: Bool
}

// MARK: - Export

/// The signature files of a planned bundle, and remarks about them.
struct ExportSignatures {
  private(set) var files: [RenderedFile] = []
  private(set) var remarks: [String] = []

  /// Collects the signatures for a bundle.
  /// - Parameters:
  ///   - view: the bundle without signatures.
  ///   - isScrubbed: whether secrets were removed. Then the snapshot's signatures do not fit; none is added.
  ///   - key: the key that signs the whole bundle; nil for no such signature.
  init(
    _ context: Context, _ committed: CommittedSnapshot, _ view: BundleView,
    install: AbsolutePath, isScrubbed: Bool, key: SigningKey?
  ) throws {
    let store = try context.store()
    var statements = SignedStatements()
    if let key {
      let text = try ExportSignatures.statement(context, committed, view).render()
      statements.add(
        SignedStatement(
          bytes: text, statement: try Statement(parsing: text),
          signatures: [key.publicKey.id: try key.sign(text)]))
    }
    let image = try ImageName(committed.snapshot.image)
    let names =
      isScrubbed
      ? [] : try store.refs.signatures(of: image).filter { $0.number == committed.number }
    var uncovered: [String]?
    for name in names.sorted(by: { $0.kind == .signed && $1.kind != .signed }) {
      guard let signed = try? ExportSignatures.read(name, of: image, store) else {
        context.reporter.warn("a signature of \(committed.name) is damaged and was left out")
        continue
      }
      let missing = try BundleCoverage(view, signed.statement, store, install: install).uncovered()
      if name.kind == .origin, !missing.isEmpty { continue }
      if uncovered == nil || missing.count < (uncovered ?? []).count { uncovered = missing }
      statements.add(signed)
    }
    files = statements.files.map { name, bytes in
      RenderedFile(
        name: name, path: "a signature of \(committed.name)", source: .bytes(bytes))
    }
    if key == nil, let uncovered, !uncovered.isEmpty {
      remarks = [
        "the signatures do not cover \(uncovered.prefix(3).joined(separator: ", "))"
          + (uncovered.count > 3 ? " and \(uncovered.count - 3) more" : "")
          + ": 'import --require-signature' refuses the bundle; '--sign' signs all of it"
      ]
    }
  }

  private static func read(
    _ name: SignatureFileName, of image: ImageName, _ store: ObjectStore
  ) throws -> SignedStatement {
    let own = SignatureFileName(number: name.number, kind: name.kind, statement: name.statement)
    let bytes = try store.refs.signatureFile(own, of: image)
    let signature = try store.refs.signatureFile(name, of: image)
    return SignedStatement(
      bytes: bytes, statement: try Statement(parsing: bytes),
      signatures: [name.key ?? .zero: signature])
  }

  /// Returns the statement about the bundle.
  private static func statement(
    _ context: Context, _ committed: CommittedSnapshot, _ view: BundleView
  ) throws -> Statement {
    let facts = context.provenance(.export)
    func fact(_ key: ProvenanceKey) -> String {
      facts.first { $0.key == key.rawValue }?.value ?? ""
    }
    return Statement(
      subject: .bundle, image: committed.snapshot.image, number: committed.number,
      snapshot: committed.id, parent: committed.snapshot.parent, time: context.now(),
      host: fact(.host), user: fact(.user), command: fact(.command),
      message: committed.snapshot.message, rows: [], facts: [], items: view.items)
  }
}

// MARK: - Import

/// Checks the signatures that an import requires, and keeps the signatures of the bundle.
struct ImportSignatures: Sendable {
  private let isRequired: Bool
  private let trusted: TrustedKeys

  /// Reads the trusted keys.
  /// - Throws: if a signature is required and no key is trusted.
  init(_ context: Context, _ request: ImportRequest) throws {
    isRequired = request.requiresSignature
    guard isRequired else {
      // The keys only serve to name the signer, so an unusable directory counts as empty.
      trusted =
        (try? SigningKeys(context).trustedKeys(request.trustedKeys))
        ?? TrustedKeys(directory: SigningKeys(context).trustedKeysPath)
      return
    }
    trusted = try SigningKeys(context).trustedKeys(request.trustedKeys)
    if trusted.isEmpty {
      throw ImageError(
        .keyNotFound, "directory \(trusted.directory)",
        "holds no key, so no signature can be required",
        hint: "Run 'imgstore key trust FILE' to trust a public key")
    }
  }

  /// Stops reading a bundle if its signatures precede its files and are not sufficient.
  var gate: SignatureGate {
    { [isRequired, trusted] _, files in
      if isRequired { _ = try SignedStatements(files).requireTrusted(trusted) }
    }
  }

  /// Refuses images that no trusted key has signed.
  func requireStatements(_ images: [BundledImage]) throws(BundleError) {
    guard isRequired else { return }
    for image in images {
      _ = try SignedStatements(image.signatures).requireTrusted(trusted)
    }
  }

  /// Compares the content of an image, which is in the store, with the signed statements.
  /// - Returns: the signatures of the image.
  /// - Throws: `BundleError` if a signature is required and does not cover everything.
  func check(
    _ image: BundledImage, _ store: ObjectStore, install: AbsolutePath
  ) throws -> [OriginSignature] {
    let statements = SignedStatements(image.signatures)
    guard isRequired else {
      return statements.all.flatMap { signed in origins(signed, image, isVerified: false) }
    }
    let accepted = try statements.requireTrusted(trusted)
    let view = try BundleView(image)
    var fewest: [String]?
    for (signed, signers) in accepted {
      let uncovered = try BundleCoverage(view, signed.statement, store, install: install)
        .uncovered()
      if uncovered.isEmpty {
        let keys = Set(signers.map(\.key.id))
        return origins(signed, image, isVerified: true).filter { keys.contains($0.key) }
      }
      if fewest == nil || uncovered.count < (fewest ?? []).count { fewest = uncovered }
    }
    let names = fewest ?? []
    throw BundleError(
      whole: "contains parts that no trusted key signed: \(names.prefix(3).joined(separator: ", "))"
        + (names.count > 3 ? " and \(names.count - 3) more" : ""),
      hint: "Nothing was imported. If you trust the origin, ask for a bundle from "
        + "'imgstore export --sign'")
  }

  private func origins(
    _ signed: SignedStatement, _ image: BundledImage, isVerified: Bool
  ) -> [OriginSignature] {
    signed.signatures.keys.sorted().map { key in
      OriginSignature(
        image: image.directory, key: key, keyName: trusted[key]?.name,
        subject: signed.statement.name,
        host: signed.statement.host, user: signed.statement.user, time: signed.statement.time,
        isVerified: isVerified)
    }
  }

  /// Stores the signatures of an imported image. The caller holds the image's lock.
  /// - Returns: remarks about signatures that could not be stored.
  func keep(
    _ image: BundledImage, with committed: CommittedSnapshot, _ store: ObjectStore
  ) -> [String] {
    let statements = SignedStatements(image.signatures)
    var remarks = statements.faults.prefix(3).map {
      "a signature of the bundle is damaged and was not kept: \($0)"
    }
    for signed in statements.all {
      do {
        _ = try signed.signers(trusted)
        let name = try ImageName(committed.snapshot.image)
        for (key, signature) in signed.signatures.sorted(by: { $0.key < $1.key }) {
          try store.refs.addSignature(
            signature, by: key, of: signed.bytes, kind: .origin, to: name, committed.number)
        }
      } catch {
        let reason = (error as? any ExplainedError)?.message ?? "\(error)"
        remarks.append("a signature of the bundle was not kept: \(reason)")
      }
    }
    return remarks
  }
}
