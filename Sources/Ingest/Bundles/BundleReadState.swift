// Reads the members of one bundle, in order. The invariants are those of `BundleReader`.

import Archive
import Codec
import Platform
import Store

/// The state of reading one bundle. Belongs to one thread.
struct BundleReadState: ~Copyable {
  private let worker: SessionWorker
  private let progress: Progress
  private let staging: StagedBlobs?
  private var blobs: BlobIngester
  private(set) var contents = BundleContent()
  private var rules = BundleRules()
  private var keptBytes = 0
  private let expansion = ExpansionGuard()
  private let earlierTree: EarlierTreeFinder
  private let signatureGate: SignatureGate
  /// The directories of images whose signatures the gate has received.
  private var gatedDirectories: Set<String> = []
  /// The most recent member.
  private var current: [UInt8] = []

  init(
    _ worker: SessionWorker, _ progress: Progress, _ staging: StagedBlobs?,
    _ forecast: ChunkPredictor, _ earlierTree: @escaping EarlierTreeFinder,
    _ signatureGate: @escaping SignatureGate
  ) {
    self.earlierTree = earlierTree
    self.signatureGate = signatureGate
    self.worker = worker
    self.progress = progress
    self.staging = staging
    blobs = BlobIngester(hashesConcurrently: true, forecast: forecast)
  }

  mutating func read(
    _ source: @escaping @Sendable (UnsafeMutableRawBufferPointer) throws -> Int
  ) throws {
    let expansion = expansion
    let isCompressed = Monitor(false)
    let plain = ReadAhead {
      let plain = DecompressingReader { target in
        let n = try source(target)
        expansion.noteSource(n)
        return n
      }
      return { target in
        let n = try plain.read(target)
        if plain.isCompressed { isCompressed.withLock { $0 = true } }
        return n
      }
    }
    let tar = TarReader { try plain.read($0) }
    do {
      while let member = try tar.next() { try readMember(member, tar) }
      // A bundle without an end mark is accepted if it is compressed, as GNU tar does. Nothing can
      // be missing, because the checksum of the compressed stream has matched.
      guard tar.hasEndMark || isCompressed.withLock({ $0 }) else {
        throw ArchiveError("the archive is cut off: it has no end mark (a block of zeros)")
      }
      guard try hasOnlyZerosLeft({ try plain.read($0) }) else {
        throw ArchiveError(
          "data follows the archive's end mark: does the file contain several archives?")
      }
    } catch let error as ArchiveError {
      let position = current.isEmpty ? "" : " (in or after \(memberDescription(current)))"
      let hint =
        error.isExpansionLimit
        ? "Nothing was imported; if you trust its origin, import the output of 'gzip -dc'"
        : BundleError.incompleteAdvice
      if error.member.isEmpty {
        throw BundleError(whole: error.reason + position, hint: hint, form: .clause)
      }
      throw BundleError(memberDescription(error.member), error.reason, hint: hint, form: .clause)
    }
  }

  private mutating func readMember(_ archived: TarMember, _ tar: TarReader) throws {
    current = archived.path
    guard let parts = try rules.take(archived) else { return }
    let member = narrowed(archived)
    let name = parts.joined(separator: "/")
    switch member.kind {
    case .directory:
      if let known = contents.entries[name] {
        guard case .directory = known.content else { throw BundleRules.duplicate(name) }
        return
      }
      try add(name, .directory, member)
    case .file: try readFile(name, parts, member, tar)
    case .symlink(let target): try add(name, .symlink(target: target), member)
    case .hardLink(let target):
      let other = try member.validatedComponents(of: target).joined(separator: "/")
      guard let known = contents.entries[other], case .file(let blob, _) = known.content else {
        throw BundleError(
          member.object, "is a hard link to a name that is not an earlier file of the bundle",
          hint: BundleError.distrust)
      }
      if member.sizeBytes > 0 {
        let content = try blobs.ingest(worker) { try tar.read($0) }
        guard content.id == blob else {
          throw ArchiveError(
            member: member.path, "it is a hard link whose content differs from its target")
        }
      }
      var linked = known.member
      linked.path = member.path
      try add(name, known.content, linked)
    case .characterDevice, .blockDevice, .fifo: break  // refused by the rules
    }
  }

