// imgstore copy: a snapshot becomes an image of its own, under another profile: what export and import
// with -f do, without a bundle between.
//
//     snapshot ─▶ members, as an export has them, and the root tree ─▶ as an import takes them
//
// 1. Nothing is written to the store but trees: the new image shares all content with the old one.
// 2. It is an import in everything else: checked before anything changes, under a journal, proved,
//    recorded as a snapshot, and undone by a revert to what was there before.

import Archive
import Codec
import Ingest
import Platform
import Render
import Store
import XCAT

/// What to copy, and to what.
public struct CopyRequest: Sendable {
  /// A reference. A bare image name is the live image: it is snapshotted first where it changed.
  public var reference: String
  /// The new image's name and profile.
  public var name: String
  public var profile: String
  /// An image of that name may be replaced.
  public var replaces = false
  public var isDryRun = false

  public init(_ reference: String, name: String, profile: String) {
    self.reference = reference
    self.name = name
    self.profile = profile
  }
}

extension Workspace {
  /// Copies an image.
  /// - Throws: what an export and an import throw. Until files are being placed nothing has changed.
  public func copy(
    _ request: CopyRequest, report: @escaping (BundleEvent) -> Void = { _ in }
  ) throws -> ImportOutcome {
    let start = monotonicSeconds()
    var export = ExportRequest(request.reference)
    export.takesTree = true
    let snapshot = try exported(export)
    guard request.name != snapshot.snapshot.image else {
      throw ImageError(
        "image \(request.name)", "is what would be copied",
        advice: "Give the copy another name; 'imgstore revert' makes an image what it was")
    }
    let store = try store()
    let session = try store.beginSession()
    let collection = try ExportCollection(
      self, snapshot, export, session, SegmentCache(store.layout, limitBytes: 0))
    let layout = try ExportLayout(collection.contents, installDirectory: collection.install)
    let image = try BundledCopy(store, session).image(layout, collection)

    var taking = ImportRequest("")
    taking.copied = snapshot
    taking.name = request.name
    taking.profile = request.profile
    taking.replaces = request.replaces
    taking.isDryRun = request.isDryRun
    // These are files of an image of this node: lists stay where its administrator has them.
    taking.allowed = snapshot.snapshot.pieces.compactMap { AbsolutePath($0.path) }
      .filter { !$0.isInside(collection.install) && !$0.parent.components.isEmpty }
      .map(\.parent.text)
    return try takeIn([image], 0, taking, session, nil, start, report)
  }
}

/// Members of an export as those of a bundle that has been read.
private struct BundledCopy {
  private let store: ObjectStore
  private let session: WriteSession
  private var entries: [String: BundleEntry] = [:]
  private var litefile: [UInt8]?

  init(_ store: ObjectStore, _ session: WriteSession) {
    self.store = store
    self.session = session
  }

  consuming func image(
    _ layout: ExportLayout, _ collection: ExportCollection
  ) throws -> BundledImage {
    for member in layout.members {
      switch member.source {
      case .bytes(let bytes):
        litefile = bytes
        let blob = try session.addBlob(bytes)
        entries[member.name] = BundleEntry(
          content: .file(blob: blob, sizeBytes: UInt64(bytes.count)),
          member: TarMember(path: Array(member.name.utf8), kind: .file, mode: 0o644))
      case .file(let path), .folder(let path):
        try add(try collection.piece(path).entry, member.name)
      case .compressedTree(let path), .tree(let path):
        let entry = try collection.piece(path).entry
        let counts = try TreeCounts(entry, in: store)
        entries[member.name] = BundleEntry(
          content: .tree(
            ArchiveTree(
              entry: entry, entryCount: counts.entries, contentBytes: counts.contentBytes)),
          member: TarMember(path: Array(member.name.utf8), kind: .file, mode: 0o644))
      }
    }
    return BundledImage(
      folder: layout.folder, manifest: try layout.manifest.render(), litefile: litefile,
      entries: entries)
  }

  private mutating func add(_ entry: Entry, _ name: String) throws {
    var member = TarMember(path: Array(name.utf8), kind: .file, mode: entry.mode)
    (member.uid, member.gid) = (entry.uid, entry.gid)
    member.modifiedSeconds = entry.modified.seconds
    member.modifiedNanoseconds = entry.modified.nanoseconds
    switch entry.content {
    case .file(let blob, let size):
      entries[name] = BundleEntry(content: .file(blob: blob, sizeBytes: size), member: member)
    case .symlink(let target):
      member.kind = .symlink(target: target)
      entries[name] = BundleEntry(content: .symlink(target: target), member: member)
    case .directory:
      member.kind = .directory
      entries[name] = BundleEntry(content: .directory, member: member)
      for child in try entry.ids.map({ try Tree.entries($0, from: store) }) ?? [] {
        guard let text = String(validating: child.name, as: UTF8.self) else {
          throw ImageError(
            "\(name)/\(printable(child.name))", "has a name that is not UTF-8",
            advice: "Rename the file, and take a snapshot again")
        }
        try add(child, "\(name)/\(text)")
      }
    case .device, .fifo, .socket, .unreadableFile, .unreadableDirectory: break
    }
  }
}
