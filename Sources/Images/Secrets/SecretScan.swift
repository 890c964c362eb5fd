// Scans all components of an image for secrets: trees, packed images, ramdisks, and the files of lists and
// extras. Commands whose output leaves the management node use it: `export` and `copy`.

import Archive
import Codec
import Platform
import Render
import Store

/// The result of scanning one file of an image.
enum FileSecrets: Sendable {
  case none
  case plain(SecretVerdict)
  case archive(ArchiveSecrets)
  case squashfs(ArchiveSecrets)
  case unexamined(UnexaminedFile)
}

/// Scans the components of an image.
final class SecretScan {
  let store: ObjectStore
  let examiner = SecretExaminer.standard
  private let progress: Progress
  private let known: KnownCleanFiles
  private let archives: ArchiveFindingsCache
  private var trees: [Digest: TreeSecrets] = [:]
  /// The root tree from which packed images were built. Its package database also applies to them. If it is
  /// nil, the scan reads the database inside the archive.
  var rootTree: Entry?

  /// Roles whose files must be archives.
  static let archiveRoles: Set<Role> = [.packed, .ramdisk]
  /// Roles whose files are programs.
  static let programRoles: Set<Role> = [.kernel, .hypervisor]

  init(_ store: ObjectStore, progress: Progress) {
    self.store = store
    self.progress = progress
    known = KnownCleanFiles(store.layout, fingerprint: SecretExaminer.fingerprint)
    archives = ArchiveFindingsCache(layout: store.layout)
  }

  /// Saves the list of clean files for the next scan.
  func finish() { known.save() }

  // MARK: Parts

  /// Scans a root tree.
  func tree(_ top: Entry) throws -> TreeSecrets {
    try scan(top, .tree, prefix: [])
  }

  /// Scans a directory of the management node.
  func directory(_ top: Entry, at path: AbsolutePath) throws -> TreeSecrets {
    try scan(top, .site, prefix: path.bytes + [0x2f])
  }

  private func scan(
    _ top: Entry, _ scope: SecretScanScope, prefix: [UInt8]
  ) throws -> TreeSecrets {
    guard let tree = top.tree else { return TreeSecrets() }
    let key = SHA256.digest(of: tree.bytes + prefix)
    if let found = trees[key] { return found }
    progress.begin("scanning for secrets")
    let found = try TreeScan(
      store: store, known: known, examiner: examiner, scope: scope, progress: progress,
      prefix: prefix
    ).run(top)
    trees[key] = found
    return found
  }

  /// Scans a file of the image.
  func file(_ path: AbsolutePath, role: Role, _ entry: Entry) throws -> FileSecrets {
    guard case .file(let blob, let size) = entry.content, size > 0,
      !SecretScan.programRoles.contains(role)
    else { return .none }
    if role == .rawImage {
      return .unexamined(
        UnexaminedFile(
          path: path.bytes, reason: "is a disk image, which imgstore does not examine",
          hint: "Export without --scrub, or remove the secrets from the disk image yourself"))
    }
    let head = try self.head(blob, size)
    let isArchiveRole = SecretScan.archiveRoles.contains(role)
    if head.starts(with: SquashfsReader.magic) || ArchiveWalk.isArchive(head[...]) {
      do {
        return try archive(blob, size, head)
      } catch let error as ArchiveError {
        if !isArchiveRole, let verdict = try compressed(path, blob, size) {
          return .plain(verdict)
        }
        if !isArchiveRole { return .none }
        return .unexamined(SecretScan.unread(path, error.reason))
      }
    }
    if isArchiveRole {
      return .unexamined(
        SecretScan.unread(path, "it is not an archive in a supported format"))
    }
    if let form = ContainerFormat.of(head) {
      return .unexamined(
        UnexaminedFile(
          path: path.bytes, reason: "is \(form), which imgstore does not examine",
          hint: "Leave it out of the export, or pack it as a tar archive"))
    }
    return try plain(path, blob, size)
  }

  private static func unread(_ path: AbsolutePath, _ reason: String) -> UnexaminedFile {
    UnexaminedFile(
      path: path.bytes, reason: "cannot be examined: \(reason)",
      hint: "Pack it again with gzip, xz or zstd, or as squashfs with one of these")
  }

  private func head(_ blob: Digest, _ size: UInt64) throws -> [UInt8] {
    var head = [UInt8](repeating: 0, count: Int(min(size, 512)))
    try head.withUnsafeMutableBytes { try store.fill($0, from: blob, sizeBytes: size, at: 0) }
    return head
  }

  // MARK: Files

  private func plain(
    _ path: AbsolutePath, _ blob: Digest, _ size: UInt64
  ) throws -> FileSecrets {
    let rules = examiner.paths.rules(for: path.bytes)
    let key = KnownCleanFiles.Key(blob, at: path.bytes, rules.map(\.id).joined(separator: " "))
    if known.contains(key) { return .none }
    var bytes: [UInt8]?
    if size <= SecretExaminer.maxTextBytes {
      var content: [UInt8] = []
      try store.read(blob, sizeBytes: size) { content += $1 }
      let isProgram = content.withUnsafeBytes {
        SecretExaminer.isProgram($0)
          || size > SecretExaminer.maxBytes && !SecretExaminer.isText($0)
      }
      if !isProgram { bytes = content }
    }
    guard let verdict = examiner.examine(path.bytes, rules, bytes, sizeBytes: size, .site) else {
      known.add([key])
      return .none
    }
    return .plain(verdict)
  }

