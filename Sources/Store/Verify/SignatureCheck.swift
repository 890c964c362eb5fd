// The check of signature files, for `verify` and `repair`. Neither knows any key, so only `verify
// --signatures` finds a damaged signature that still has 64 bytes.
//
// 1. These are problems: a file with a wrong name, size or digest, a signature without its statement, and a
//    file of a snapshot that has no ref. `repair` moves each to quarantine/.
// 2. A statement without a signature remains from an interrupted `sign`. It is not a problem.

import Platform

/// A file in signatures/ that must not exist, or not with this content.
struct SignatureProblem {
  let directory: Descriptor
  let name: [UInt8]
  /// The path for messages, such as "signatures/compute/0000000003.signed.…".
  let object: String
  let reason: String
}

extension ObjectStore {
  /// Returns the images that have a directory of signatures, and the unexpected files among the directories.
  func signatureDirectories() throws -> (images: [ImageName], problems: [SignatureProblem]) {
    let parent = layout.signatures
    let names = try mapSystemError(
      "the directory signatures/", try layout.fileSystem.names(of: parent.raw))
    var images: [ImageName] = []
    var problems: [SignatureProblem] = []
    for name in names.sorted(by: precedes) {
      let object = "signatures/\(printable(name))"
      let stat = try mapSystemError(
        object, try layout.fileSystem.statIfPresent(at: parent.raw, name))
      guard let stat else { continue }
      guard let image = try? ImageName(String(decoding: name, as: UTF8.self)),
        image.bytes == name, stat.kind == .directory
      else {
        problems.append(
          SignatureProblem(
            directory: parent, name: name, object: object,
            reason: "is a \(stat.kind.noun), not the directory of an image"))
        continue
      }
      images.append(image)
    }
    return (images, problems)
  }

  /// Returns the problems in the directory of an image.
  func signatureProblems(of image: ImageName) throws -> [SignatureProblem] {
    guard let directory = try refs.open(layout.signatures, image) else { return [] }
    var problems: [SignatureProblem] = []
    for bytes in try refs.signatureFiles(of: image) {
      let object = "signatures/\(image)/\(printable(bytes))"
      guard let reason = try reason(bytes, of: image, in: directory, object) else { continue }
      problems.append(
        SignatureProblem(directory: directory, name: bytes, object: object, reason: reason))
    }
    return problems
  }

  private func reason(
    _ bytes: [UInt8], of image: ImageName, in directory: Descriptor, _ object: String
  ) throws -> String? {
    guard let name = SignatureFileName(bytes) else { return "is not the name of a signature" }
    let file = try mapSystemError(
      object, try layout.read(directory, bytes, limitBytes: name.maxBytes))
    switch file {
    case .absent: return nil
    case .unexpected(let reason): return reason
    case .content(let content):
      if let problem = name.problem(content) { return problem }
    }
    // `verify` reports a damaged ref separately, and the ref may be restored.
    if try !hasRef(image, name.number), try !refs.lostNumbers(of: image).contains(name.number) {
      return "belongs to \(image)@\(name.number), which has no ref"
    }
    guard name.key != nil else { return nil }
    let own = SignatureFileName(number: name.number, kind: name.kind, statement: name.statement)
    let hasStatement = try mapSystemError(
      object, try layout.fileSystem.statIfPresent(at: directory.raw, own.bytes) != nil)
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
    let (images, problems) = try store.signatureDirectories()
    for problem in problems { add(problem.object, problem.reason) }
    for image in images {
      for problem in try store.signatureProblems(of: image) { add(problem.object, problem.reason) }
    }
  }
}

struct SignatureRepair: RepairPart {
  let context: RepairContext

  func repairSignatures() throws {
    let (images, problems) = try store.signatureDirectories()
    for problem in problems {
      try moveToQuarantine(
        problem.directory, problem.name, problem.object, as: "signatures-\(printable(problem.name))"
      )
    }
    for image in images {
      let lock = isDryRun ? nil : try lockImage(image)
      defer { withExtendedLifetime(lock) {} }
      // Moving a statement leaves its signatures without one, so the check is repeated.
      var isDone = false
      while !isDone {
        let problems = try store.signatureProblems(of: image)
        for problem in problems {
          try moveToQuarantine(
            problem.directory, problem.name, problem.object,
            as: "signatures-\(image)-\(printable(problem.name).suffix(150))")
        }
        isDone = problems.isEmpty || isDryRun
      }
    }
  }
}
