// imgstore import: a bundle becomes a snapshot, and the snapshot becomes live.
//
// 1. The bundle is read once, as a stream, into the store; everything is checked before anything
//    on the machine is touched.
// 2. A path that the manifest chose must lie in the install folder (or among xCAT's own lists),
//    and no symbolic link is followed below that folder: a bundle writes where bundles may.
// 3. What would be overwritten is in the store first; files go first, table rows last.

import Apply
import Codec
import Glibc
import Ingest
import Platform
import Store
import XCAT

/// What an import did.
public struct ImportOutcome: Sendable {
  public let imported: CommittedSnapshot
  /// The snapshot of what was there before, where something was.
  public let safety: CommittedSnapshot?
  public let apply: ApplyOutcome
  public let remaining: ImageDiff
  public let bundleBytes: UInt64
  public let seconds: Double
}

extension Workspace {
  /// Imports a bundle.
  /// - Parameters:
  ///   - bundle: a file, or "-" for standard input.
  ///   - profile: the profile to import it under; nil for its own.
  ///   - name: the image's name; nil for what profile and bundle say.
  ///   - force: whether an image of that name may be replaced.
  public func importBundle(
    _ bundle: String, profile: String? = nil, name: String? = nil, force: Bool = false
  ) throws -> ImportOutcome {
    let start = monotonicSeconds()
    let tables = try tables()
    let install = try installDirectory(tables)
    let store = try store(create: true)
    let session = try store.beginSession()
    let (content, bundleBytes) = try read(bundle, into: session)

    let manifest = try Manifest.parse(content.manifest)
    try manifest.refuseHarmfulText()
    try refuseForeignPaths(manifest, install)
    var renamed = manifest
    if let profile {
      renamed = try ProfileChange.apply(manifest, to: profile, installDirectory: install)
    }
    if let name {
      renamed.osimage["imagename"] = name
      renamed.linuximage["imagename"] = name
    }
    let image = try ImageName(renamed.imageName)
    let layout = try BundleLayout(reading: manifest, renamed: renamed)
    try checkTargets(layout, install)
    let pieces = try pieces(layout, content)
    if !force { try refuseForeignTargets(pieces, image, tables, install) }
    let lock = try lock(image, store)
    defer { withExtendedLifetime(lock) {} }
    let existing = try tables.definition(of: image.text)
    guard existing == nil || force else {
      throw ImageError(
        "image \(image)", "is defined already",
        advice: "Import under another profile (-f), which has its own folder, or replace it with "
          + "--force; what it replaces can be reverted to")
    }
    progress.begin("syncing")
    try session.finish()

    var facts = BundleFacts(values: renamed.values, extras: renamed.extras)
    for key in ["kernel", "ramdisk", "rootimg"] { facts.values[key] = nil }
    let definition = ImageDefinition(osimage: renamed.osimage, linuximage: renamed.linuximage)
    let target = Snapshot(
      image: image.text, created: now(), parent: nil, message: "import of \(bundle)",
      provenance: provenance("import"), tables: snapshotTables(definition), pieces: pieces,
      notes: [], facts: facts.facts, entryCount: UInt64(pieces.count),
      contentBytes: pieces.reduce(0) { $0 &+ $1.entry.sizeBytes })
    return try apply(
      target, image, existing ?? ImageDefinition(), install, bundleBytes: bundleBytes,
      start: start)
  }

  // MARK: Reading

  private func read(
    _ bundle: String, into session: WriteSession
  ) throws -> (BundleContent, UInt64) {
    let fileSystem = fileSystem
    let file: Descriptor?
    if bundle == "-" {
      file = nil
    } else {
      do throws(SystemError) {
        file = try fileSystem.openFile(
          at: fileSystem.workingDirectory, Array(absolute(bundle).utf8), [.read])
      } catch {
        if error.isAbsent {
          throw ImageError("bundle \(bundle)", "Cannot find \(absolute(bundle))")
        }
        throw error
      }
    }
    let size = try file.map { try fileSystem.stat($0.raw).size } ?? 0
    progress.begin("importing", totalBytes: 0)
    let taken = Monitor<UInt64>(0)
    let content = try BundleReader(progress: progress).read(
      { target in
        let n = try fileSystem.read(file?.raw ?? 0, into: target)
        taken.withLock { $0 += UInt64(n) }
        return n
      }, into: session)
    return (content, max(size, taken.withLock { $0 }))
  }