  /// Returns a member without the attributes that bundles must not set: extended attributes and
  /// access control lists. The remaining mode grants nobody more than the list did.
  private mutating func narrowed(_ member: TarMember) -> TarMember {
    var narrowed = member
    for what in member.unknown { contents.losses["the bundle's \(what)", default: 0] += 1 }
    if !member.xattrs.isEmpty {
      contents.losses["extended attributes of the bundle's members", default: 0] += 1
    }
    let list =
      member.accessList
      ?? member.xattrs.first { $0.name == AccessList.accessName }
      .flatMap { AccessList(linuxValue: $0.value) }
    if let list, !list.isMinimal {
      contents.losses["access control lists of the bundle's members", default: 0] += 1
      narrowed.mode = list.narrowedMode(member.mode)
    }
    (narrowed.xattrs, narrowed.accessList, narrowed.defaultList) = ([], nil, nil)
    return narrowed
  }

  private mutating func readFile(
    _ name: String, _ parts: [String], _ member: TarMember, _ tar: TarReader
  ) throws {
    if parts.last == "manifest.xml", parts.count <= 2 {
      let directory = parts.dropLast().joined(separator: "/")
      guard contents.manifests[directory] == nil else { throw BundleRules.duplicate(name) }
      let bytes = try readManifest(tar, member)
      try checkSum(SHA256.digest(of: bytes), name, member)
      try countKept(bytes.count)
      contents.manifests[directory] = bytes
      contents.manifestMembers[directory] = member
      return
    }
    if let (directory, file) = SignatureMember.locate(parts) {
      return try readSignature(directory, file, name, member, tar)
    }
    try passGate(parts)
    guard contents.entries[name] == nil else { throw BundleRules.duplicate(name) }
    let isTree =
      parts.last == "rootimgtree.gz" && parts.count <= 2
      || Array(parts.suffix(2)) == ["complete", "rootimg.tar.zst"] && parts.count <= 3
    progress.add(items: 1)
    if isTree {
      let directory = parts.dropLast(parts.last == "rootimgtree.gz" ? 1 : 2)
      let manifest = contents.manifests[directory.joined(separator: "/")]
      let (tree, digest) = try readTree(name, tar, following: manifest.flatMap(earlierTree))
      try checkSum(digest, name, member)
      return try add(name, .tree(tree), member, archive: digest)
    }
    let keeping = parts.last == "litefile.csv" && parts.count <= 2
    var listBytes: [UInt8] = []
    // The zeros in holes are read, hashed and written like any content.
    if let sparse = member.sparse { try expansion.add(sparse.holeBytes) }
    let ready = staging?.begin(sizeBytes: member.sizeBytes)
    let blob = try blobs.ingest(worker, copyingTo: ready) { [progress] target in
      let n = try tar.read(target)
      progress.add(bytes: UInt64(n))
      if keeping, listBytes.count <= BundleReader.maxManifestBytes {
        listBytes += UnsafeRawBufferPointer(rebasing: target[..<n])
      }
      return n
    }
    if keeping {
      guard listBytes.count <= BundleReader.maxManifestBytes else {
        throw BundleError(
          "member \(name)", "has more than 16 MiB, which is too large for a list of rows")
      }
      try countKept(listBytes.count)
      contents.litefiles[parts.dropLast().joined(separator: "/")] = listBytes
    }
    guard blob.sizeBytes == member.sizeBytes else {
      throw BundleError("member \(name)", "ends too early")
    }
    try checkSum(blob.id, name, member)
    if let ready { staging?.keep(ready, as: blob.id, sizeBytes: blob.sizeBytes) }
    try add(name, .file(blob: blob.id, sizeBytes: blob.sizeBytes), member)
  }

  private mutating func add(
    _ name: String, _ content: BundleEntry.Content, _ member: TarMember,
    archive digest: Digest? = nil
  ) throws(BundleError) {
    guard contents.entries[name] == nil else { throw BundleRules.duplicate(name) }
    // All entries stay in memory until the end, so drop the fields without a size limit.
    var stored = member
    stored.comment = nil
    stored.sparse = nil
    stored.unknown = []
    contents.entries[name] = BundleEntry(content: content, member: stored, archiveDigest: digest)
  }

  // MARK: Signatures

