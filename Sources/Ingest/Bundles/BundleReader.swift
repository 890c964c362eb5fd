// A bundle into the store, read once, as a stream, before anything else is decided.
//
//     source ─▶ gzip | xz | lzma | bzip2 | zstd | plain ─▶ tar ─▶ member ─▶ blob, or tree (rootimgtree.gz)
//
// 1. The bundle is hostile. A name that is absolute, holds "..", stands twice, lies below what is no
//    folder, or lies too deep refuses the whole bundle, and so do devices. Links may lie in folders
//    of extras and kits only, and lead nowhere else.
// 2. Nothing outside the store is written here: members become blobs, trees become objects, the
//    manifests stay in memory.
// 3. A member whose header carries its SHA-256 (our own bundles', in a comment) has it.

import Archive
import Codec
import Platform
import Store

/// Reads bundles into a session.
public struct BundleReader: Sendable {
  static let maxManifestBytes = 16 << 20
  /// Manifests and litefile.csv of all images together: they stay in memory.
  static let maxKeptBytes = 32 << 20
  /// For the decoder of an archive within the bundle, whose own decoder is at work as well. Enough
  /// for gzip, `xz -9` and our own frames.
  static let innerDecoderBytes = 72 << 20

  private let progress: Progress

  private let staging: StagedBlobs?
  private let forecast: ChunkPredictor
  private let signatureGate: SignatureGate

  /// - Parameters:
  ///   - staging: takes large files, to be placed later without being written again.
  ///   - forecast: of blobs that large files of the bundle may resemble.
  ///   - signatureGate: is asked before the first file of an image whose signatures were read.
  public init(
    progress: Progress, staging: StagedBlobs? = nil, forecast: ChunkPredictor = ChunkPredictor(),
    signatureGate: @escaping SignatureGate = { _, _ in }
  ) {
    self.signatureGate = signatureGate
    self.progress = progress
    self.staging = staging
    self.forecast = forecast
  }

  /// Reads a bundle to its end.
  /// - Parameter source: the stream, compressed or not.
  /// - Returns: its images, by the order of their folders' names.
  /// - Throws: `BundleError`, `StoreError`, and what the source throws.
  public func read(
    _ source: @escaping @Sendable (UnsafeMutableRawBufferPointer) throws -> Int,
    into session: WriteSession
  ) throws -> [BundledImage] {
    let images = Monitor<[BundledImage]>([])
    let isTaken = Monitor(false)
    // One thread reads; the others compress the frames that it fills.
    try session.run { worker in
      let isFirst = isTaken.withLock { taken in
        defer { taken = true }
        return !taken
      }
      guard isFirst else { return }
      var taking = ReadState(worker, progress, staging, forecast, signatureGate)
      try taking.read(source)
      let found = try taking.held.images()
      images.withLock { $0 = found }
    }
    return images.withLock { $0 }
  }
}

/// One bundle on its way in.
private struct ReadState: ~Copyable {
  private let worker: SessionWorker
  private let progress: Progress
  private let staging: StagedBlobs?
  private var blobs: BlobIngester
  private(set) var held = BundleContent()
  private var rules = BundleRules()
  private var keptBytes = 0
  private let expansion = ExpansionGuard()
  private let signatureGate: SignatureGate
  /// Folders of images whose signatures were shown to the gate.
  private var gatedFolders: Set<String> = []
  /// The member that was begun last.
  private var current: [UInt8] = []

