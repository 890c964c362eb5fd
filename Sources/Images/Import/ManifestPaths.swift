// Paths that a manifest only names, without a member for them. The import does not write them, but later
// commands treat the entries there as the image's own: they read, replace and remove them.

import Ingest
import Platform
import XCAT

extension ImportTargets {
  /// Refuses a manifest whose image would own or read files outside the allowed directories.
  /// - Throws: `BundleError` that names the column.
  func refuseForeignPaths(_ manifest: Manifest) throws {
    func refuse(_ column: String, _ path: String) -> BundleError {
      BundleError(
        "manifest.xml",
        "has <\(column)> \(path), which is not a directory or file below \(install.text)",
        hint: "Nothing was imported; a bundle may only name paths below the install directory, "
          + "and none outside it")
    }
    if !manifest.directory.isEmpty {
      let text = manifest.directory["path"] ?? ""
      guard let path = AbsolutePath(text),
        allowedDirectory(of: path, role: .rootTree) != nil
      else {
        let above = AbsolutePath(text).map(\.parent.text) ?? "DIR"
        throw BundleError(
          "manifest.xml",
          "says that the image is the directory \(printable(text.utf8.prefix(255)))",
          hint:
            "Nothing was imported: a bundle cannot choose where it writes. Name the directory "
            + "with '--to DIR', or let bundles write below a directory with '--allow \(above)'")
      }
    }
    if let text = manifest.rootImageDirectory {
      guard let path = AbsolutePath(text),
        allowedDirectory(of: path, role: .rootTree) != nil
      else {
        throw refuse("rootimgdir", printable(text.utf8.prefix(255)))
      }
    }
    let definition = manifest.definition
    for path in ImageFiles.paths(of: .partitionfile, definition)
    where allowedDirectory(of: path, role: .attribute(.pkglist)) == nil {
      throw refuse("partitionfile", path.text)
    }
    for text in manifest.rawImageFiles ?? [] {
      guard let path = AbsolutePath(text),
        allowedDirectory(of: path, role: .rawImage) != nil
      else {
        throw refuse("rawimagefiles><files", printable(text.utf8.prefix(255)))
      }
    }
    for (column, rows) in [
      ("kitdir", manifest.kits), ("kitrepodir", manifest.kitRepositories),
    ] {
      for text in rows.compactMap({ $0[column] }) {
        guard let path = AbsolutePath(text), allowedDirectory(of: path, role: .kit) != nil
        else {
          throw refuse(column, printable(text.utf8.prefix(255)))
        }
      }
    }
  }
}