  /// The pieces of the new image: every named member must be there.
  private func pieces(
    _ layout: BundleLayout, _ content: BundleContent
  ) throws -> [Snapshot.Piece] {
    var left = Set(content.files.keys)
    var pieces: [Snapshot.Piece] = []
    for member in layout.members {
      guard let file = content.files[member.name] else {
        throw BundleError(
          "member \(member.name)", "is named by the manifest and is not in the bundle",
          advice: "Nothing was imported; export the image again where it came from")
      }
      left.remove(member.name)
      let tar = file.member
      let entry = Entry(
        name: [], content: .file(blob: file.blob, sizeBytes: file.sizeBytes),
        // No bit that gives rights away comes out of a bundle.
        mode: tar.mode & 0o777, uid: isRoot ? tar.uid : geteuid(),
        gid: isRoot ? tar.gid : getegid(),
        modified: Timestamp(
          seconds: tar.modifiedSeconds, nanoseconds: tar.modifiedNanoseconds))
      pieces.append(Snapshot.Piece(role: member.role, path: member.path.bytes, entry: entry))
    }
    for name in left.sorted() {
      tell("the bundle's file \(name) is named by nothing in its manifest and was left out")
    }
    return pieces.sorted { precedes($0.path, $1.path) }
  }

  // MARK: Targets

  /// Files of other images are not overwritten: neither anything in another image's folder, nor a
  /// list that another image names, unless it is the same list.
  private func refuseForeignTargets(
    _ pieces: [Snapshot.Piece], _ image: ImageName, _ tables: any TableDoor, _ install: AbsolutePath
  ) throws {
    let others = try tables.definitions().filter { $0.key != image.text }
    for (other, definition) in others.sorted(by: { $0.key < $1.key }) {
      let folder = ImageFiles.bootDirectory(definition, installDirectory: install)
      let named = Set(
        ImageFiles.all(definition, installDirectory: install).filter(\.isNamed).map(\.path))
      for piece in pieces {
        guard let path = AbsolutePath(piece.path) else { continue }
        let isInFolder = folder.map { path.isInside($0) } ?? false
        guard try isInFolder || (named.contains(path) && differs(piece, at: path)) else { continue }
        throw ImageError(
          path.text, "belongs to the image \(other), and the import would overwrite it",
          advice: "Import under another profile (-f), which has its own folder and lists; "
            + "--force overwrites it, and keeps what was there as a snapshot")
      }
    }
  }

  private func differs(_ piece: Snapshot.Piece, at path: AbsolutePath) throws -> Bool {
    let live = try Capture(resolver, progress: progress).run(
      [PieceRequest(role: piece.role, path: path)], cache: nil,
      into: .memory(MemoryObjects(over: try store())))
    return live.pieces.first.map { $0.entry.content != piece.entry.content } ?? false
  }

  static let sharedLists = AbsolutePath(
    components: ["opt", "xcat", "share", "xcat"].map { Array($0.utf8) })

  private func checkTargets(_ layout: BundleLayout, _ install: AbsolutePath) throws {
    for member in layout.members {
      let isList = ImageFiles.listAttributes.contains(member.role)
      guard
        member.path.isInside(install) && member.path != install
          || (isList && member.path.isInside(Workspace.sharedLists))
      else {
        throw BundleError(
          "member \(member.name)",
          "would be written to \(member.path.text), which is outside \(install.text)",
          advice: "Nothing was imported; a bundle may only write below the install folder")
      }
    }
  }

