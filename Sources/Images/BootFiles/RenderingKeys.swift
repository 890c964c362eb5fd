// The keys of rendered boot files. A packed image has data of the management node besides the snapshot's: root's
// password, postscripts, the files of synclists. A key covers all of it, so that a change of this data gives a new
// file, and never other bytes under the same key.
//
// 1. Equal keys mean equal bytes. Files of the management node count by their attributes (stat), not by content.
// 2. A key is computed in milliseconds: no tree is edited for it.

import Codec
import Platform
import Store
import XCAT

/// The key of a boot file's content.
public struct RenderingKey: Sendable, Hashable {
  public let digest: Digest
  /// Whether the content depends on the snapshot alone, so that it never changes.
  public let isFixed: Bool
}

/// Computes the keys of boot files.
struct RenderingKeys: Collaborator {
  let context: Context

  func key(of file: BootFile, in snapshot: CommittedSnapshot) throws -> RenderingKey {
    if let blob = file.digest {
      return RenderingKey(digest: KeyHash("stored").adding(blob.hex).digest, isFixed: true)
    }
    var hash = KeyHash("rendered").adding(Workspace.version).adding(snapshot.id.hex)
      .adding(file.name)
    switch file.source {
    case .stored: return RenderingKey(digest: hash.digest, isFixed: true)
    case .packed:
      let isFixed = try addPackData(snapshot, &hash)
      return RenderingKey(digest: hash.digest, isFixed: isFixed)
    case .manifest, .bundle:
      try addBundleData(snapshot, &hash)
      return RenderingKey(digest: hash.digest, isFixed: false)
    }
  }

  /// Adds what a packed image depends on besides its snapshot.
  /// - Returns: whether that is nothing.
  private func addPackData(_ snapshot: CommittedSnapshot, _ hash: inout KeyHash) throws -> Bool {
    let source = try PackSources(context).input(of: snapshot)
    let top = try PackSources(context).rootTree(
      of: snapshot, source.definition, in: source.directory)
    let preparation = try TreePreparation(
      context, source, top, of: snapshot, PackRequest(snapshot.name))
    hash.add("\(preparation.created.seconds) \(preparation.created.nanoseconds)")
    let list = try ImagePacker(context).excludeList(source, leavesOut: !preparation.isPlain)
    for pattern in list.excludes { hash.add("-", pattern) }
    for pattern in list.includes { hash.add("+", pattern) }
    guard !preparation.isPlain else {
      hash.add("plain")
      return ImageFiles.paths(of: .exlist, source.definition).isEmpty
    }
    try NodeData(
      site: PackEnvironments(context).environment(source.image, source.definition)
    ).add(to: &hash)
    return false
  }

  /// Adds the manifest, the members and the signatures of a bundle.
  private func addBundleData(_ snapshot: CommittedSnapshot, _ hash: inout KeyHash) throws {
    let (collection, layout) = try BootFileRenderer(context).bundle(snapshot)
    hash.add("manifest", Array(try layout.manifest.render()))
    for member in layout.members {
      hash.add(member.name)
      switch member.source {
      case .bytes(let bytes): hash.add("bytes", bytes)
      case .file(let path), .directory(let path), .compressedTree(let path), .tree(let path):
        let entry = try collection.component(at: path).entry
        hash.add(
          "\(entry.blob?.hex ?? "") \(entry.ids?.tree.hex ?? "") \(entry.ids?.times.hex ?? "") "
            + "\(entry.mode) \(entry.uid) \(entry.gid) \(entry.modified.seconds)")
      }
    }
    guard snapshot.remote == nil else { return }
    let names = try context.store().refs.signatures(of: ImageName(snapshot.snapshot.image))
    for name in names where name.number == snapshot.number { hash.add("\(name)") }
  }
}

/// A chain of hashes over parts, each with its length.
struct KeyHash {
  private(set) var digest: Digest

  init(_ kind: String) {
    digest = SHA256.digest(of: Array("imgstore boot file 1 \(kind)\n".utf8))
  }

  func adding(_ text: String) -> KeyHash {
    var copy = self
    copy.add(text)
    return copy
  }

  mutating func add(_ text: String, _ bytes: [UInt8] = []) {
    digest = SHA256.digest(
      of: digest.bytes + Array("\(text.utf8.count) \(bytes.count) \(text)\n".utf8) + bytes)
  }
}
