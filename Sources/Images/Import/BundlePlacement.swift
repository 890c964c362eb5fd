// Which content a bundle has for which place. An import places by it, and an export is refused where an
// import of the bundle would be.

import Platform
import Store

/// A content and its place.
struct PlacedContent {
  let path: AbsolutePath
  let content: Content
}

/// Why two members cannot be placed.
struct PlacementConflict: Error {
  let path: AbsolutePath
  let finding: String
}

enum BundlePlacement {
  /// Checks that no two contents have one place, and that none lies below another.
  /// - Returns: for each content, whether it is the first in its place.
  static func check(_ placed: [PlacedContent]) throws(PlacementConflict) -> [Bool] {
    var owners: [AbsolutePath: Content] = [:]
    var isFirst: [Bool] = []
    for item in placed {
      let known = owners.count
      if let other = owners[item.path] {
        guard other == item.content else {
          throw PlacementConflict(
            path: item.path, finding: "two files have the same path \(item.path.text), and differ")
        }
      } else {
        owners[item.path] = item.content
      }
      isFirst.append(owners.count > known)
    }
    for path in owners.keys {
      var above = path.parent
      while !above.components.isEmpty {
        if owners[above] != nil {
          throw PlacementConflict(
            path: path,
            finding: "\(path.text) would lie below \(above.text), which is another member")
        }
        above = above.parent
      }
    }
    return isFirst
  }
}
