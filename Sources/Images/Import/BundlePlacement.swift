// The rules for the paths of a bundle's contents. An import follows them, and an export refuses a bundle that
// no import would accept.

import Platform
import Store

/// A content and its path.
struct PlacedContent {
  let path: AbsolutePath
  let content: EntryContent
}

/// The reason why two members cannot both be placed.
struct PlacementConflict: Error {
  let path: AbsolutePath
  let reason: String
}

/// Checks the paths of a bundle's contents.
enum BundlePlacement {
  /// Checks that no path has two different contents, and that no content lies below another.
  /// - Returns: for each content, whether it is the first at its path.
  /// - Throws: `PlacementConflict`.
  static func check(_ placed: [PlacedContent]) throws(PlacementConflict) -> [Bool] {
    var owners: [AbsolutePath: EntryContent] = [:]
    var isFirst: [Bool] = []
    for item in placed {
      let oldCount = owners.count
      if let other = owners[item.path] {
        guard other == item.content else {
          throw PlacementConflict(
            path: item.path, reason: "two different files have the same path \(item.path.text)")
        }
      } else {
        owners[item.path] = item.content
      }
      isFirst.append(owners.count > oldCount)
    }
    for path in owners.keys {
      var above = path.parent
      while !above.components.isEmpty {
        if owners[above] != nil {
          throw PlacementConflict(
            path: path,
            reason: "\(path.text) would lie below \(above.text), which is another member")
        }
        above = above.parent
      }
    }
    return isFirst
  }
}
