// Who can reach a tree that came from elsewhere, before any node boots it.
//
// A root tree holds setuid files and device nodes, which the kernel of the management node honours. The
// folder of a new statelite image is root's alone: nodes get the tree by NFS, where the server reaches
// it for a root that is not squashed. Nodes of other images fetch files from the folder itself, by HTTP, so
// it stays open, and that is said.

import Platform
import Store
import XCAT

/// What an import does about it.
struct TreeProtection {
  /// The folder that becomes root's alone; nil where none does.
  var closedFolder: AbsolutePath?
  var remarks: [String] = []
}

extension Workspace {
  func treeProtection(_ prepared: PreparedImage) throws -> TreeProtection {
    var protection = TreeProtection()
    guard isRoot,
      let tree = prepared.pieces.first(where: { $0.role == ImageFiles.rootTree }),
      let path = AbsolutePath(tree.path)
    else { return protection }
    let folder = path.parent
    let open = "users of this machine can reach \(path.text), which came from elsewhere: "
    if prepared.definition.isDirectory {
      if !prepared.privileged.isEmpty {
        protection.remarks = [open + (try adviceOnClosing(path))]
      }
    } else if prepared.definition.provisioning != "statelite" {
      if !prepared.privileged.isEmpty {
        protection.remarks = [open + "nodes fetch files from its folder"]
      }
    } else if let there = try statLive(folder) {
      if there.mode & 0o011 != 0, !prepared.privileged.isEmpty {
        protection.remarks = [
          open
            + "its folder was there; 'chmod 700 \(shellQuoted(folder.text))' keeps them out where NFS does not "
            + "squash root"
        ]
      }
    } else if let export = try squashingExport(of: folder) {
      protection.remarks = [
        open + "\(export) squashes root, so that nodes could not read a folder of root's alone"
      ]
    } else {
      protection.closedFolder = folder
      protection.remarks = [
        "\(folder.text) is root's alone (mode 0700), as its tree came from elsewhere; "
          + "'chmod 755' opens it, where NFS needs that"
      ]
    }
    return protection
  }

  /// What keeps users off a directory's setuid files. The directory's own mode is that of the nodes' root, and the
  /// folder above may be anybody's.
  private func adviceOnClosing(_ path: AbsolutePath) throws -> String {
    let folder = path.parent
    let others = try fileView.list(folder).filter { $0 != path.lastComponent }
    guard !folder.components.isEmpty, others.isEmpty else {
      return
        "a folder of its own that is root's alone ('mkdir -m 700'), with the image in it, would keep "
        + "them off its setuid files"
    }
    return "'chmod 700 \(shellQuoted(folder.text))' keeps them off its setuid files"
  }

  /// The folder that a change makes for the tree of a statelite image, and that is root's alone then.
  func closedFolder(
    of pieces: [Snapshot.Component], _ definition: ImageDefinition
  ) throws -> AbsolutePath? {
    guard isRoot, definition.provisioning == "statelite",
      let tree = pieces.first(where: { $0.role == ImageFiles.rootTree }),
      let folder = AbsolutePath(tree.path)?.parent, try statLive(folder) == nil,
      try squashingExport(of: folder) == nil
    else { return nil }
    return folder
  }

  /// Makes that folder for a snapshot whose tree comes from an import, as the image's history tells.
  /// - Parameter resolve: finds the place of the folder, and makes the directories on the way.
  func closeFolder(
    of snapshot: Snapshot, resolve: (AbsolutePath) throws -> ResolvedPath
  ) throws {
    guard let folder = try closedFolder(of: snapshot.pieces, snapshot.definition),
      try wasImported(ImageName(snapshot.image))
    else { return }
    try close(resolve(folder))
  }

  /// Whether the image, or the one that it is a copy of, has come with a bundle.
  func wasImported(_ image: ImageName) throws -> Bool {
    let refs = try store().refs
    return try refs.numbers(of: image).contains { number in
      guard let provenance = try? refs.read(image, number).snapshot.provenance else { return false }
      return provenance.contains(.init("command", "import"))
        || provenance.contains(.init(Snapshot.originKey, Snapshot.importOrigin))
    }
  }

  /// Makes the folder, or finds it where an interrupted change made it, and closes it.
  func close(_ place: ResolvedPath) throws {
    do throws(SystemError) {
      try fileSystem.makeDirectory(at: place.directory.raw, place.name, mode: 0o700)
    } catch {
      if error.code != .exists { throw error }
      let made = try fileSystem.openDirectory(at: place.directory.raw, place.name)
      try fileSystem.setMode(made.raw, 0o700)
    }
  }

  /// The export of exports(5) that has a folder and squashes root; nil where none does, or where root is not
  /// squashed for anybody.
  private func squashingExport(of folder: AbsolutePath) throws -> String? {
    var found: String?
    for line in try exports() {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      guard let first = words.first, let path = AbsolutePath(String(first)),
        folder.isInside(path)
      else { continue }
      if words.dropFirst().contains(where: { Self.keepsRoot($0) }) { return nil }
      found = "the NFS export of \(path.text)"
    }
    return found
  }

  /// Whether a client of an export, "name(option,option)", is root there as it is root at home.
  private static func keepsRoot(_ client: Substring) -> Bool {
    let options = client.drop { $0 != "(" && $0 != "-" }.dropFirst().split { ",()".contains($0) }
    return options.contains("no_root_squash") && !options.contains("all_squash")
  }

  /// The lines of /etc/exports and /etc/exports.d, without remarks; blanks are spaces.
  private func exports() throws -> [String] {
    var files: [AbsolutePath] = []
    if let main = AbsolutePath("/etc/exports") { files.append(main) }
    if let more = AbsolutePath("/etc/exports.d") {
      files += try fileView.list(more).filter { $0.suffix(8) == Array(".exports".utf8)[...] }
        .map { more.appending($0) }
    }
    return try files.flatMap { file -> [String] in
      guard let bytes = try fileView.read(file) else { return [] }
      return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line in
        String(line.prefix { $0 != "#" }.map { $0 == "\t" ? " " : $0 })
      }
    }
  }
}

extension Snapshot {
  /// Key of provenance: where the tree of a copied image came from first.
  static let originKey = "origin"
  /// Its value where that was a bundle.
  static let importOrigin = "import"
}