  private mutating func readSignature(
    _ directory: String, _ file: String, _ name: String, _ member: TarMember, _ tar: TarReader
  ) throws {
    guard contents.signatures[directory]?[file] == nil, contents.entries[name] == nil else {
      throw BundleRules.duplicate(name)
    }
    guard member.sizeBytes <= UInt64(SignatureMember.maxBytes),
      contents.signatures[directory]?.count ?? 0 < SignatureMember.maxFiles
    else {
      throw BundleError(
        "member \(name)",
        "is one signature too many, or too large: an image may have \(SignatureMember.maxFiles) of 1 MiB each",
        hint: BundleError.distrust)
    }
    let bytes = try readWhole(tar, member)
    try checkSum(SHA256.digest(of: bytes), name, member)
    try countKept(bytes.count)
    contents.signatures[directory, default: [:]][file] = bytes
  }

  /// Passes the signatures of an image to the gate, once, before its first file is read.
  private mutating func passGate(_ parts: [String]) throws {
    for directory in [parts.dropLast().first ?? "", ""] where !gatedDirectories.contains(directory)
    {
      guard let files = contents.signatures[directory] else { continue }
      gatedDirectories.insert(directory)
      try signatureGate(directory, files)
    }
  }

  /// Counts bytes that stay in memory until the end.
  private mutating func countKept(_ sizeBytes: Int) throws(BundleError) {
    keptBytes += sizeBytes
    guard keptBytes <= BundleReader.maxKeptBytes else {
      throw BundleError(
        whole: "has more than \(BundleReader.maxKeptBytes >> 20) MiB of manifests and lists",
        hint: BundleError.distrust)
    }
  }

  // MARK: Content

  private func readManifest(_ tar: TarReader, _ member: TarMember) throws -> [UInt8] {
    guard member.sizeBytes > 0, member.sizeBytes <= UInt64(BundleReader.maxManifestBytes) else {
      throw BundleError("manifest.xml", "has \(member.sizeBytes) bytes")
    }
    return try readWhole(tar, member)
  }

  private func readWhole(_ tar: TarReader, _ member: TarMember) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Int(member.sizeBytes))
    var done = 0
    while done < bytes.count {
      let n = try bytes.withUnsafeMutableBytes {
        try tar.read(UnsafeMutableRawBufferPointer(rebasing: $0[done...]))
      }
      guard n > 0 else { throw BundleError(memberDescription(member.path), "ends too early") }
      done += n
    }
    return bytes
  }

  /// Reads a tree that the bundle contains as an archive.
  /// - Returns: the tree, and the SHA-256 of the archive.
  private func readTree(
    _ name: String, _ tar: TarReader, following earlier: EarlierTree?
  ) throws -> (ArchiveTree, Digest) {
    let hash = RunningHash()
    let progress = progress
    let archive = DecompressingReader(
      { target in
        let n = try tar.read(target)
        if n > 0 { hash.update(UnsafeRawBufferPointer(rebasing: target[..<n])) }
        progress.add(bytes: UInt64(n))
        return n
      }, memoryLimitBytes: BundleReader.innerDecoderBytes)
    do {
      let expansion = expansion
      let tree = try ArchiveTreeReader(
        progress: progress, noteHoles: { try expansion.add(holes: $0) }
      ).read(
        { target in
          let n = try archive.read(target)
          try expansion.add(UInt64(n))
          return n
        }, worker: worker, top: Array("rootimg".utf8), following: earlier)
      try drain { try archive.read($0) }
      return (tree, hash.finish())
    } catch let error as ArchiveError {
      let inner = error.member.isEmpty ? "" : " (inside: \(memberDescription(error.member)))"
      throw BundleError(
        "member \(name)\(inner)", error.reason, hint: BundleError.damagedAdvice, form: .clause)
    } catch let error as BundleError {
      throw BundleError(
        "member \(name)", error.message, hint: error.hint, form: .clause)
    }
  }

  private func checkSum(
    _ actual: Digest, _ name: String, _ member: TarMember
  ) throws(BundleError) {
    guard let text = member.comment, text.hasPrefix(TarMember.checksumPrefix) else { return }
    guard text.dropFirst(TarMember.checksumPrefix.count) == actual.description else {
      throw BundleError(
        "member \(name)", "does not match its SHA-256 in the bundle",
        hint: "Nothing was imported; the bundle is damaged: transfer it again")
    }
  }
}

/// A hash that a reading closure updates.
private final class RunningHash {
  private var hash = SHA256()
  func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bytes) }
  func finish() -> Digest { hash.finish() }
}

/// Reads a source to its end, so that the checksum of its stream is verified.
private func drain(_ source: (UnsafeMutableRawBufferPointer) throws -> Int) throws {
  var rest = [UInt8](repeating: 0, count: 64 << 10)
  while try rest.withUnsafeMutableBytes({ try source($0) }) > 0 {}
}