  /// A target can be reached, as far as it is there already; makes nothing.
  private func checkTarget(_ path: AbsolutePath, _ install: AbsolutePath) throws {
    do {
      let place = try resolveTarget(path, install, create: false)
      if let stat = try fileSystem.statIfPresent(at: place.directory.raw, place.name),
        stat.kind != .file
      {
        throw ImageError(
          "target \(path.text)", "is a \(stat.kind.noun), and the bundle has a file for it",
          advice: "Nothing was imported; do not trust this bundle")
      }
    } catch let error as SystemError {
      guard error.isAbsent else { throw error }
    }
  }

  /// Resolves a target below its allowed folder without following links there.
  private func resolveTarget(
    _ path: AbsolutePath, _ install: AbsolutePath, create: Bool = true
  ) throws -> ResolvedPath {
    let allowed = path.isInside(install) ? install : Workspace.sharedLists
    let top = try resolver.resolve(allowed, create: create)
    if create, try fileSystem.statIfPresent(at: top.directory.raw, top.name) == nil {
      try fileSystem.makeDirectory(at: top.directory.raw, top.name, mode: 0o755)
    }
    let root = try fileSystem.openDirectory(at: top.directory.raw, top.name)
    let inside = AbsolutePath(
      components: Array(path.components.dropFirst(allowed.components.count)))
    do throws(SystemError) {
      return try PathResolver(fileSystem, root: root)
        .resolve(inside, followLinks: false, create: create)
    } catch {
      guard error.code == .loop else { throw error }
      throw ImageError(
        "target \(path.text)", "is reached through a symbolic link below \(allowed.text)",
        advice: "A bundle is not written through links: replace the link by a folder, or a bind "
          + "mount, and import again")
    }
  }

  // MARK: Applying

  /// All that belongs, or will belong, to the new image: what is there now must be kept.
  private func everything(
    _ new: Snapshot, _ install: AbsolutePath
  ) throws -> [PieceRequest] {
    new.requests
      + ImageFiles.all(new.definition, installDirectory: install).map {
        PieceRequest(role: $0.role, path: $0.path)
      }
  }

  private func apply(
    _ new: Snapshot, _ image: ImageName, _ existing: ImageDefinition, _ install: AbsolutePath,
    bundleBytes: UInt64, start: Double
  ) throws -> ImportOutcome {
    let store = try store()
    let latest = try store.refs.latestReadable(of: image)
    let memory = MemoryObjects(over: store)
    let live = try captureLive(
      image, existing, latest: latest, also: try everything(new, install), into: .memory(memory))
    let targets = new.pieces.compactMap { AbsolutePath($0.path) }
    for path in targets { try checkTarget(path, install) }
    // The old image goes whole, tree and packed forms too: xCAT would use a leftover before the new.
    // What is another image's, in a folder that --force makes them share, only gives way.
    let own = Set(
      ImageFiles.all(existing, installDirectory: install).map(\.path.bytes))
    let plans = try planPieces(
      from: live.capture.pieces.filter { own.contains($0.path) || new.piece(at: $0.path) != nil },
      memory, to: new.pieces, store,
      liveNotes: live.notes, targetNotes: [])
    var outcome = describe(plans, [])
    let safety = try saveBeforeChange(
      image, live, keeping: try everything(new, install), message: "before \(new.message)",
      command: "import")
    var committed = new
    committed.parent = (safety ?? latest)?.id
    let imported = try store.refs.append(committed)
    do {
      outcome.report = try run(plans) { try resolveTarget($0, install) }
      try restoreRows(image, new.definition)
    } catch {
      tell(
        "the import is in the store as \(imported.name) but is not live yet: "
          + "'imgstore revert \(imported.name)' finishes it")
      throw error
    }
    let (remaining, _) = try diffLive(imported)
    return ImportOutcome(
      imported: imported, safety: safety, apply: outcome, remaining: remaining,
      bundleBytes: bundleBytes, seconds: monotonicSeconds() - start)
  }
}