  init(
    _ worker: SessionWorker, _ progress: Progress, _ staging: StagedBlobs?,
    _ forecast: ChunkPredictor, _ signatureGate: @escaping SignatureGate
  ) {
    self.signatureGate = signatureGate
    self.worker = worker
    self.progress = progress
    self.staging = staging
    blobs = BlobIngester(beside: true, forecast: forecast)
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
      while let member = try tar.next() { try take(member, tar) }
      // As GNU tar, a bundle without an end mark is taken where nothing can be missing: the checksum of the
      // compressed stream has told that it is whole.
      guard tar.hasEndMark || isCompressed.withLock({ $0 }) else {
        throw ArchiveError("the archive is cut off: it ends without the end mark, a block of zeros")
      }
      guard try hasOnlyZerosLeft({ try plain.read($0) }) else {
        throw ArchiveError("something follows the archive's end mark: more than one archive?")
      }
    } catch let error as ArchiveError {
      let place = current.isEmpty ? "" : " (in or after \(shown(current)))"
      throw BundleError(
        error.member.isEmpty ? "the bundle" : shown(error.member),
        error.member.isEmpty ? error.finding + place : error.finding,
        advice: error.finding.contains("expand")
          ? "Nothing was imported; where its origin is trusted, import what 'gzip -dc' makes of it"
          : BundleError.incompleteAdvice)
    }
  }

  private mutating func take(_ archived: TarMember, _ tar: TarReader) throws {
    current = archived.path
    guard let parts = try rules.take(archived) else { return }
    let member = narrowed(archived)
    let name = parts.joined(separator: "/")
    switch member.kind {
    case .directory:
      if let known = held.entries[name] {
        guard case .directory = known.content else { throw BundleRules.twice(name) }
        return
      }
      try add(name, .directory, member)
    case .file: try takeFile(name, parts, member, tar)
    case .symlink(let target): try add(name, .symlink(target: target), member)
    case .hardLink(let target):
      let other = try member.cleanParts(of: target).joined(separator: "/")
      guard let known = held.entries[other], case .file(let blob, _) = known.content else {
        throw BundleError(
          member.object, "is a hard link to what is no earlier file of the bundle",
          advice: BundleError.distrust)
      }
      if member.sizeBytes > 0 {
        let content = try blobs.ingest(worker) { try tar.read($0) }
        guard content.id == blob else {
          throw ArchiveError(
            member: member.path, "it is a hard link with other content than its target")
        }
      }
      var linked = known.member
      linked.path = member.path
      try add(name, known.content, linked)
    case .characterDevice, .blockDevice, .fifo: break  // refused by the rules
    }
  }

  /// A member without what no bundle brings: attributes and access control lists. The mode that is
  /// left gives nobody more than the list did.
  private mutating func narrowed(_ member: TarMember) -> TarMember {
    var narrowed = member
    for what in member.unknown { held.losses["the bundle's \(what)", default: 0] += 1 }
    if !member.xattrs.isEmpty {
      held.losses["extended attributes of the bundle's members", default: 0] += 1
    }
    let list =
      member.accessList
      ?? member.xattrs.first { $0.name == AccessList.accessName }
      .flatMap { AccessList(linuxValue: $0.value) }
    if let list, !list.isMinimal {
      held.losses["access control lists of the bundle's members", default: 0] += 1
      narrowed.mode = list.narrowedMode(member.mode)
    }
    (narrowed.xattrs, narrowed.accessList, narrowed.defaultList) = ([], nil, nil)
    return narrowed
  }

  private mutating func takeFile(
    _ name: String, _ parts: [String], _ member: TarMember, _ tar: TarReader
  ) throws {
    if parts.last == "manifest.xml", parts.count <= 2 {
      let folder = parts.dropLast().joined(separator: "/")
      guard held.manifests[folder] == nil else { throw BundleRules.twice(name) }
      let bytes = try readManifest(tar, member)
      try checkSum(SHA256.digest(of: bytes), name, member)
      try keep(bytes.count)
      held.manifests[folder] = bytes
      held.manifestMembers[folder] = member
      return
    }
    if let (folder, file) = SignatureMember.place(parts) {
      return try takeSignature(folder, file, name, member, tar)
    }
    try passGate(parts)
    guard held.entries[name] == nil else { throw BundleRules.twice(name) }
    let isTree =
      parts.last == "rootimgtree.gz" && parts.count <= 2
      || Array(parts.suffix(2)) == ["complete", "rootimg.tar.zst"] && parts.count <= 3
    progress.add(items: 1)
    if isTree {
      let (tree, digest) = try readTree(name, tar)
      try checkSum(digest, name, member)
      return try add(name, .tree(tree), member, archive: digest)
    }
    let keeping = parts.last == "litefile.csv" && parts.count <= 2
    var kept: [UInt8] = []
    // The zeros of holes are read, hashed and written as any content.
    if let sparse = member.sparse { try expansion.add(sparse.holeBytes) }
    let ready = staging?.begin(sizeBytes: member.sizeBytes)
    let blob = try blobs.ingest(worker, copyingTo: ready) { [progress] target in
      let n = try tar.read(target)
      progress.add(bytes: UInt64(n))
      if keeping, kept.count <= BundleReader.maxManifestBytes {
        kept += UnsafeRawBufferPointer(rebasing: target[..<n])
      }
      return n
    }
    if keeping {
      guard kept.count <= BundleReader.maxManifestBytes else {
        throw BundleError("member \(name)", "has more than 16 MiB, too many for a list of rows")
      }
      try keep(kept.count)
      held.litefiles[parts.dropLast().joined(separator: "/")] = kept
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
    guard held.entries[name] == nil else { throw BundleRules.twice(name) }
    // All entries are kept until the end: what has no bound over them is not.
    var kept = member
    kept.comment = nil
    kept.sparse = nil
    kept.unknown = []
    held.entries[name] = BundleEntry(content: content, member: kept, archiveDigest: digest)
  }

  // MARK: Signatures

  private mutating func takeSignature(
    _ folder: String, _ file: String, _ name: String, _ member: TarMember, _ tar: TarReader
  ) throws {
    guard held.signatures[folder]?[file] == nil, held.entries[name] == nil else {
      throw BundleRules.twice(name)
    }
    guard member.sizeBytes <= UInt64(SignatureMember.maxBytes),
      held.signatures[folder]?.count ?? 0 < SignatureMember.maxFiles
    else {
      throw BundleError(
        "member \(name)", "is one signature too many, or too large to be one",
        advice: BundleError.distrust)
    }
    let bytes = try readWhole(tar, member)
    try checkSum(SHA256.digest(of: bytes), name, member)
    try keep(bytes.count)
    held.signatures[folder, default: [:]][file] = bytes
  }

  /// Shows the gate the signatures of an image, once, before its first file is read.
  private mutating func passGate(_ parts: [String]) throws {
    for folder in [parts.dropLast().first ?? "", ""] where !gatedFolders.contains(folder) {
      guard let files = held.signatures[folder] else { continue }
      gatedFolders.insert(folder)
      try signatureGate(folder, files)
    }
  }

  /// Counts what stays in memory until the end.
  private mutating func keep(_ sizeBytes: Int) throws(BundleError) {
    keptBytes += sizeBytes
    guard keptBytes <= BundleReader.maxKeptBytes else {
      throw BundleError(
        "the bundle", "has more than \(BundleReader.maxKeptBytes >> 20) MiB of manifests and lists",
        advice: BundleError.distrust)
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
      guard n > 0 else { throw BundleError(shown(member.path), "ends too early") }
      done += n
    }
    return bytes
  }

  /// A tree that lies in the bundle as an archive, and the SHA-256 of the archive's own bytes.
  private func readTree(_ name: String, _ tar: TarReader) throws -> (ArchiveTree, Digest) {
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
        }, worker: worker, top: Array("rootimg".utf8))
      try drain { try archive.read($0) }
      return (tree, hash.finish())
    } catch let error as ArchiveError {
      let inner = error.member.isEmpty ? "" : " (inside: \(shown(error.member)))"
      throw BundleError(
        "member \(name)\(inner)", error.finding, advice: BundleError.damagedAdvice)
    } catch let error as BundleError {
      throw BundleError(
        "member \(name)", "\(error.object): \(error.finding)", advice: error.advice)
    }
  }

  private func checkSum(
    _ found: Digest, _ name: String, _ member: TarMember
  ) throws(BundleError) {
    guard let text = member.comment, text.hasPrefix(TarMember.checksumPrefix) else { return }
    guard text.dropFirst(TarMember.checksumPrefix.count) == found.description else {
      throw BundleError(
        "member \(name)", "has not the content whose SHA-256 the bundle names",
        advice: "Nothing was imported; fetch the bundle again: it was damaged on its way")
    }
  }
}

