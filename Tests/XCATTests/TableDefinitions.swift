// Whole definitions of images, which the program itself reads and changes row by row.

import XCAT

extension TableBackend {
  /// Returns the names of all images, in the order of their bytes.
  func imageNames() throws -> [String] {
    try rows("osimage").compactMap { $0["imagename"] }.sorted {
      $0.utf8.lexicographicallyPrecedes($1.utf8)
    }
  }

  /// Replaces the definition of an image; an empty one removes the image from the tables.
  /// - Returns: the columns that these tables do not have.
  @discardableResult
  func setDefinition(of image: String, _ definition: ImageDefinition) throws -> [String] {
    try apply(definition.rowChanges(of: image))
  }
}
