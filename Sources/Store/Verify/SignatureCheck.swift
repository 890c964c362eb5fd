// The check of signature files, for `verify` and `repair`. Neither knows any key, so only `verify
// --signatures`
// finds a damaged signature that still has 64 bytes.
//
// 1. These are problems: a file with a wrong name, size or digest, a signature without its statement, and a
//    file of a snapshot that has no ref. `repair` moves each to quarantine/.
// 2. A statement without a signature remains from an interrupted `sign`. It is not a problem.

import Codec
import Platform

/// A file in signatures/ that must not exist, or not with this content.
struct SignatureFault {
  let folder: Descriptor
  let name: [UInt8]
  /// The path for messages, such as "signatures/compute/0000000003.signed.…".
  let object: String
  let finding: String
}

extension ObjectStore {
  /// Returns the images that have a directory of signatures, and the unexpected files among the
  /// directories.
  func signatureFolders() throws -> (images: [ImageName], faults: [SignatureFault]) {
    let parent = layout.signatures
    let names = try explaining("the directory signatures/") { () throws(SystemError) in
      try layout.fileSystem.names(of: parent.raw)
    }
    var images: [ImageName] = []
    var faults: [SignatureFault] = []
    for name in names.sorted(by: precedes) {
      let object = "signatures/\(printable(name))"
      let stat = try explaining(object) { () throws(SystemError) in
        try layout.fileSystem.statIfPresent(at: parent.raw, name)
      }
      guard let stat else { continue }
      guard let image = try? ImageName(String(decoding: name, as: UTF8.self)),
        image.bytes == name, stat.kind == .directory
      else {
        faults.append(
          SignatureFault(
            folder: parent, name: name, object: object,
            finding: "is a \(stat.kind.noun), not the directory of an image"))
        continue
      }
      images.append(image)
    }
    return (images, faults)
  }

  /// Returns the problems in the directory of an image.
  func signatureFaults(of image: ImageName) throws -> [SignatureFault] {
    guard let folder = try refs.open(layout.signatures, image) else { return [] }
    var faults: [SignatureFault] = []
    for bytes in try refs.signatureFiles(of: image) {
      let object = "signatures/\(image)/\(printable(bytes))"
      guard let finding = try finding(bytes, of: image, in: folder, object) else { continue }
      faults.append(
        SignatureFault(folder: folder, name: bytes, object: object, finding: finding))
    }
    return faults
  }

  private func finding(
    _ bytes: [UInt8], of image: ImageName, in folder: Descriptor, _ object: String
  ) throws -> String? {
    guard let name = SignatureFileName(bytes) else { return "is not the name of a signature" }
    let file = try explaining(object) { () throws(SystemError) in
      try layout.read(folder, bytes, limitBytes: name.maxBytes)
    }
    switch file {
    case .absent: return nil
    case .odd(let reason): return reason
    case .content(let content):
      if let fault = name.fault(content) { return fault }
    }
    // `verify` reports a damaged ref separately, and the ref may be restored.
    if try !hasRef(image, name.number), try !refs.lostNumbers(of: image).contains(name.number) {
      return "belongs to \(image)@\(name.number), which has no ref"
    }
    guard name.key != nil else { return nil }
    let own = SignatureFileName(number: name.number, kind: name.kind, statement: name.statement)
    let hasStatement = try explaining(object) { () throws(SystemError) in
      try layout.fileSystem.statIfPresent(at: folder.raw, own.bytes) != nil
    }
    return hasStatement ? nil : "has no statement: \(printable(own.bytes)) is missing"
  }
}

extension ObjectStore {
  private func hasRef(_ image: ImageName, _ number: Int) throws(StoreError) -> Bool {
    do throws(StoreError) { return try refs.readIfPresent(image, number) != nil } catch {
      guard error.kind == .damaged else { throw error }
      return true
    }
  }
}

extension VerifyRun {
  func checkSignatureFiles() throws {
    let (images, faults) = try store.signatureFolders()
    for fault in faults { add(fault.object, fault.finding) }
    for image in images {
      for fault in try store.signatureFaults(of: image) { add(fault.object, fault.finding) }
    }
  }
}

extension StoreRepair {
  func repairSignatures() throws {
    let (images, faults) = try store.signatureFolders()
    for fault in faults {
      try setAside(
        fault.folder, fault.name, fault.object, as: "signatures-\(printable(fault.name))")
    }
    for image in images {
      let lock = isDryRun ? nil : try store.lockImage(image) { _ in }
      defer { withExtendedLifetime(lock) {} }
      // Moving a statement leaves its signatures without one, so the check is repeated.
      var isDone = false
      while !isDone {
        let faults = try store.signatureFaults(of: image)
        for fault in faults {
          try setAside(
            fault.folder, fault.name, fault.object,
            as: "signatures-\(image)-\(printable(fault.name).suffix(150))")
        }
        isDone = faults.isEmpty || isDryRun
      }
    }
  }
}