/// What archives within the bundle become, against what the bundle has: two streams, one within the
/// other, may each keep the limit and expand together a hundred thousand times.
private final class ExpansionGuard: Sendable {
  fileprivate let counts = Monitor((source: UInt64(0), plain: UInt64(0), holes: UInt64(0)))
  private let limit = ExpansionLimit.standard

  /// Bytes of the bundle, as they are read ahead.
  func noteSource(_ bytes: Int) { counts.withLock { $0.source += UInt64(bytes) } }

  func add(_ bytes: UInt64) throws(ArchiveError) {
    let (source, plain) = counts.withLock { counts in
      counts.plain &+= bytes
      return (counts.source, counts.plain)
    }
    guard limit.allows(plain: plain, compressed: source) else {
      throw ArchiveError(
        "the bundle's \(source) bytes expand more than \(limit.ratio) times, to "
          + "\(plain) so far")
    }
  }
}

extension ExpansionGuard {
  /// Holes of files in trees.
  func add(holes bytes: UInt64) throws(ArchiveError) {
    let (source, holes) = counts.withLock { counts in
      counts.holes &+= bytes
      return (counts.source, counts.holes)
    }
    guard ExpansionLimit.holes.allows(plain: holes, compressed: source) else {
      throw ArchiveError(
        "the bundle's \(source) bytes claim holes of \(holes) bytes, more than "
          + "\(ExpansionLimit.holes.ratio) times as many")
    }
  }
}

/// A hash that a reading closure feeds.
private final class RunningHash {
  private var hash = SHA256()
  func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bytes) }
  func finish() -> Digest { hash.finish() }
}

/// Reads a source to its end, so that the checksum of its stream is checked.
private func drain(_ source: (UnsafeMutableRawBufferPointer) throws -> Int) throws {
  var rest = [UInt8](repeating: 0, count: 64 << 10)
  while try rest.withUnsafeMutableBytes({ try source($0) }) > 0 {}
}
