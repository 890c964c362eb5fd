// Finds secrets in a stored tree: walks over the names, then examines contents on all processors.
//
// 1. All names of an inode share a verdict.
// 2. Contents are read from the store in parts. Each thread holds at most one file, of at most 16 MiB.
// 3. Files without findings in an earlier scan are not read (`KnownCleanFiles`).

import Archive
import Codec
import Platform
import Render
import Store

/// The findings of a tree scan.
struct TreeSecrets: Sendable {
  struct Finding: Sendable {
    /// Relative to the top. A member of an archive follows the archive's path and ":".
    let path: [UInt8]
    /// The file in the tree.
    let file: RelativePath
    var items: [SecretVerdict.Item]
    /// The file's bytes in a scrubbed tree; nil if the file is left out.
    var scrubbed: [UInt8]?
    var entry: Entry
    var published: PublishedFiles.Content?
    var package: String?
  }
  var found: [Finding] = []

  /// The edits that turn the scanned tree into a scrubbed one.
  var edits: TreeEdits {
    var edits = TreeEdits()
    let removed = Set(found.filter { $0.package == nil && $0.scrubbed == nil }.map(\.file))
    for item in found where item.package == nil {
      if removed.contains(item.file) {
        edits.remove(item.file)
      } else if let bytes = item.scrubbed {
        edits.put(item.file, .fileLike(item.entry, bytes))
      }
    }
    return edits
  }
}

/// Scans stored trees.
struct TreeScan {
  let store: ObjectStore
  let known: KnownCleanFiles
  let examiner: SecretExaminer
  let scope: SecretScanScope
  let progress: Progress
  /// The path of the scanned directory on the management node, with a final "/"; empty for a root tree.
  var prefix: [UInt8] = []

  private struct Candidate: Sendable {
    let path: RelativePath
    let entry: Entry
    var rules: [SecretRule]
    let isArchive: Bool
  }

  private static let batch = 64

  /// Scans the tree of a directory.
  /// - Throws: `StoreError`.
  func run(_ top: Entry) throws -> TreeSecrets {
    var candidates: [Candidate] = []
    try store.withReadTransaction { try collect(top, .top, &candidates) }
    shareRules(&candidates)
    let found = try examine(candidates)
    var result = TreeSecrets(found: found)
    let files = Dictionary(
      result.found.compactMap { item in item.published.map { (item.file.bytes, $0) } }
    ) { $1 }
    let view = OverlayTree(store, modified: top.modified)
    let packages = PublishedFiles.packages(of: files, in: PackageRootTree(view, top))
    for i in result.found.indices { result.found[i].package = packages[result.found[i].file.bytes] }
    return result
  }

  private func collect(
    _ directory: Entry, _ path: RelativePath, _ candidates: inout [Candidate]
  ) throws {
    guard let ids = directory.ids else { return }
    for entry in try Tree.entries(ids, from: store) {
      let path = path.appending(entry.name)
      if entry.kind == .directory {
        try collect(entry, path, &candidates)
        continue
      }
      guard case .file(_, let size) = entry.content, size > 0 else { continue }
      let whole = prefix + path.bytes
      let rules = examiner.paths.rules(for: whole)
      let isArchive = ArchiveNames.mayBeArchive(whole, scope)
      guard !rules.isEmpty || isArchive || examiner.wantsContent(whole, sizeBytes: size, scope)
      else { continue }
      candidates.append(Candidate(path: path, entry: entry, rules: rules, isArchive: isArchive))
    }
  }

  /// Gives all names of an inode the rules of each name.
  private func shareRules(_ candidates: inout [Candidate]) {
    var groups: [UInt64: [SecretRule]] = [:]
    for candidate in candidates where candidate.entry.linkGroup != 0 {
      for rule in candidate.rules
      where !groups[candidate.entry.linkGroup, default: []].contains(where: { $0.id == rule.id }) {
        groups[candidate.entry.linkGroup, default: []].append(rule)
      }
    }
    for i in candidates.indices {
      if let rules = groups[candidates[i].entry.linkGroup] { candidates[i].rules = rules }
    }
  }

  private func examine(_ candidates: [Candidate]) throws -> [TreeSecrets.Finding] {
    let next = Monitor(0)
    let results = Monitor<[Int: [TreeSecrets.Finding]]>([:])
    let scan = self
    if candidates.isEmpty { return [] }
    try runThreads(max(1, processorCount)) { _ in
      var buffer: [UInt8] = []
      while true {
        let start = next.withLock { next in
          defer { next += TreeScan.batch }
          return next
        }
        guard start < candidates.count else { return }
        var clean: [KnownCleanFiles.Key] = []
        for i in start..<min(start + TreeScan.batch, candidates.count) {
          let found = try scan.examine(candidates[i], &buffer, &clean)
          if !found.isEmpty { results.withLock { $0[i] = found } }
        }
        scan.known.add(clean)
      }
    }
    return results.withLock { $0.sorted { $0.key < $1.key }.flatMap(\.value) }
  }