  /// Examines a compressed file that is not an archive. It is left out as a whole if it holds secrets.
  private func compressed(
    _ path: AbsolutePath, _ blob: Digest, _ size: UInt64
  ) throws -> SecretVerdict? {
    let reader = DecompressingReader(try BlobSource(store, blob, sizeBytes: size).source)
    var content: [UInt8] = []
    var window = [UInt8](repeating: 0, count: 64 << 10)
    do {
      while content.count < Int(SecretExaminer.maxTextBytes) {
        let n = try window.withUnsafeMutableBytes { try reader.read($0) }
        if n == 0 { break }
        content += window[..<n]
      }
    } catch is ArchiveError {
      // The bytes before the damage are examined.
    }
    // The rules for "shadow" also hold for "shadow.gz".
    let plainName = path.bytes[..<(path.bytes.lastIndex(of: UInt8(ascii: ".")) ?? path.bytes.count)]
    let rules = examiner.paths.rules(for: Array(plainName))
    var verdict = examiner.examine(
      Array(plainName), rules, content, sizeBytes: UInt64(content.count), .site)
    verdict?.scrubbed = nil
    return verdict
  }

  // MARK: Archives

  /// Opens an archive, or a squashfs image as a tar stream.
  func open(_ blob: Digest, _ size: UInt64, isSquashfs: Bool) throws -> ByteSource {
    guard isSquashfs else { return try BlobSource(store, blob, sizeBytes: size).source }
    return try squashfs(blob, size).tarStream(top: ImageRootName.bytes)
  }

  func squashfs(_ blob: Digest, _ size: UInt64) throws -> SquashfsReader {
    let store = store
    return try SquashfsReader(sizeBytes: size) { offset, target in
      try store.fill(target, from: blob, sizeBytes: size, at: offset)
    }
  }

  private func archive(_ blob: Digest, _ size: UInt64, _ head: [UInt8]) throws -> FileSecrets {
    let isSquashfs = head.starts(with: SquashfsReader.magic)
    var secrets: ArchiveSecrets
    if let found = archives.find(blob) {
      secrets = found
    } else {
      progress.begin("scanning for secrets")
      let scan = ArchiveScan(examiner, .tree, top: ImageRootName.bytes)
      secrets = try scan.run { try open(blob, size, isSquashfs: isSquashfs) }
      try markPublished(&secrets) { try open(blob, size, isSquashfs: isSquashfs) }
      archives.put(blob, secrets)
    }
    if secrets.isEmpty { return .none }
    return isSquashfs ? .squashfs(secrets) : .archive(secrets)
  }

  /// Marks the findings that a package in the archive's own database published.
  private func markPublished(
    _ secrets: inout ArchiveSecrets, _ open: () throws -> ByteSource
  ) throws {
    let files = Dictionary(
      secrets.found.compactMap { found in found.published.map { (found.path, $0) } }
    ) { $1 }
    if files.isEmpty { return }
    let packages: [[UInt8]: String]
    if let rootTree {
      let view = OverlayTree(store, modified: rootTree.modified)
      packages = PublishedFiles.packages(of: files, in: PackageRootTree(view, rootTree))
    } else {
      let tree = ArchiveRootTree(top: ImageRootName.bytes)
      try ArchiveWalk(tree).run(try open())
      packages = PublishedFiles.packages(of: files, in: tree)
    }
    for i in secrets.found.indices where secrets.found[i].published != nil {
      guard let package = packages[secrets.found[i].path] else { continue }
      secrets.found[i].package = package
      secrets.found[i].treatment = .kept
    }
  }
}

/// Recognizes container formats that are not scanned.
enum ContainerFormat {
  private static let forms: [(magic: [UInt8], offset: Int, name: String)] = [
    (Array("PK\u{3}\u{4}".utf8), 0, "a zip archive"),
    ([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c], 0, "a 7z archive"),
    (Array("Rar!".utf8), 0, "a rar archive"),
    ([0x04, 0x22, 0x4d, 0x18], 0, "compressed with lz4"),
    ([0x02, 0x21, 0x4c, 0x18], 0, "compressed with lz4"),
    ([0x89, 0x4c, 0x5a, 0x4f, 0], 0, "compressed with lzop"),
    (Array("LZIP".utf8), 0, "compressed with lzip"),
    (Array("QFI".utf8) + [0xfb], 0, "a disk image (qcow2)"),
    (Array("LUKS".utf8) + [0xba, 0xbe], 0, "an encrypted disk image (LUKS)"),
    (Array("KDMV".utf8), 0, "a disk image (VMDK)"),
    (Array("070707".utf8), 0, "a cpio archive in an old format"),
    ([0xc7, 0x71], 0, "a cpio archive in an old format"),
    ([0x55, 0xaa], 510, "a disk image"),
  ]

  /// Returns the name of the format; nil if it is unknown.
  /// - Parameter head: the first 512 bytes.
  static func of(_ head: [UInt8]) -> String? {
    forms.first { head.count > $0.offset && head[$0.offset...].starts(with: $0.magic) }?.name
  }
}
