// Protects directories from xCAT's rmkitcomp, which runs `rm -rf $otherpkgdir/$kitreponame` with the values
// of two columns. Without a local directory in otherpkgdir it uses the empty text, so a repository with the
// name "etc" means /etc.

import Platform
import XCAT

extension ImportPreparation {
  /// Refuses kit components whose repository would have the path of an unrelated directory.
  /// - Throws: `ImageError` that names the directory.
  func refuseForeignRepositories(_ manifest: Manifest) throws {
    let names = Set(manifest.kitComponents.compactMap { $0["kitreponame"] }).sorted()
    guard !names.isEmpty, let all = manifest.otherPackageDirectories else { return }
    let directories = all.filter { !$0.hasPrefix("http") }
    let directory = directories.first.map(String.init) ?? "/"
    guard let parent = AbsolutePath(directory) else { return }
    for name in names {
      let path = parent.appending(name)
      // xCAT creates a link there, or on Debian a copy of the kit's repository.
      guard try ImageCapturer(context).statLive(path)?.kind == .directory,
        try !isRepository(path, name)
      else {
        continue
      }
      throw ImageError(
        "kit repository '\(name)'",
        "would have the path \(path.text) of another directory: xCAT's rmkitcomp would remove it",
        hint: "Nothing was imported; do not trust this bundle")
    }
  }

  /// Returns whether the site's own tables have the repository and its path is in the install directory.
  private func isRepository(_ path: AbsolutePath, _ name: String) throws -> Bool {
    let rows = try tables.rows("kitrepo", where: (column: "kitreponame", value: name))
    return !rows.isEmpty && path.isInside(targets.install)
  }
}
