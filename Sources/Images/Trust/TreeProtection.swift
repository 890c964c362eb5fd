// Protects an imported tree from the users of the management node before any node boots it.
//
// A root tree holds setuid files and device nodes, which the kernel of the management node honors. For a new
// statelite image, only root can open the directory. Its nodes read the tree by NFS, which needs an export
// that does not squash root. Nodes of other images fetch files from their directory by HTTP. So that
// directory stays open, and the import prints a remark.

import Platform
import Store
import XCAT

/// The measures of an import.
struct TreeProtection {
  /// The directory that only root may open; nil if there is none.
  var closedDirectory: AbsolutePath?
  var remarks: [String] = []
}

/// Keeps trees with privileged entries away from users.
struct TreeProtector: Collaborator {
  let context: Context

  func treeProtection(_ prepared: PreparedImage) throws -> TreeProtection {
    var protection = TreeProtection()
    guard isRoot,
      let tree = prepared.components.first(where: { $0.role == .rootTree }),
      let path = AbsolutePath(tree.path)
    else { return protection }
    let directory = path.parent
    let open = "users of this machine can access \(path.text), which was imported: "
    if prepared.definition.isDirectory {
      if !prepared.privileged.isEmpty {
        protection.remarks = [open + (try adviceOnClosing(path))]
      }
    } else if prepared.definition.provisioning != .statelite {
      if !prepared.privileged.isEmpty {
        protection.remarks = [open + "nodes fetch files from its directory, so it stays open"]
      }
    } else if let there = try ImageCapturer(context).statLive(directory) {
      if there.mode & 0o011 != 0, !prepared.privileged.isEmpty {
        protection.remarks = [
          open
            + "its directory already existed; run 'chmod 700 \(shellQuoted(directory.text))' to "
            + "keep them out, unless NFS squashes root"
        ]
      }
    } else if let export = try squashingExport(of: directory) {
      protection.remarks = [
        open
          + "\(export) squashes root, so nodes could not read a directory that only root can open"
      ]
    } else {
      protection.closedDirectory = directory
      protection.remarks = [
        "only root can open \(directory.text) (mode 0700), because its tree was imported; "
          + "run 'chmod 755' on it if NFS needs access"
      ]
    }
    return protection
  }

  /// What keeps users off a directory's setuid files. The directory's own mode is that of the nodes' root,
  /// and the directory above may be anybody's.
  private func adviceOnClosing(_ path: AbsolutePath) throws -> String {
    let directory = path.parent
    let others = try ImageCapturer(context).fileView.list(directory).filter {
      $0 != path.lastComponent
    }
    guard !directory.isRoot, others.isEmpty else {
      return
        "a directory of its own that is root's alone ('mkdir -m 700'), with the image in it, would "
        + "keep them off its setuid files"
    }
    return "'chmod 700 \(shellQuoted(directory.text))' keeps them off its setuid files"
  }

  /// Returns the directory that a change creates for the tree of a statelite image, if only root may open it.
  func closedDirectory(
    of components: [Snapshot.Component], _ definition: ImageDefinition
  ) throws -> AbsolutePath? {
    guard isRoot, definition.provisioning == .statelite,
      let tree = components.first(where: { $0.role == .rootTree }),
      let directory = AbsolutePath(tree.path)?.parent,
      try ImageCapturer(context).statLive(directory) == nil,
      try squashingExport(of: directory) == nil
    else { return nil }
    return directory
  }

  /// Creates that directory for a snapshot if the image's history contains an import.
  /// - Parameter resolve: returns the location of the directory and creates its parent directories.
  func closeDirectory(
    of snapshot: Snapshot, resolve: (AbsolutePath) throws -> ResolvedPath
  ) throws {
    guard let directory = try closedDirectory(of: snapshot.components, snapshot.definition),
      try wasImported(ImageName(snapshot.image))
    else { return }
    try close(resolve(directory))
  }

  /// Returns whether the image, or the one that it was copied from, was imported.
  func wasImported(_ image: ImageName) throws -> Bool {
    let refs = try context.store().refs
    return try refs.numbers(of: image).contains { number in
      (try? refs.read(image, number).snapshot.recordsImport) ?? false
    }
  }

  /// Creates the directory with mode 0700. If an interrupted change has created it, only sets the mode.
  func close(_ location: ResolvedPath) throws {
    do throws(SystemError) {
      try context.fileSystem.makeDirectory(at: location.directory.raw, location.name, mode: 0o700)
    } catch {
      if error.code != .exists { throw error }
      let created = try context.fileSystem.openDirectory(at: location.directory.raw, location.name)
      try context.fileSystem.setMode(created.raw, 0o700)
    }
  }

  /// Returns the export of exports(5) that contains a directory and squashes root. Returns nil if there is
  /// none, or if it does not squash root for some client.
  private func squashingExport(of directory: AbsolutePath) throws -> String? {
    var found: String?
    for line in try exports() {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      guard let first = words.first, let path = AbsolutePath(String(first)),
        directory.isInside(path)
      else { continue }
      if words.dropFirst().contains(where: { Self.keepsRoot($0) }) { return nil }
      found = "the NFS export of \(path.text)"
    }
    return found
  }

  /// Returns whether an export does not squash root for a client, "name(option,option)".
  private static func keepsRoot(_ client: Substring) -> Bool {
    let options = client.drop { $0 != "(" && $0 != "-" }.dropFirst().split { ",()".contains($0) }
    return options.contains("no_root_squash") && !options.contains("all_squash")
  }

  /// Returns the lines of /etc/exports and /etc/exports.d, without comments and with spaces for tabs.
  private func exports() throws -> [String] {
    var files: [AbsolutePath] = []
    if let main = AbsolutePath("/etc/exports") { files.append(main) }
    if let more = AbsolutePath("/etc/exports.d") {
      files += try ImageCapturer(context).fileView.list(more).filter {
        $0.suffix(8) == Array(".exports".utf8)[...]
      }
      .map { more.appending($0) }
    }
    return try files.flatMap { file -> [String] in
      guard let bytes = try ImageCapturer(context).fileView.read(file) else { return [] }
      return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line in
        String(line.prefix { $0 != "#" }.map { $0 == "\t" ? " " : $0 })
      }
    }
  }
}
