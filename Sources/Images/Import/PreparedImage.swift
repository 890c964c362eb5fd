// A validated image of a bundle: the result of `ImportPreparation`, and the input of the import.

import Store
import XCAT

/// A validated image of a bundle.
struct PreparedImage {
  let image: ImageName
  let definition: ImageDefinition
  /// The files, trees and directories, with their paths.
  var components: [Snapshot.Component]
  /// The paths where an existing file may stay.
  var keepExistingPaths: Set<[UInt8]>
  let rows: ImportRowChanges
  let facts: BundleFacts
  /// The entries in trees.
  let entryCount: UInt64
  /// The bytes of file content in trees.
  let treeBytes: UInt64
  let remarks: [String]
  /// Attributes in archived trees that were not kept.
  let notes: [Snapshot.Note]
  /// The patterns that exclude parts of its tree: lists of gitignore(5) lines.
  var excludes: [[String]] = []
  /// Entries outside the image that the import replaces.
  var siteReplacements: [SiteReplacement] = []
  /// Entries in its trees that give privilege.
  var privileged: [PrivilegedEntry] = []

  var rowKeys: Set<RowKey> { rows.keys }
}