  private func examine(
    _ candidate: Candidate, _ buffer: inout [UInt8], _ clean: inout [KnownCleanFiles.Key]
  ) throws -> [TreeSecrets.Finding] {
    guard case .file(let blob, let size) = candidate.entry.content else { return [] }
    let whole = prefix + candidate.path.bytes
    let isPlaced = examiner.dependsOnPath(candidate.rules, whole, scope)
    let rules = candidate.rules.map(\.id).joined(separator: " ")
    let key = KnownCleanFiles.Key(
      blob, at: isPlaced ? whole : nil, (candidate.isArchive ? "a" : "") + rules)
    if known.contains(key) { return [] }
    if candidate.isArchive, let found = try scanArchive(candidate, blob, size) {
      if found.isEmpty { clean.append(key) }
      return found
    }
    let isExamined = try read(blob, size, hasRules: isPlaced, &buffer)
    if isExamined == .skipped, candidate.rules.isEmpty {
      clean.append(key)
      return []
    }
    let bytes = isExamined == .held ? buffer : nil
    guard
      let verdict = examiner.examine(whole, candidate.rules, bytes, sizeBytes: size, scope)
    else {
      clean.append(key)
      return []
    }
    return [
      TreeSecrets.Finding(
        path: candidate.path.bytes, file: candidate.path, items: verdict.items,
        scrubbed: verdict.scrubbed, entry: candidate.entry,
        published: scope == .tree
          ? bytes.flatMap { PublishedFiles.candidate(whole, verdict, $0) } : nil)
    ]
  }

  private enum Reading { case held, skipped }

  /// Reads a file into the buffer if its content may hold a secret.
  /// - Parameter hasRules: whether to read it even if it contains no known form.
  private func read(
    _ blob: Digest, _ size: UInt64, hasRules: Bool, _ buffer: inout [UInt8]
  ) throws -> Reading {
    buffer.removeAll(keepingCapacity: true)
    guard size <= SecretExaminer.maxTextBytes else { return .skipped }
    var isFirst = true
    var isSkipped = false
    var mayMatch = hasRules
    for part in try store.parts(of: blob, sizeBytes: size) {
      try store.read(part) { _, bytes in
        if isFirst {
          isSkipped =
            SecretExaminer.isProgram(bytes)
            || size > SecretExaminer.maxBytes && !SecretExaminer.isText(bytes)
          isFirst = false
          // Most files have one part, which is searched without a copy.
          if !isSkipped, !hasRules, bytes.count == Int(size) {
            mayMatch = examiner.forms.mayMatch(bytes)
            isSkipped = !mayMatch
          }
        }
        if !isSkipped { buffer.append(contentsOf: bytes) }
      }
      if isSkipped { return .skipped }
    }
    if !mayMatch, !buffer.withUnsafeBytes({ examiner.forms.mayMatch($0) }) { return .skipped }
    return .held
  }

  /// Scans an archive; returns nil if the file is not an archive.
  private func scanArchive(
    _ candidate: Candidate, _ blob: Digest, _ size: UInt64
  ) throws -> [TreeSecrets.Finding]? {
    func open() throws -> ByteSource { try BlobSource(store, blob, sizeBytes: size).source }
    guard ArchiveWalk.isArchive(try PeekingReader(try open()).peek(512)) else { return nil }
    let secrets: ArchiveSecrets
    do {
      let scan = ArchiveScan(examiner, .tree, top: ImageRootName.bytes, depth: 1)
      secrets = try scan.run(open)
    } catch is ArchiveError {
      return nil
    }
    return secrets.found.map { found in
      TreeSecrets.Finding(
        path: candidate.path.bytes + [0x3a] + found.path, file: candidate.path, items: found.items,
        scrubbed: nil, entry: candidate.entry)
    }
  }
}

/// Reads a blob as a pull stream.
final class BlobSource {
  private let store: ObjectStore
  private var parts: BlobParts.Iterator
  private var held: [UInt8] = []
  private var offset = 0

  init(_ store: ObjectStore, _ blob: Digest, sizeBytes: UInt64) throws {
    self.store = store
    parts = try store.parts(of: blob, sizeBytes: sizeBytes).makeIterator()
  }

  var source: ByteSource { { [self] in try read($0) } }

  private func read(_ target: UnsafeMutableRawBufferPointer) throws -> Int {
    while offset == held.count {
      guard let part = parts.next() else { return 0 }
      held.removeAll(keepingCapacity: true)
      offset = 0
      try store.read(part) { held.append(contentsOf: $1) }
    }
    let n = min(target.count, held.count - offset)
    target.copyBytes(from: held[offset..<offset + n])
    offset += n
    return n
  }
}
