// What xCAT's rmkitcomp would remove for a bundle's kits. It runs `rm -rf $otherpkgdir/$kitreponame`, each from a
// column of its own, and takes an otherpkgdir without a local folder for "": a repository called "etc" would be
// /etc.

import Platform
import XCAT

extension ImportPreparation {
  /// Refuses kit components whose repository would stand where a folder is that is none of theirs.
  /// - Throws: `ImageError` that names the folder.
  func refuseForeignRepositories(_ manifest: Manifest) throws {
    let names = Set(manifest.kitComponents.compactMap { $0["kitreponame"] }).sorted()
    guard !names.isEmpty, let text = manifest.linuximage["otherpkgdir"] else { return }
    let folders = text.split(separator: ",").filter { !$0.hasPrefix("http") }
    let folder = folders.first.map(String.init) ?? "/"
    guard let parent = AbsolutePath(folder) else { return }
    for name in names {
      let path = parent.appending(name)
      // xCAT puts a link there, or on Debian a copy of the kit's repository.
      guard try workspace.statLive(path)?.kind == .directory, try !isRepository(path, name) else {
        continue
      }
      throw ImageError(
        "kit repository '\(name)'",
        "would stand at \(path.text), where another folder is: xCAT's rmkitcomp would remove it",
        advice: "Nothing was imported; do not trust this bundle")
    }
  }

  /// The site's own tables know the repository, or the folder lies where package folders do.
  private func isRepository(_ path: AbsolutePath, _ name: String) throws -> Bool {
    let known = try tables.rows("kitrepo", where: (column: "kitreponame", value: name))
    return !known.isEmpty && path.isInside(targets.install)
  }
}
